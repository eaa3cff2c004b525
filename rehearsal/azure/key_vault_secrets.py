"""The data plane of the key vaults: a secret's value, for who has a role for it in the vault itself.

https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rehearsal.azure import authorization
from rehearsal.azure.resource_manager import field

if TYPE_CHECKING:
    from rehearsal.provider.context import Context

AUDIENCE = "https://vault.azure.net"
GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
SECRET = "azure-native:keyvault:Secret"


def url(context: Context, vault: str) -> str:
    """A vault's address, without trailing slash; on Azure ``https://<vault>.vault.azure.net``."""
    return f"{context.endpoints.open('azure/vaults', _app(context), tls=True)}/{vault}"


def _app(context: Context) -> Starlette:
    async def secret(request: Request) -> Response:
        principal = authorization.bearer(context, request.headers.get("authorization"), AUDIENCE)
        if principal is None:
            challenge = (
                f'Bearer authorization="https://login.microsoftonline.com/", resource="{AUDIENCE}"'
            )
            refused = _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer token.")
            refused.headers["www-authenticate"] = challenge
            return refused
        asked = str(request.url.replace(query="")).rstrip("/")
        for record in context.all(SECRET):
            properties = record.outputs["properties"]
            if asked not in (properties["secretUri"], properties["secretUriWithVersion"]):
                continue
            if not authorization.may(context, principal, GET_SECRET, record.id, data=True):
                return _error(
                    403,
                    "Forbidden",
                    "Caller is not authorized to perform action on resource. Action:"
                    f" '{GET_SECRET}', Resource: '{record.id}'. Inner error: ForbiddenByRbac",
                )
            value = field(record.inputs, "properties.value")
            return JSONResponse({"value": value, "id": properties["secretUriWithVersion"]})
        return _error(404, "SecretNotFound", f"A secret was not found in this key vault: {asked}.")

    return Starlette(
        routes=[
            Route("/{vault}/secrets/{secret}", secret),
            Route("/{vault}/secrets/{secret}/{version}", secret),
        ]
    )


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
