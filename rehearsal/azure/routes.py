"""The addresses below ``/azure``, and the Resource Manager, which has an endpoint of its own.

Blobs, vaults and web apps have endpoints of their own too.
"""

from __future__ import annotations

from functools import partial

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rehearsal.azure import (
    actions,
    app_service,
    container_registry,
    container_registry_data_plane,
    container_registry_runs,
    credentials,
    errors,
    key_vault,
    machine_learning,
    permissions,
    resources,
    storage,
    storage_proxy,
    subscription,
)
from rehearsal.azure.calls import Call, Operation
from rehearsal.azure.machine_learning_scoring import score
from rehearsal.azure.token_endpoints import federated_token, identity_token
from rehearsal.core.records import Json, Refusal
from rehearsal.core.request_bodies import BodyTooLarge, InvalidBody, json_object, limited
from rehearsal.provider.context import Context

MANAGEMENT = "https://management.azure.com"
ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
BODY_BYTES = 4 * 2**20
"""https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits"""
ANY = "/{rest:path}"
SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = SUBSCRIPTION + "/resourceGroups/{group}"
MACHINE_LEARNING = (
    SUBSCRIPTION + "/providers/Microsoft.MachineLearningServices/locations/{location}"
)
REGISTRY = GROUP + "/providers/Microsoft.ContainerRegistry/registries/{registry}"
RESOURCE_MANAGER: tuple[tuple[str, str, Operation], ...] = (
    ("GET", "/subscriptions", resources.list_subscriptions),
    ("GET", SUBSCRIPTION, resources.get_subscription),
    ("GET", SUBSCRIPTION + "/providers", subscription.list_providers),
    (
        "POST",
        SUBSCRIPTION + "/providers/{namespace}/register",
        subscription.register_provider,
    ),
    (
        "GET",
        SUBSCRIPTION + "/providers/Microsoft.Authorization/permissions",
        subscription.list_permissions,
    ),
    ("GET", MACHINE_LEARNING + "/vmSizes", subscription.list_sizes),
    (
        "GET",
        MACHINE_LEARNING + "/mfeOperationsStatus/{operation}",
        machine_learning.get_operation,
    ),
    ("GET", MACHINE_LEARNING + "/usages", subscription.list_machine_learning_usages),
    (
        "GET",
        SUBSCRIPTION + "/providers/Microsoft.Web/locations/{location}/usages",
        subscription.list_web_usages,
    ),
    ("GET", SUBSCRIPTION + "/resourcegroups", resources.list_groups),
    ("GET", GROUP + "/resources", resources.list_resources),
    *(
        ("GET", GROUP + "/providers/{parent:path}/" + parts, resources.list_parts)
        for parts in resources.PARTS
    ),
    (
        "GET",
        SUBSCRIPTION + "/providers/Microsoft.Storage/storageAccounts",
        storage.list_accounts,
    ),
    (
        "POST",
        GROUP + "/providers/Microsoft.Web/sites/{app}/config/appsettings/list",
        app_service.list_settings,
    ),
    (
        "PUT",
        GROUP + "/providers/Microsoft.Web/sites/{app}/config/appsettings",
        app_service.put_settings,
    ),
    ("GET", REGISTRY, container_registry.get_registry),
    (
        "POST",
        REGISTRY + "/listBuildSourceUploadUrl",
        container_registry_runs.source_upload_url,
    ),
    ("POST", REGISTRY + "/scheduleRun", container_registry_runs.schedule_run),
    ("GET", REGISTRY + "/runs/{run}", container_registry_runs.get_run),
    ("POST", REGISTRY + "/runs/{run}/listLogSasUrl", container_registry_runs.log_link),
    ("GET", "/subscriptions" + ANY, machine_learning.get_endpoint),
    ("PUT", "/subscriptions" + ANY, machine_learning.put_endpoint),
)
"""The operations of the Resource Manager: verb, address and operation."""


def routes(context: Context) -> list[BaseRoute]:
    """Everything below ``/azure``. Opens the endpoints of before a restart again."""
    app_service.reopen(context)
    container_registry_data_plane.reopen(context)
    storage_proxy.url(context, "")
    key_vault.url(context, "")
    resource_manager_host(context)

    return [
        Route("/identity/token", partial(identity_token, context)),
        Route("/ml/{location}/{endpoint}/score", partial(score, context), methods=["POST"]),
    ]


def resource_manager_host(context: Context) -> str:
    """The host and port of the Resource Manager; its endpoint is opened if it is not open."""
    url = context.endpoints.open("azure/resource-manager", resource_manager(context), tls=True)
    return url.removeprefix("https://")


def resource_manager(context: Context) -> Starlette:
    """The Resource Manager: the operations that clients other than the provider call.

    For a client whose ``AZURE_AUTHORITY_HOST`` names it, it is Entra ID, too.
    """
    tokens = partial(federated_token, context)
    return Starlette(
        routes=[
            Route("/metadata/endpoints", _metadata),
            Route("/{tenant}/oauth2/v2.0/token", tokens, methods=["POST"]),
            *(_route(context, *each) for each in RESOURCE_MANAGER),
            *(
                _route(context, method, ANY, partial(_not_rehearsed, method))
                for method in (*actions.VERBS, "POST")
            ),
        ]
    )


def _route(context: Context, method: str, path: str, operation: Operation) -> Route:
    """The route of an operation: JSON in, JSON out, for callers with a token, of this subscription.

    What is below a resource group, or anywhere, is checked here. The operations on a subscription check themselves: some
    of their lists have what the caller may read.
    """

    async def endpoint(request: Request) -> Response:
        try:
            body = await limited(request, BODY_BYTES).body()
        except BodyTooLarge:
            # As clients have met it: https://github.com/Azure/bicep-registry-modules/issues/2358
            text = "The request content size exceeds the maximum size of 4 MB."
            return errors.response(Refusal("RequestContentTooLarge", text))

        def work() -> Response:
            principal = credentials.principal_of(
                context, request.headers.get("authorization"), MANAGEMENT
            )
            if principal is None:
                raise Refusal("AuthenticationFailed", "Authentication failed.")
            own = context.account.azure_subscription
            named = request.path_params.get("subscription", own)
            if named != own:
                raise Refusal("SubscriptionNotFound", f"{named} could not be found.")
            content = json_object(body)
            call = Call(
                context,
                principal,
                request.url,
                request.path_params,
                request.query_params,
                content,
            )
            if "/resourcegroups/" in request.url.path.lower() or path.endswith(ANY):
                call.require(*actions.needed(request.method, request.url.path))
                _require_assignable(call)
            return JSONResponse(operation(call), headers=call.answer_headers)

        try:
            return await anyio.to_thread.run_sync(work)
        except Refusal as refused:
            return errors.response(refused)
        except InvalidBody as wrong:
            # https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
            return errors.response(
                Refusal("InvalidRequestContent", f"Invalid request content: {wrong}")
            )

    return Route(path, endpoint, methods=[method])


def _require_assignable(call: Call) -> None:
    """Refuse a resource with an identity that the caller may not assign.

    https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/identity#managed-identity-operator
    """
    identity = call.body.get("identity") if isinstance(call.body, dict) else None
    for each in (identity or {}).get("userAssignedIdentities") or ():
        if not permissions.allowed(call.context, call.principal, ASSIGN, each):
            raise Refusal(
                "LinkedAuthorizationFailed",
                f"The client '{call.principal}' has permission to perform the action on scope"
                f" '{call.url.path}', however it does not have permission to perform action(s) '{ASSIGN}'"
                f" on the linked scope(s) '{each}'.",
            )


def _not_rehearsed(method: str, call: Call) -> Json:
    """Whoever may not do it was refused before, in Azure's words."""
    raise Refusal("NotRehearsed", f"the rehearsal does not answer {method} {call.url.path}")


async def _metadata(request: Request) -> Response:
    """What azure-native reads first: the addresses of this cloud."""
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
