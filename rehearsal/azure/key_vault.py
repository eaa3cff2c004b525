"""Key vaults and their secrets."""

from __future__ import annotations

import re
import time
from typing import ClassVar

from rehearsal.azure import authorization, key_vault_secrets
from rehearsal.azure.resource_manager import AzureResourceType, field, guid
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name

VAULT = "azure-native:keyvault:Vault"
SECRET = "azure-native:keyvault:Secret"
DELETED = "azure-deleted-vaults"
DAY = 86400


class Vault(AzureResourceType):
    """A key vault; deleted, it keeps its name for the days of its retention."""

    token = VAULT
    source = "https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview"
    path = "Microsoft.KeyVault/vaults/{vaultName}"
    name = Name(
        property="vaultName",
        pattern=r"[a-zA-Z](-?[a-zA-Z0-9])*",
        min=3,
        max=24,
        says="3 to 24 letters, digits and single hyphens, beginning with a letter",
        taken="VaultAlreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        super().check(context, inputs)
        if field(inputs, "properties.enablePurgeProtection") is False:
            raise CheckFailure(
                "properties.enablePurgeProtection",
                'The property "enablePurgeProtection" cannot be set to false. Enabling the purge'
                " protection for a vault is an irreversible action.",
            )
        days = field(inputs, "properties.softDeleteRetentionInDays")
        if days is not None and not 7 <= days <= 90:
            raise CheckFailure(
                "properties.softDeleteRetentionInDays", f"{days:g} is not between 7 and 90"
            )

    def make(self, context: Context, record: Record) -> None:
        name = record.inputs["vaultName"]
        until = context.kv.get(DELETED, name.lower())
        if until and until > time.time():
            raise Refusal(
                "ConflictError",
                f"A vault with the same name already exists in deleted state: {name}. You need to"
                " either recover or purge existing key vault.",
            )
        record.outputs["properties"] = {
            **record.inputs["properties"],
            "vaultUri": f"{key_vault_secrets.url(context, name)}/",
            "provisioningState": "Succeeded",
            "hsmPoolResourceId": "",
            "privateEndpointConnections": [],
        }

    def change(self, context: Context, old: Record, record: Record) -> None:
        kept = ("vaultUri", "provisioningState", "hsmPoolResourceId", "privateEndpointConnections")
        before = old.outputs["properties"]
        record.outputs["properties"] = {
            **record.inputs["properties"],
            **{key: before[key] for key in kept},
        }

    def delete(self, context: Context, record: Record) -> None:
        days = field(record.inputs, "properties.softDeleteRetentionInDays") or 90
        context.kv.put(DELETED, record.inputs["vaultName"].lower(), time.time() + days * DAY)


class Secret(AzureResourceType):
    """A secret; another value is another version."""

    token = SECRET
    source = "https://learn.microsoft.com/azure/key-vault/secrets/about-secrets"
    executes = "handed to web apps whose settings refer to it"
    path = "Microsoft.KeyVault/vaults/{vaultName}/secrets/{secretName}"
    # The reference once said 256, of name and value, and says 512 now.
    most_tags, tag_name = 15, 256
    references: ClassVar = {"vaultName": VAULT}
    volatile = frozenset({"properties"})
    name = Name(
        property="secretName",
        pattern=r"[0-9a-zA-Z-]*",
        max=127,
        says="1 to 127 letters, digits and hyphens",
        unique=("vaultName",),
    )

    def make(self, context: Context, record: Record) -> None:
        _version(context, record)

    def change(self, context: Context, old: Record, record: Record) -> None:
        record.outputs["properties"] = old.outputs["properties"]
        if old.inputs["properties"] != record.inputs["properties"]:
            _version(context, record)


def resolve(context: Context, reference: str, principal: str) -> str | None:
    """The secret behind ``@Microsoft.KeyVault(SecretUri=…)``; None if this principal may not have it.

    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    match = re.fullmatch(r"@Microsoft\.KeyVault\(SecretUri=(https://[^)]+)\)", reference)
    if match is None:
        return None
    for secret in context.all(SECRET):
        properties = secret.outputs["properties"]
        if match[1].rstrip("/") in (properties["secretUri"], properties["secretUriWithVersion"]):
            if authorization.may(
                context, principal, key_vault_secrets.GET_SECRET, secret.id, data=True
            ):
                return str(field(secret.inputs, "properties.value"))
            return None
    return None


def _version(context: Context, record: Record) -> None:
    """Make a version. Azure Resource Manager never answers the value."""
    number = (context.kv.get("azure-secret-versions", record.id) or 0) + 1
    context.kv.put("azure-secret-versions", record.id, number)
    vault = key_vault_secrets.url(context, record.inputs["vaultName"])
    uri = f"{vault}/secrets/{record.inputs['secretName']}"
    now = int(time.time())
    record.outputs["properties"] = {
        "contentType": field(record.inputs, "properties.contentType") or "",
        "attributes": {"created": now, "updated": now, "expires": 0},
        "secretUri": uri,
        "secretUriWithVersion": f"{uri}/{guid(record.id, str(number)).replace('-', '')}",
    }
