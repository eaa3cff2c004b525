"""The addresses below ``/gcp`` at which Google's own clients find the services."""

from __future__ import annotations

import json
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from rehearsal.core.records import Json, Refusal
from rehearsal.gcp import (
    artifact_registry,
    cloud_build,
    cloud_run,
    credentials,
    errors,
    iam,
    operations,
    projects,
    secret_manager,
    service_usage,
    storage_proxy,
    token_endpoints,
    vertex_ai,
)
from rehearsal.gcp.calls import Call, Operation
from rehearsal.gcp.vertex_ai_predictions import predict
from rehearsal.provider.context import Context

PROJECT = "/projects/{project}"
PLACE = PROJECT + "/locations/{location}"
MODEL = PLACE + "/models/{model}"
ENDPOINT = PLACE + "/endpoints/{endpoint:int}"
SERVICES: dict[str, tuple[tuple[str, str, Operation], ...]] = {
    "/artifactregistry/v1": (
        (
            "GET",
            PLACE + "/repositories/{repository}/packages/{package}/tags/{tag}",
            artifact_registry.get_tag,
        ),
    ),
    "/cloudbuild/v1": (
        ("POST", PLACE + "/builds", cloud_build.create_build),
        ("GET", PLACE + "/builds/{build}", cloud_build.get_build),
    ),
    "/cloudbilling/v1": (("GET", PROJECT + "/billingInfo", projects.get_billing),),
    "/cloudresourcemanager/v3": (
        ("GET", PROJECT, projects.get_project),
        ("POST", PROJECT + ":testIamPermissions", projects.test_permissions),
    ),
    "/serviceusage/v1": (
        ("GET", PROJECT + "/services:batchGet", service_usage.batch_get),
        ("POST", PROJECT + "/services/{service}:enable", service_usage.enable),
    ),
    "/serviceusage/v1beta1": (
        (
            "GET",
            PROJECT + "/services/{service}/consumerQuotaMetrics/{metric:path}",
            service_usage.get_quota,
        ),
    ),
    "/iam/v1": (("GET", PROJECT + "/serviceAccounts", iam.list_accounts),),
    "/run/v2": (("GET", PLACE + "/services", cloud_run.list_services),),
    "/secretmanager/v1": (
        ("GET", PROJECT + "/secrets", secret_manager.list_secrets),
        ("GET", PROJECT + "/secrets/{secret}/versions", secret_manager.list_versions),
    ),
    "/aiplatform/v1": (
        ("GET", PLACE, vertex_ai.get_location),
        ("POST", PLACE + "/models:upload", vertex_ai.upload_model),
        ("GET", PLACE + "/models", vertex_ai.list_models),
        ("GET", MODEL, vertex_ai.get_model),
        ("PATCH", MODEL, vertex_ai.patch_model),
        ("DELETE", MODEL, vertex_ai.delete_model),
        ("POST", ENDPOINT + ":deployModel", vertex_ai.deploy_model),
        ("POST", ENDPOINT + ":mutateDeployedModel", vertex_ai.mutate_deployed_model),
        ("POST", ENDPOINT + ":undeployModel", vertex_ai.undeploy_model),
        ("POST", ENDPOINT + ":{verb}", vertex_ai.unknown_method),
        ("GET", PLACE + "/endpoints", vertex_ai.list_endpoints),
        ("GET", ENDPOINT, vertex_ai.get_endpoint),
        ("PATCH", ENDPOINT, vertex_ai.patch_endpoint),
        ("GET", PLACE + "/{owner:path}/operations", operations.list_operations),
        ("GET", "/{name:path}", operations.get_operation),
    ),
}
"""The methods of the APIs, by where the API is mounted: verb, address and operation."""


def routes(context: Context) -> list[BaseRoute]:
    """Everything below ``/gcp``. Opens the endpoints of before a restart again."""
    cloud_run.reopen(context)

    storage = storage_proxy.StorageProxy(context)
    as_account = [
        Route("/", partial(token_endpoints.metadata_root, context)),
        Route("/computeMetadata/v1/{path:path}", partial(token_endpoints.metadata, context)),
        Route("/{path:path}", storage.answer, methods=storage_proxy.METHODS),
    ]
    return [
        *(
            Route(f"/aiplatform/v1{ENDPOINT}:{verb}", partial(predict, context), methods=["POST"])
            for verb in ("predict", "rawPredict")
        ),
        Route(
            f"/secretmanager/v1{PROJECT}/secrets/{{secret}}/versions/{{version}}:access",
            partial(secret_manager.access_version, context),
        ),
        *(
            Mount(path, routes=[_route(context, _api(path), *each) for each in methods])
            for path, methods in SERVICES.items()
        ),
        Route("/oauth2/token", partial(token_endpoints.exchange, context), methods=["POST"]),
        Mount("/as/{email}", routes=as_account),
    ]


def _api(path: str) -> str:
    """The name of the API that is mounted at a path: ``run.googleapis.com`` at ``/run/v2``."""
    return f"{path.split('/')[1]}.googleapis.com"


def _route(context: Context, api: str, method: str, path: str, operation: Operation) -> Route:
    """The route of an operation: JSON in, JSON out, for the deployer alone."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()

        def work() -> Json:
            email = credentials.caller(context, request.headers.get("authorization", ""))
            if email != credentials.deployer(context):
                raise Refusal("PERMISSION_DENIED", f"{email} may not {method} {request.url.path}.")
            # The quota project: its APIs have to be enabled.
            # https://cloud.google.com/docs/authentication/adc-troubleshooting/user-creds
            if billed := request.headers.get("x-goog-user-project"):
                service_usage.require_api(context, billed, api)
            content = json.loads(body or b"{}")
            return operation(Call(context, request.path_params, request.query_params, content))

        try:
            return JSONResponse(await anyio.to_thread.run_sync(work))
        except Refusal as refused:
            return errors.response(refused)
        except (KeyError, ValueError) as wrong:
            return errors.response(Refusal("INVALID_ARGUMENT", f"Invalid JSON payload: {wrong!r}"))

    return Route(path, endpoint, methods=[method])
