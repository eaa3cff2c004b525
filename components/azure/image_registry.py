"""The image registry on Azure: a container registry."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import containerregistry as acr

from components import contracts, names
from components.azure.foundation import Foundation

IMAGE = "triplane"


class ImageRegistry(contracts.ImageRegistry):
    """A container registry without admin user and without anonymous pull."""

    registry: acr.Registry

    def __init__(
        self,
        name: str,
        args: contracts.ImageRegistryArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:azure:ImageRegistry", name, None, opts)
        foundation = Foundation.of(args.foundation)

        self.registry = acr.Registry(
            # 5 to 50 letters and digits; autonaming adds 8 of them.
            names.short(name.replace("-", ""), 32, "a-z0-9"),
            resource_group_name=foundation.group.name,
            location=foundation.region,
            # Basic has all that is used here. Retention of untagged manifests, private endpoints and
            # zone redundancy are Premium's, at ten times the price.
            # https://learn.microsoft.com/azure/container-registry/container-registry-skus
            sku=acr.SkuArgs(name=acr.SkuName.BASIC),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            public_network_access=acr.PublicNetworkAccess.ENABLED,
            tags=foundation.tags,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=foundation.args.keep_data),
        )

        self.repository = pulumi.Output.concat(self.registry.login_server, "/", IMAGE)
        self.register_outputs({"repository": self.repository})
