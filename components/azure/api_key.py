"""The gateway's key on Azure: a secret in a key vault of its own."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import keyvault

from components import contracts
from components.azure import roles
from components.azure.foundation import Foundation
from components.azure.key_vault import key_vault
from components.random_key import RandomKey

SECRET_NAME = "gateway-api-key"  # noqa: S105  # its name, not its value


class ApiKey(contracts.ApiKey):
    """A random key in a key vault that has nothing else.

    The workspace's vault is Azure ML's own: whoever may work in the workspace may put secrets there.
    """

    secret: keyvault.Secret
    uri: pulumi.Output[str]
    """Where the gateway reads the key. It names the version: so the setting changes with the key, and the app starts
    again with the new one.

    Not a Key Vault reference, which App Service resolves: one that it cannot resolve, because the grant is not in force
    yet, it tries again after 24 hours.
    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references"""

    def __init__(
        self, name: str, args: contracts.ApiKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:ApiKey", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)

        key = RandomKey(f"{name}-key", args.rotation, child)
        vault = key_vault(f"{name}-kv", foundation, child)
        # Written through the Resource Manager, so that the deployer needs no role inside the vault. It cannot be deleted
        # so: azure-native calls the vault, which refuses an owner without a role in it. The vault takes it along.
        # https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/resources/customresources/custom_keyvault.go
        self.secret = keyvault.Secret(
            f"{name}-secret",
            resource_group_name=foundation.group.name,
            vault_name=vault.name,
            secret_name=SECRET_NAME,
            properties=keyvault.SecretPropertiesArgs(value=key.value, content_type="text/plain"),
            # https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags
            tags=foundation.platform_tags,
            opts=pulumi.ResourceOptions(parent=self, deleted_with=vault),
        )
        # The deployer has the key in the state. When the state is lost, `make adopt` reads it here, and
        # being the subscription's owner does not allow anybody to read a secret.
        roles.assign_deployer(
            f"{name}-keeper",
            foundation,
            role="Key Vault Secrets User",
            scope=self.secret.id,
            parent=self,
        )

        self.value = pulumi.Output.secret(key.value)
        self.uri = self.secret.properties.apply(
            lambda properties: properties.secret_uri_with_version
        )
        self.register_outputs({})
