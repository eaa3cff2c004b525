"""Where the platform stands on Azure: a resource group of its own and the facts of the account."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_azure_native import authorization, resources

from components import contracts
from config.tags import only_platform_tags


class Foundation(contracts.Foundation):
    """The resource group, and who deploys into which subscription."""

    group: resources.ResourceGroup
    subscription: str
    tenant: str
    deployer: str
    """Object id of the principal that runs Pulumi."""
    location: str
    tags: Mapping[str, str]
    own_tags: Mapping[str, str]
    """For what takes 15 tags at most, where others take 50: the platform's own, and not the stack's."""

    def __init__(
        self, name: str, args: contracts.FoundationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        client = authorization.get_client_config()
        # An input, because a preview shows inputs: so operations/engine/guards.py sees that it is another one.
        super().__init__(
            "triplane:azure:Foundation", name, {"account": client.subscription_id}, opts
        )
        self.args = args
        self.location = args.region
        self.tags = args.tags
        self.own_tags = only_platform_tags(args.tags)

        self.subscription = client.subscription_id
        self.tenant = client.tenant_id
        self.deployer = client.object_id

        # Deleting a resource group deletes whatever is in it, also what Pulumi let go of. So where
        # the data must outlive a destroy, the group outlives it too; everything else in it is
        # deleted one by one. Where the data may go, deleting the group also takes what Azure put
        # there on its own (smart detector alert rules of Application Insights).
        self.group = resources.ResourceGroup(
            f"{name}-group",
            location=self.location,
            tags=self.tags,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.keep_data),
        )

        self.register_outputs({"group": self.group.name})
