"""The addresses below ``/gcp`` at which Google's own clients find the services."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from rehearsal.core.records import Json, Refusal
from rehearsal.core.request_bodies import BodyTooLarge, InvalidBody, json_object, limited
from rehearsal.gcp import (
    artifact_registry,
    cloud_build,
    cloud_run,
    credentials,
    errors,
    iam,
    operations,
    permissions,
    projects,
    secret_manager,
    service_usage,
    storage_proxy,
    token_endpoints,
    vertex_ai,
)
from rehearsal.gcp.calls import Call, Operation, not_rehearsed
from rehearsal.gcp.required_permissions import of_path, roles_of_policy
from rehearsal.gcp.vertex_ai_predictions import predict
from rehearsal.provider.context import Context

PROJECT = "/projects/{project}"
PLACE = PROJECT + "/locations/{location}"
MODEL = PLACE + "/models/{model}"
ENDPOINT = PLACE + "/endpoints/{endpoint:int}"
RUN_SERVICE = PLACE + "/services/{run_service}"
SECRET = PROJECT + "/secrets/{secret}"
REPOSITORY = PLACE + "/repositories/{repository}"
ACCOUNT = PROJECT + "/serviceAccounts/{account}"
POOL = PROJECT + "/locations/global/workloadIdentityPools/{pool}"
BODY_BYTES = 10 * 2**20
"""The limit that clients have met, and believed of each API: https://github.com/starlake-ai/starflow/pull/1321"""
NONE = ""
"""No permission is needed, or the method checks what it needs itself."""


Method = tuple[str, str, str, Operation]
"""Verb, address, permission and operation."""


def _policy(path: str, kind: str, read: str = "GET") -> tuple[Method, ...]:
    """The two methods of a resource's policy; the older APIs read it with a POST."""
    return tuple(
        (verb, f"{path}:{method}", f"{kind}.{method}", not_rehearsed)
        for verb, method in ((read, "getIamPolicy"), ("POST", "setIamPolicy"))
    )


def _changes(path: str, kind: str) -> tuple[Method, ...]:
    """Changing and deleting a resource."""
    return (
        ("PATCH", path, f"{kind}.update", not_rehearsed),
        ("DELETE", path, f"{kind}.delete", not_rehearsed),
    )


SERVICES: dict[str, tuple[Method, ...]] = {
    "/artifactregistry/v1": (
        (
            "GET",
            REPOSITORY + "/packages/{package}/tags/{tag}",
            "artifactregistry.tags.get",
            artifact_registry.get_tag,
        ),
        (
            "DELETE",
            REPOSITORY + "/packages/{package}",
            "artifactregistry.packages.delete",
            not_rehearsed,
        ),
        (
            "DELETE",
            REPOSITORY + "/packages/{package}/versions/{version}",
            "artifactregistry.versions.delete",
            not_rehearsed,
        ),
        (
            "DELETE",
            REPOSITORY + "/packages/{package}/tags/{tag}",
            "artifactregistry.tags.delete",
            not_rehearsed,
        ),
        *_policy(REPOSITORY, "artifactregistry.repositories"),
        *_changes(REPOSITORY, "artifactregistry.repositories"),
    ),
    "/cloudbuild/v1": (
        ("POST", PLACE + "/builds", "cloudbuild.builds.create", cloud_build.create_build),
        ("GET", PLACE + "/builds/{build}", "cloudbuild.builds.get", cloud_build.get_build),
        ("POST", PROJECT + "/triggers", "cloudbuild.builds.create", not_rehearsed),
    ),
    "/cloudbilling/v1": (
        ("GET", PROJECT + "/billingInfo", "resourcemanager.projects.get", projects.get_billing),
    ),
    "/cloudresourcemanager/v3": (
        ("POST", PROJECT + ":testIamPermissions", NONE, projects.test_permissions),
        *_policy(PROJECT, "resourcemanager.projects", read="POST"),
        ("GET", PROJECT, "resourcemanager.projects.get", projects.get_project),
        *_changes(PROJECT, "resourcemanager.projects"),
    ),
    "/cloudscheduler/v1": (("POST", PLACE + "/jobs", "cloudscheduler.jobs.create", not_rehearsed),),
    "/logging/v2": (("POST", PROJECT + "/sinks", "logging.sinks.create", not_rehearsed),),
    "/serviceusage/v1": (
        (
            "GET",
            PROJECT + "/services:batchGet",
            "serviceusage.services.get",
            service_usage.batch_get,
        ),
        (
            "POST",
            PROJECT + "/services/{service}:enable",
            "serviceusage.services.enable",
            service_usage.enable,
        ),
        (
            "POST",
            PROJECT + "/services/{service}:disable",
            "serviceusage.services.disable",
            not_rehearsed,
        ),
    ),
    "/serviceusage/v1beta1": (
        (
            "GET",
            PROJECT + "/services/{service}/consumerQuotaMetrics/{metric:path}",
            "serviceusage.quotas.get",
            service_usage.get_quota,
        ),
    ),
    "/iam/v1": (
        ("GET", PROJECT + "/serviceAccounts", "iam.serviceAccounts.list", iam.list_accounts),
        ("POST", PROJECT + "/serviceAccounts", "iam.serviceAccounts.create", not_rehearsed),
        ("POST", ACCOUNT + "/keys", "iam.serviceAccountKeys.create", not_rehearsed),
        *_policy(ACCOUNT, "iam.serviceAccounts", read="POST"),
        *_changes(ACCOUNT, "iam.serviceAccounts"),
        ("POST", PROJECT + "/roles", "iam.roles.create", not_rehearsed),
        *_changes(PROJECT + "/roles/{role}", "iam.roles"),
        *_changes(POOL, "iam.workloadIdentityPools"),
        ("POST", POOL + "/providers", "iam.workloadIdentityPoolProviders.create", not_rehearsed),
        *_changes(POOL + "/providers/{provider}", "iam.workloadIdentityPoolProviders"),
    ),
    "/iamcredentials/v1": (
        (
            "POST",
            ACCOUNT + ":generateAccessToken",
            "iam.serviceAccounts.getAccessToken",
            iam.access_token,
        ),
        ("POST", ACCOUNT + ":signBlob", "iam.serviceAccounts.signBlob", not_rehearsed),
    ),
    "/run/v2": (
        ("GET", PLACE + "/services", "run.services.list", cloud_run.list_services),
        ("POST", PLACE + "/services", "run.services.create", not_rehearsed),
        *_policy(RUN_SERVICE, "run.services"),
        ("GET", RUN_SERVICE, "run.services.get", not_rehearsed),
        ("PATCH", RUN_SERVICE, "run.services.update", cloud_run.patch_service),
        ("DELETE", RUN_SERVICE, "run.services.delete", not_rehearsed),
        ("POST", PLACE + "/jobs", "run.jobs.create", not_rehearsed),
    ),
    "/secretmanager/v1": (
        ("GET", PROJECT + "/secrets", "secretmanager.secrets.list", secret_manager.list_secrets),
        (
            "GET",
            SECRET + "/versions",
            "secretmanager.versions.list",
            secret_manager.list_versions,
        ),
        (
            "GET",
            SECRET + "/versions/{version}:access",
            "secretmanager.versions.access",
            secret_manager.access_version,
        ),
        ("POST", SECRET + ":addVersion", "secretmanager.versions.add", not_rehearsed),
        (
            "POST",
            SECRET + "/versions/{version}:destroy",
            "secretmanager.versions.destroy",
            not_rehearsed,
        ),
        *_policy(SECRET, "secretmanager.secrets"),
        *_changes(SECRET, "secretmanager.secrets"),
    ),
    "/aiplatform/v1": (
        ("GET", PLACE, "aiplatform.locations.get", vertex_ai.get_location),
        ("POST", PLACE + "/models:upload", "aiplatform.models.upload", vertex_ai.upload_model),
        ("GET", PLACE + "/models", "aiplatform.models.list", vertex_ai.list_models),
        ("GET", MODEL, "aiplatform.models.get", vertex_ai.get_model),
        ("PATCH", MODEL, "aiplatform.models.update", vertex_ai.patch_model),
        ("DELETE", MODEL, "aiplatform.models.delete", vertex_ai.delete_model),
        ("POST", ENDPOINT + ":deployModel", "aiplatform.endpoints.deploy", vertex_ai.deploy_model),
        (
            "POST",
            ENDPOINT + ":mutateDeployedModel",
            "aiplatform.endpoints.update",
            vertex_ai.mutate_deployed_model,
        ),
        (
            "POST",
            ENDPOINT + ":undeployModel",
            "aiplatform.endpoints.undeploy",
            vertex_ai.undeploy_model,
        ),
        *_policy(ENDPOINT, "aiplatform.endpoints", read="POST"),
        ("POST", ENDPOINT + ":{verb}", NONE, vertex_ai.unknown_method),
        ("GET", PLACE + "/endpoints", "aiplatform.endpoints.list", vertex_ai.list_endpoints),
        ("POST", PLACE + "/endpoints", "aiplatform.endpoints.create", not_rehearsed),
        ("GET", ENDPOINT, "aiplatform.endpoints.get", vertex_ai.get_endpoint),
        ("PATCH", ENDPOINT, "aiplatform.endpoints.update", vertex_ai.patch_endpoint),
        ("DELETE", ENDPOINT, "aiplatform.endpoints.delete", not_rehearsed),
        (
            "GET",
            PLACE + "/{owner:path}/operations",
            "aiplatform.operations.list",
            operations.list_operations,
        ),
        # Whoever began an operation may look at it: its name is a random number (believed).
        ("GET", "/{name:path}", NONE, operations.get_operation),
    ),
}
"""The methods of the APIs, by where the API is mounted."""


def routes(context: Context) -> list[BaseRoute]:
    """Everything below ``/gcp``. Opens the endpoints of before a restart again."""
    credentials.renew_stored(context)
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
        *(
            Mount(path, routes=[_route(context, _api(path), *each) for each in methods])
            for path, methods in SERVICES.items()
        ),
        Route("/oauth2/token", partial(token_endpoints.exchange, context), methods=["POST"]),
        Route(
            "/sts/v1/token", partial(token_endpoints.exchange_federated, context), methods=["POST"]
        ),
        Mount("/as/{email}/{secret}", routes=as_account),
        # For clients that send their token.
        Route("/storage/{path:path}", storage.answer, methods=storage_proxy.METHODS),
    ]


def _api(path: str) -> str:
    """The name of the API that is mounted at a path: ``run.googleapis.com`` at ``/run/v2``."""
    return f"{path.split('/')[1]}.googleapis.com"


def _route(
    context: Context, api: str, method: str, path: str, permission: str, operation: Operation
) -> Route:
    """The route of an operation: JSON in, JSON out, for callers with its permission on the resource in the address."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await limited(request, BODY_BYTES).body()
        except BodyTooLarge:
            return errors.response(errors.too_large(BODY_BYTES))

        def work() -> Json:
            caller = credentials.caller(context, request.headers.get("authorization", ""))
            content = json_object(body)
            if permission:
                on = of_path(context, request.path_params)
                on = replace(on, modified_roles=roles_of_policy(content))
                permissions.require(context, caller, permission, on, request.url.path)
            # The quota project: its APIs have to be enabled.
            # https://cloud.google.com/docs/authentication/adc-troubleshooting/user-creds
            if billed := request.headers.get("x-goog-user-project"):
                service_usage.require_api(context, billed, api)
            call = Call(context, request.path_params, request.query_params, content, caller)
            return operation(call)

        try:
            return JSONResponse(await anyio.to_thread.run_sync(work))
        except Refusal as refused:
            return errors.response(refused)
        except InvalidBody as wrong:
            return errors.response(Refusal("INVALID_ARGUMENT", f"Invalid JSON payload: {wrong}"))

    return Route(path, endpoint, methods=[method])
