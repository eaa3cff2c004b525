"""A key vault: the gateway's key has one, and the Azure ML workspace another."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import keyvault

from components import names
from components.azure.foundation import Foundation


def key_vault(name: str, foundation: Foundation, opts: pulumi.ResourceOptions) -> keyvault.Vault:
    """A key vault in RBAC mode: roles decide, not access policies, and a secret can be a scope.

    Soft delete cannot be turned off. Purge protection cannot be turned off again, and Azure refuses ``false``,
    so it is set where data must survive a mistake, and omitted elsewhere.
    https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
    """
    return keyvault.Vault(
        # 3 to 24 characters; autonaming adds 8.
        names.short(name, 16),
        resource_group_name=foundation.group.name,
        location=foundation.region,
        properties=keyvault.VaultPropertiesArgs(
            tenant_id=foundation.tenant,
            sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
            enable_rbac_authorization=True,
            enable_purge_protection=True if foundation.args.keep_data else None,
            # App Service and Azure ML come over the public endpoint with an Entra token.
            public_network_access="Enabled",
        ),
        tags=foundation.tags,
        opts=opts,
    )
