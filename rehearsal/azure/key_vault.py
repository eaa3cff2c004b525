"""Key Vault: vaults, secrets, and the data plane that returns a secret's value."""

from __future__ import annotations

import re
import time
from typing import ClassVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rehearsal.azure import credentials, errors, permissions
from rehearsal.azure.ids import guid
from rehearsal.azure.resource_type import AzureResourceType, field
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name

VAULT = "azure-native:keyvault:Vault"
SECRET = "azure-native:keyvault:Secret"
AUDIENCE = "https://vault.azure.net"
GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
DELETE_SECRET = "Microsoft.KeyVault/vaults/secrets/delete"
OPERATIONS = {
    "DELETE": DELETE_SECRET,
    "GET": GET_SECRET,
    "PUT": "Microsoft.KeyVault/vaults/secrets/setSecret/action",
}
"""The data actions of the vault's own API."""
DELETED = "azure-deleted-vaults"
SECRET_VERSIONS = "azure-secret-versions"
"""The namespace with the number of each secret's versions."""
DAY = 86400


class Vault(AzureResourceType):
    """A key vault. A deleted one keeps its name for the days of its retention."""

    token = VAULT
    source = "https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview"
    path = "Microsoft.KeyVault/vaults/{vaultName}"
    name = Name(
        property="vaultName",
        pattern=r"[a-zA-Z](-?[a-zA-Z0-9])*",
        min=3,
        max=24,
        rule="3 to 24 letters, digits and single hyphens, beginning with a letter",
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

    def on_create(self, context: Context, record: Record) -> None:
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
            "vaultUri": f"{url(context, name)}/",
            "provisioningState": "Succeeded",
            "hsmPoolResourceId": "",
            "privateEndpointConnections": [],
        }

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        kept = ("vaultUri", "provisioningState", "hsmPoolResourceId", "privateEndpointConnections")
        before = old.outputs["properties"]
        record.outputs["properties"] = {
            **record.inputs["properties"],
            **{key: before[key] for key in kept},
        }

    def delete(self, context: Context, record: Record) -> None:
        days = field(record.inputs, "properties.softDeleteRetentionInDays") or 90
        context.kv.put(DELETED, record.inputs["vaultName"].lower(), time.time() + days * DAY)
        for secret in context.all(SECRET):
            if secret.id.startswith(f"{record.id}/"):
                context.store.remove(secret)


class Secret(AzureResourceType):
    """A secret; another value is another version."""

    token = SECRET
    source = "https://learn.microsoft.com/azure/key-vault/secrets/about-secrets"
    executes = "web apps whose settings refer to it get its value"
    path = "Microsoft.KeyVault/vaults/{vaultName}/secrets/{secretName}"
    # The reference gave 256 characters for name and value in the past, and gives 512 now.
    max_tags, tag_name_length = 15, 256
    references: ClassVar = {"vaultName": VAULT}
    volatile = frozenset({"properties"})
    name = Name(
        property="secretName",
        pattern=r"[0-9a-zA-Z-]*",
        max=127,
        rule="1 to 127 letters, digits and hyphens",
        unique=("vaultName",),
    )

    def on_create(self, context: Context, record: Record) -> None:
        _add_version(context, record)

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        record.outputs["properties"] = old.outputs["properties"]
        if old.inputs["properties"] != record.inputs["properties"]:
            _add_version(context, record)


def resolve(context: Context, reference: str, principal: str) -> str | None:
    """The secret behind ``@Microsoft.KeyVault(SecretUri=…)``; None if this principal may not read it.

    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    match = re.fullmatch(r"@Microsoft\.KeyVault\(SecretUri=(https://[^)]+)\)", reference)
    if match is None:
        return None
    for secret in context.all(SECRET):
        properties = secret.outputs["properties"]
        if match[1].rstrip("/") in (properties["secretUri"], properties["secretUriWithVersion"]):
            if permissions.allowed(context, principal, GET_SECRET, secret.id, data=True):
                return str(field(secret.inputs, "properties.value"))
            return None
    return None


def _add_version(context: Context, record: Record) -> None:
    """Create a version. The Resource Manager never returns its value."""
    number = (context.kv.get(SECRET_VERSIONS, record.id) or 0) + 1
    context.kv.put(SECRET_VERSIONS, record.id, number)
    vault = url(context, record.inputs["vaultName"])
    uri = f"{vault}/secrets/{record.inputs['secretName']}"
    now = int(time.time())
    record.outputs["properties"] = {
        "contentType": field(record.inputs, "properties.contentType") or "",
        "attributes": {"created": now, "updated": now, "expires": 0},
        "secretUri": uri,
        "secretUriWithVersion": f"{uri}/{guid(record.id, str(number)).replace('-', '')}",
    }


def url(context: Context, vault: str) -> str:
    """A vault's address, without trailing slash; on Azure ``https://<vault>.vault.azure.net``."""
    return f"{context.endpoints.open('azure/vaults', data_plane(context), tls=True)}/{vault}"


def data_plane(context: Context) -> Starlette:
    """A secret's value, for callers with a role for it. Owners of the vault need such a role too.

    https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
    """

    async def secret(request: Request) -> Response:
        header = request.headers.get("authorization")
        principal = credentials.principal_of(context, header, AUDIENCE)
        if principal is None:
            refused = errors.response(
                Refusal("Unauthorized", "AKV10000: Request is missing a Bearer token.")
            )
            refused.headers["www-authenticate"] = (
                f'Bearer authorization="https://login.microsoftonline.com/", resource="{AUDIENCE}"'
            )
            return refused
        action = OPERATIONS[request.method]
        try:
            record = _called_secret(context, principal, action, str(request.url.replace(query="")))
            if action != GET_SECRET:
                raise Refusal("NotRehearsed", f"the rehearsal does not answer {action}")
        except Refusal as refusal:
            return errors.response(refusal)
        value = field(record.inputs, "properties.value")
        identifier = record.outputs["properties"]["secretUriWithVersion"]
        return JSONResponse({"value": value, "id": identifier})

    return Starlette(
        routes=[
            Route("/{vault}/secrets/{secret}", secret, methods=[*OPERATIONS]),
            Route("/{vault}/secrets/{secret}/{version}", secret, methods=[*OPERATIONS]),
        ]
    )


def _called_secret(context: Context, principal: str, action: str, uri: str) -> Record:
    """The secret at an address, with or without its version, or Key Vault's refusal of the action."""
    uri = uri.rstrip("/")
    for record in context.all(SECRET):
        properties = record.outputs["properties"]
        if uri not in (properties["secretUri"], properties["secretUriWithVersion"]):
            continue
        if not permissions.allowed(context, principal, action, record.id, data=True):
            raise forbidden(action, record)
        return record
    # Only who may use the vault's secrets learns whether there is such a one.
    for vault in context.all(VAULT):
        address = f"{url(context, vault.inputs['vaultName'])}/"
        if uri.startswith(address) and not permissions.allowed(
            context, principal, action, vault.id, data=True
        ):
            raise forbidden(action, vault)
    raise Refusal("SecretNotFound", f"A secret was not found in this key vault: {uri}.")


def forbidden(action: str, resource: Record) -> Refusal:
    """The vault's refusal of an action on a secret, or on any."""
    return Refusal(
        "Forbidden",
        "Caller is not authorized to perform action on resource. Action:"
        f" '{action}', Resource: '{resource.id}'. Inner error: ForbiddenByRbac",
    )
