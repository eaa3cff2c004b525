"""The gateway's key on Azure: a secret in a key vault of its own."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import keyvault

from components import contracts, names
from components.azure import roles
from components.azure.foundation import Foundation
from components.random_key import RandomKey

NAME = "gateway-api-key"


class ApiKey(contracts.ApiKey):
    """A random key in a key vault that holds nothing else.

    The workspace's vault is Azure ML's own: whoever may work in the workspace may put secrets there.
    """

    value: pulumi.Output[str]
    vault: keyvault.Vault
    secret: keyvault.Secret
    reference: pulumi.Output[str]
    """What an app setting says instead of the key. It names the version: without one, an app would follow
    a rotation within a day; so the setting changes with the key, and the app starts anew with it.
    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#rotation"""

    def __init__(
        self, name: str, args: contracts.ApiKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:ApiKey", name, {}, opts)
        foundation = args.foundation
        assert isinstance(foundation, Foundation)
        child = pulumi.ResourceOptions(parent=self)

        key = RandomKey(f"{name}-key", args.rotation, child)
        self.vault = vault(f"{name}-kv", foundation, child)
        # Written through the Resource Manager, so that who deploys needs no role inside the vault.
        self.secret = keyvault.Secret(
            f"{name}-secret",
            resource_group_name=foundation.group.name,
            vault_name=self.vault.name,
            secret_name=NAME,
            properties=keyvault.SecretPropertiesArgs(value=key.value, content_type="text/plain"),
            # https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags
            tags=foundation.own_tags,
            opts=child,
        )

        # Who deploys has the key in the state already; when the state is lost, this is where it is left
        # (`make adopt`), and being the subscription's owner lets no one read a secret.
        roles.assign_deployer(
            f"{name}-keeper",
            foundation,
            role="Key Vault Secrets User",
            scope=self.secret.id,
            parent=self,
        )

        self.value = pulumi.Output.secret(key.value)
        self.reference = self.secret.properties.apply(
            lambda properties: (
                f"@Microsoft.KeyVault(SecretUri={properties.secret_uri_with_version})"
            )
        )
        self.register_outputs({"value": self.value})


def vault(name: str, foundation: Foundation, opts: pulumi.ResourceOptions) -> keyvault.Vault:
    """A key vault in RBAC mode: roles decide, not access policies, and a secret can be a scope.

    Soft delete cannot be turned off. Purge protection cannot be turned off again, and ``false`` is
    refused, so it is set where data must outlast a mistake, and left unsaid elsewhere.
    https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
    """
    return keyvault.Vault(
        # 3 to 24 characters; autonaming adds 8.
        names.short(name, 16),
        resource_group_name=foundation.group.name,
        location=foundation.location,
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
