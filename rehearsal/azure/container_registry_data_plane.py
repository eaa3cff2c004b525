"""A registry's login server: tokens of the registry, and the digest that a tag names.

It has no more of the registry protocol: nothing of the rehearsal pulls over HTTP.
https://learn.microsoft.com/azure/container-registry/container-registry-authentication
https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rehearsal.azure import credentials, permissions
from rehearsal.core.records import Record
from rehearsal.core.request_bodies import TOKEN_BYTES, form, limited
from rehearsal.provider.context import Context

REGISTRY = "azure-native:containerregistry:Registry"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
AUDIENCE = "https://containerregistry.azure.net"


def login_server(context: Context, registry: Record) -> str:
    """A registry's host and port; on Azure ``<name>.azurecr.io``. Its endpoint is opened if it is not open."""
    app = _app(context, registry.id, registry.inputs["registryName"])
    url = context.endpoints.open(_key(registry), app, tls=True)
    return url.removeprefix("https://")


def reopen(context: Context) -> None:
    """Open the endpoints of all registries again, after a restart of the rehearsal."""
    for registry in context.all(REGISTRY):
        server = login_server(context, registry)
        if server != registry.outputs["loginServer"]:
            # A registry of before there was a data plane.
            registry.outputs["loginServer"] = server
            context.save(registry)


def close(context: Context, registry: Record) -> None:
    """Close a registry's endpoint."""
    context.endpoints.close(_key(registry))


def registry_at(context: Context, host: str) -> Record | None:
    """The registry with a login server; `stored_name` says which other name is known, too."""
    return next(
        (
            each
            for each in context.all(REGISTRY)
            if host in (each.outputs["loginServer"], _stored_host(each.inputs["registryName"]))
        ),
        None,
    )


def stored_name(registry: Record, name: str) -> str:
    """The name of an image in the rehearsal's store: by the registry's name, which stays as it is when a port does not.

    Images of earlier versions are kept so, too, and their stacks have this name in their states.
    """
    return f"{_stored_host(registry.inputs['registryName'])}/{name}"


def _stored_host(registry_name: str) -> str:
    return f"{registry_name.lower()}.azurecr.io"


def _key(registry: Record) -> str:
    return f"azure/registry/{registry.inputs['registryName'].lower()}"


def _app(context: Context, registry_id: str, registry_name: str) -> Starlette:
    refresh_audience, access_audience = f"{registry_id}/refresh", f"{registry_id}/access"

    def token_for(principal: str, audience: str) -> str:
        value, _expires = credentials.token(context, principal, "registry", audience)
        return value

    async def principal_in(request: Request, field: str, audience: str) -> str | None:
        """The principal of the token in a field of the form; None without a valid one."""
        fields = form(await limited(request, TOKEN_BYTES).body())
        return credentials.principal_of(context, f"Bearer {fields.get(field)}", audience)

    async def exchange(request: Request) -> Response:
        """A token of Entra ID for a refresh token of this registry."""
        principal = await principal_in(request, "access_token", AUDIENCE)
        if principal is None:
            return _error(401, "UNAUTHORIZED", "authentication required")
        return JSONResponse({"refresh_token": token_for(principal, refresh_audience)})

    async def token(request: Request) -> Response:
        """A refresh token for an access token."""
        principal = await principal_in(request, "refresh_token", refresh_audience)
        if principal is None:
            return _error(401, "UNAUTHORIZED", "authentication required")
        return JSONResponse({"access_token": token_for(principal, access_audience)})

    async def manifest(request: Request) -> Response:
        """Whether an image exists, and its digest."""
        principal = credentials.principal_of(
            context, request.headers.get("authorization"), access_audience
        )
        if principal is None or not permissions.allowed(context, principal, PULL, registry_id):
            return _error(401, "UNAUTHORIZED", "authentication required")
        repository, reference = request.path_params["name"], request.path_params["reference"]
        image = context.images.get(f"{_stored_host(registry_name)}/{repository}", reference)
        if image is None:
            return _error(404, "MANIFEST_UNKNOWN", f"manifest tagged by {reference!r} is not found")
        content = context.images.manifest(image)
        return JSONResponse(
            content,
            headers={"docker-content-digest": image.digest, "content-type": content["mediaType"]},
        )

    return Starlette(
        routes=[
            Route("/oauth2/exchange", exchange, methods=["POST"]),
            Route("/oauth2/token", token, methods=["POST"]),
            Route("/v2/{name:path}/manifests/{reference}", manifest, methods=["GET", "HEAD"]),
        ]
    )


def _error(status: int, code: str, message: str) -> Response:
    """An error as a registry writes it."""
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status)
