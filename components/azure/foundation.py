"""The platform's resource group on Azure, and the facts about the account."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_azure_native import authorization, resources

from components import contracts
from config.tags import only_platform_tags


class Foundation(contracts.Foundation):
    """The resource group, and the principal that deploys into which subscription."""

    group: resources.ResourceGroup
    subscription: str
    tenant: str
    deployer: str
    """Object id of the principal that runs Pulumi."""
    tags: Mapping[str, str]
    """For every resource that takes tags."""
    platform_tags: Mapping[str, str]
    """Without the stack's own, for what takes 15 tags at most, where others take 50."""

    def __init__(
        self, name: str, args: contracts.FoundationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        client = authorization.get_client_config()
        # An input, because a preview shows inputs: so operations/engine/guards.py sees that it is another one.
        super().__init__(
            "triplane:azure:Foundation", name, {"account": client.subscription_id}, opts
        )
        self.args = args
        self.region = args.region
        self.tags = args.tags
        self.platform_tags = only_platform_tags(args.tags)

        self.subscription = client.subscription_id
        self.tenant = client.tenant_id
        self.deployer = client.object_id

        # Deleting a resource group deletes everything in it, also what Pulumi has forgotten. So where
        # the data must survive a destroy, the group survives it, too, and everything else in it is
        # deleted one by one. Where the data may be deleted, deleting the group also deletes what Azure
        # created there on its own (smart detector alert rules of Application Insights).
        self.group = resources.ResourceGroup(
            f"{name}-group",
            location=self.region,
            tags=self.tags,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.keep_data),
        )

        self.register_outputs({"group": self.group.name, "region": self.region})
