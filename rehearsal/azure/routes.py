"""The data planes of Azure: identity tokens, scoring, and the corner of the Resource Manager.

Blobs and web apps have doors of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rehearsal.azure import (
    app_service,
    authorization,
    key_vault_secrets,
    machine_learning,
    resource_lists,
    storage,
    storage_blobs,
)
from rehearsal.azure.resource_manager import by_id
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context

MANAGEMENT = "https://management.azure.com"
SCORING = "https://ml.azure.com"
ENGINEER = "engineer"
"""What the header is called with which the one who runs Pulumi gets tokens."""


def routes(context: Context) -> list[BaseRoute]:
    """What is served below ``/azure``; opens the doors again that stood before a restart."""
    planes = Planes(context)
    app_service.reopen(context)
    storage_blobs.url(context, "")
    key_vault_secrets.url(context, "")
    manager(context)
    return [
        Route("/identity/token", planes.token),
        Route("/ml/{location}/{endpoint}/score", planes.score, methods=["POST"]),
    ]


class Planes:
    """Requests that the cloud's own clients send."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def token(self, request: Request) -> Response:
        """The managed identity endpoint of App Service."""
        context = self.context
        resource = request.query_params.get("resource", "").removesuffix("/.default").rstrip("/")
        client = request.query_params.get("client_id")
        header = request.headers.get("x-identity-header", "")
        if header == authorization.key(context, ENGINEER):
            principal, client = context.account.azure_object, context.account.azure_client
        else:
            allowed = authorization.callers(context, header)
            if allowed is None:
                return _refused("invalid_request", "the X-IDENTITY-HEADER is missing or wrong")
            matching = [r for r in allowed if client in (None, r.outputs["clientId"])]
            if len(matching) != 1:
                return _refused(
                    "invalid_request",
                    f"No User Assigned or Delegated Managed Identity found for specified ClientId"
                    f" {client}.",
                )
            principal, client = matching[0].outputs["principalId"], matching[0].outputs["clientId"]
        value, ends = authorization.token(context, principal, client or "", resource)
        return JSONResponse(
            {
                "access_token": value,
                "expires_on": str(ends),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": client,
            }
        )

    async def score(self, request: Request) -> Response:
        """An endpoint's scoring URI.

        https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#http-status-codes
        """
        context = self.context
        location, name = request.path_params["location"], request.path_params["endpoint"]
        endpoint = context.find(machine_learning.ENDPOINT, name=name, location=location)
        if endpoint is None:
            return _scoring_error(404, "The specified endpoint does not exist.")
        principal = authorization.bearer(context, request.headers.get("authorization"), SCORING)
        if principal is None:
            return _scoring_error(
                401, "A Microsoft Entra token for https://ml.azure.com is required."
            )
        if not authorization.may(context, principal, machine_learning.SCORE, endpoint.id):
            return _scoring_error(
                403,
                f"The principal {principal} may not perform {machine_learning.SCORE} on {endpoint.id}.",
            )
        wanted = request.headers.get("azureml-model-deployment")
        deployment = machine_learning.choose(context, endpoint, wanted)
        if deployment is None:
            return _scoring_error(
                404, "The endpoint doesn't have any valid deployment with positive weight."
            )
        key, path = machine_learning.scoring(context, endpoint, deployment)
        answer = await context.containers.forward(key, request, path)
        answer.headers["azureml-model-deployment"] = deployment
        if answer.status_code != 200:
            answer.headers["ms-azureml-model-error-statuscode"] = str(answer.status_code)
            answer.status_code = 424
        return answer


def manager(context: Context) -> str:
    """The host and port of the Resource Manager; its door is opened if it is not open."""
    url = context.endpoints.open("azure/resource-manager", _resource_manager(context), tls=True)
    return url.removeprefix("https://")


def _resource_manager(context: Context) -> Starlette:
    """The Resource Manager, as far as the traffic of an endpoint goes."""

    async def metadata(request: Request) -> Response:
        return JSONResponse(
            {
                "name": "AzureCloud",
                "resourceManager": f"https://{request.headers['host']}/",
                "authentication": {
                    "loginEndpoint": "https://login.microsoftonline.com",
                    "audiences": ["https://management.core.windows.net/", f"{MANAGEMENT}/"],
                    "tenant": "common",
                    "identityProvider": "AAD",
                },
                "suffixes": {"storage": "core.windows.net", "keyVaultDns": "vault.azure.net"},
            }
        )

    async def endpoint(request: Request) -> Response:
        if authorization.bearer(context, request.headers.get("authorization"), MANAGEMENT) is None:
            return _arm_error(401, "AuthenticationFailed", "Authentication failed.")
        record = by_id(context, machine_learning.ENDPOINT, request.url.path)
        if record is None:
            return _arm_error(
                404, "ResourceNotFound", f"The Resource '{request.url.path}' was not found."
            )
        if request.method == "PUT":
            body = await request.json()
            try:
                await anyio.to_thread.run_sync(_put, context, record, body)
            except Refusal as refusal:
                return _arm_error(400, refusal.code, refusal.message)
        return JSONResponse(_shown(record))

    async def listing(request: Request) -> Response:
        """The subscriptions, or a subscription's storage accounts."""
        if authorization.bearer(context, request.headers.get("authorization"), MANAGEMENT) is None:
            return _arm_error(401, "AuthenticationFailed", "Authentication failed.")
        subscription = context.account.azure_subscription
        found: list[dict[str, Any]]
        match request.path_params.get("subscription"):
            case None:
                found = [{"id": f"/subscriptions/{subscription}", "subscriptionId": subscription}]
            case asked if asked == subscription:
                # Flat in the provider's answers, below `properties` in Azure's.
                found = [
                    {
                        **_shown(record),
                        "properties": {"primaryEndpoints": record.outputs["primaryEndpoints"]},
                    }
                    for record in context.all(storage.ACCOUNT)
                ]
            case asked:
                return _arm_error(404, "SubscriptionNotFound", f"{asked} could not be found.")
        return JSONResponse({"value": found})

    async def subscription(request: Request) -> Response:
        if authorization.bearer(context, request.headers.get("authorization"), MANAGEMENT) is None:
            return _arm_error(401, "AuthenticationFailed", "Authentication failed.")
        asked, own = request.path_params["subscription"], context.account.azure_subscription
        if asked != own:
            return _arm_error(404, "SubscriptionNotFound", f"{asked} could not be found.")
        return JSONResponse({"id": f"/subscriptions/{own}", "subscriptionId": own})

    def listed(answer: Callable[[Context, Request, str], Response]) -> Callable[..., Any]:
        async def asked(request: Request) -> Response:
            principal = authorization.bearer(
                context, request.headers.get("authorization"), MANAGEMENT
            )
            if principal is None:
                return _arm_error(401, "AuthenticationFailed", "Authentication failed.")
            asked, own = request.path_params["subscription"], context.account.azure_subscription
            if asked != own:
                return _arm_error(404, "SubscriptionNotFound", f"{asked} could not be found.")
            return await anyio.to_thread.run_sync(answer, context, request, principal)

        return asked

    group = "/subscriptions/{subscription}/resourceGroups/{group}"
    return Starlette(
        routes=[
            Route("/metadata/endpoints", metadata),
            Route("/subscriptions/{subscription}/resourcegroups", listed(resource_lists.groups)),
            Route(f"{group}/resources", listed(resource_lists.resources)),
            *(
                Route(f"{group}/providers/{{parent:path}}/{what}", listed(resource_lists.parts))
                for what in resource_lists.PARTS
            ),
            Route("/subscriptions", listing),
            Route("/subscriptions/{subscription}", subscription),
            Route(
                "/subscriptions/{subscription}/providers/Microsoft.Storage/storageAccounts",
                listing,
            ),
            Route("/subscriptions/{rest:path}", endpoint, methods=["GET", "PUT"]),
        ]
    )


def _put(context: Context, record: Record, body: dict[str, Any]) -> None:
    """Write an endpoint: what a PUT does not name is taken away, the traffic too."""
    before = copy.deepcopy(record.outputs["properties"].get("traffic"))
    machine_learning.set_traffic(context, record, body["properties"].get("traffic") or {})
    record.outputs["tags"] = body.get("tags") or {}
    context.save(record)
    after = record.outputs["properties"]["traffic"]
    if after != before:
        split = ", ".join(f"{name} {share}%" for name, share in after.items()) or "nowhere"
        context.ledger.note("updated", record, f"traffic goes to {split}")


def _shown(record: Record) -> dict[str, Any]:
    """A record as the Resource Manager answers it."""
    kept = (
        "location",
        "tags",
        "identity",
        "kind",
        "sku",
        "properties",
        "type",
        "name",
        "systemData",
    )
    return {"id": record.id, **{k: record.outputs[k] for k in kept if k in record.outputs}}


def _refused(error: str, description: str, status: int = 400) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status)


def _scoring_error(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)


def _arm_error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
