"""The addresses below ``/gcp`` at which Google's own clients find the services."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import anyio.to_thread
import google.auth.exceptions
import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from rehearsal.core.records import Json, Refusal
from rehearsal.gcp import cloud_build, cloud_run, iam, operations, resource_lists, vertex_ai

if TYPE_CHECKING:
    from rehearsal.provider.context import Context

FLAVOR = {"metadata-flavor": "Google"}
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
Answer = Callable[["Context", Request, Json], Json]


def routes(context: Context) -> list[BaseRoute]:
    """Everything below ``/gcp``; opens the front doors again that stood before a restart."""
    cloud_run.reopen(context)
    google = _Google(context)
    at = "/projects/{project}/locations/{location}"
    vertex = [
        google.route("POST", f"{at}/models:upload", _upload_model),
        google.route("GET", f"{at}/models", _list_models),
        google.route("GET", f"{at}/models/{{model}}", _get_model),
        google.route("PATCH", f"{at}/models/{{model}}", _patch_model),
        google.route("DELETE", f"{at}/models/{{model}}", _delete_model),
        Route(f"{at}/endpoints/{{endpoint:int}}:predict", google.predict, methods=["POST"]),
        Route(f"{at}/endpoints/{{endpoint:int}}:rawPredict", google.predict, methods=["POST"]),
        google.route("POST", f"{at}/endpoints/{{endpoint:int}}:{{verb}}", _on_endpoint),
        google.route("GET", f"{at}/endpoints", _list_endpoints),
        google.route("GET", f"{at}/endpoints/{{endpoint:int}}", _get_endpoint),
        google.route("PATCH", f"{at}/endpoints/{{endpoint:int}}", _patch_endpoint),
        google.route("GET", "/{name:path}", _get_operation),
    ]
    builds = [
        google.route("POST", f"{at}/builds", _create_build),
        google.route("GET", f"{at}/builds/{{build}}", _get_build),
    ]
    in_project = "/projects/{project}"
    secrets = [
        google.route("GET", f"{in_project}/secrets", resource_lists.secrets),
        google.route("GET", f"{in_project}/secrets/{{secret}}/versions", resource_lists.versions),
    ]
    accounts = google.route("GET", f"{in_project}/serviceAccounts", resource_lists.accounts)
    tag = at + "/repositories/{repository}/packages/{package}/tags/{tag}"
    return [
        Mount("/aiplatform/v1", routes=vertex),
        Mount("/cloudbuild/v1", routes=builds),
        Mount("/artifactregistry/v1", routes=[google.route("GET", tag, _get_tag)]),
        Mount("/secretmanager/v1", routes=secrets),
        Mount("/run/v2", routes=[google.route("GET", f"{at}/services", resource_lists.services)]),
        Mount("/iam/v1", routes=[accounts]),
        Route("/oauth2/token", google.exchange, methods=["POST"]),
        Mount(
            "/as/{email}",
            routes=[
                Route("/", _flavor),
                Route("/computeMetadata/v1/{path:path}", google.metadata),
                Route(
                    "/{path:path}",
                    google.storage,
                    methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                ),
            ],
        ),
    ]


def _refusal(refused: Refusal) -> JSONResponse:
    """Google's error JSON. https://cloud.google.com/apis/design/errors#http_mapping"""
    status, _ = operations.STATUS.get(refused.code, (500, 13))
    error = {"code": status, "message": refused.message, "status": refused.code}
    return JSONResponse({"error": error}, status)


class _Google:
    """The routes that need the context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = httpx.AsyncClient(trust_env=False, timeout=60)

    def route(self, method: str, path: str, answer: Answer) -> Route:
        """A route of the control plane: JSON in, JSON out, for the engineer alone."""

        async def endpoint(request: Request) -> Response:
            body = await request.body()

            def work() -> Json:
                email = iam.caller(self._context, request.headers.get("authorization", ""))
                if email != iam.engineer(self._context):
                    raise Refusal(
                        "PERMISSION_DENIED", f"{email} may not {method} {request.url.path}."
                    )
                return answer(self._context, request, json.loads(body or b"{}"))

            try:
                return JSONResponse(await anyio.to_thread.run_sync(work))
            except Refusal as refused:
                return _refusal(refused)
            except (KeyError, ValueError) as wrong:
                return _refusal(Refusal("INVALID_ARGUMENT", f"Invalid JSON payload: {wrong!r}"))

        return Route(path, endpoint, methods=[method])

    async def predict(self, request: Request) -> Response:
        """``endpoints.predict`` and ``endpoints.rawPredict``."""
        try:
            email = iam.caller(self._context, request.headers.get("authorization", ""))
            # Read before the choice is made: nothing is undeployed between it and the asking.
            await request.body()
            key, route, deployed = vertex_ai.answering(
                self._context, email, _name(request, "endpoints")
            )
        except Refusal as refused:
            return _refusal(refused)
        answer = await self._context.containers.forward(key, request, route)
        if request.url.path.endswith(":rawPredict"):
            return answer
        if answer.status_code != 200:
            said = bytes(answer.body).decode(errors="replace")
            return _refusal(
                Refusal("INVALID_ARGUMENT", f"{answer.status_code} from the model: {said}")
            )
        return JSONResponse(
            {
                # Only `predictions` comes through: that is why the gateway asks rawPredict.
                "predictions": json.loads(bytes(answer.body))["predictions"],
                "deployedModelId": deployed["id"],
                "model": deployed["model"],
                "modelDisplayName": deployed.get("displayName", ""),
                "modelVersionId": deployed["modelVersionId"],
            }
        )

    async def exchange(self, request: Request) -> Response:
        """A signed assertion for an access token. https://datatracker.ietf.org/doc/html/rfc7523"""
        form = parse_qs((await request.body()).decode())
        # google-auth asserts itself to Google's own address, wherever token_uri leads.
        audience = "https://oauth2.googleapis.com/token"
        try:
            email = iam.assertion(self._context, form["assertion"][0], audience)
        except (KeyError, ValueError, google.auth.exceptions.GoogleAuthError) as wrong:
            said = {"error": "invalid_grant", "error_description": f"Invalid JWT: {wrong}"}
            return JSONResponse(said, 400)
        return JSONResponse(iam.token(self._context, email))

    async def metadata(self, request: Request) -> Response:
        """The metadata server of a workload. https://cloud.google.com/compute/docs/metadata/overview"""
        if request.headers.get("metadata-flavor") != "Google":
            return PlainTextResponse("Missing Metadata-Flavor:Google header.", 403)
        email, path = request.path_params["email"], request.path_params["path"].strip("/")
        if not iam.account_exists(self._context, email):
            return PlainTextResponse(f"service account {email} is not there", 404, headers=FLAVOR)
        project = email.partition("@")[2].partition(".")[0]
        text = {
            "project/project-id": project,
            "project/numeric-project-id": self._context.account.gcp_number(project),
            "universe/universe-domain": "googleapis.com",
        }.get(path)
        if text is not None:
            return PlainTextResponse(text, headers=FLAVOR)
        _, _, what = path.partition("instance/service-accounts/")
        account, _, what = what.partition("/")
        if account in ("default", email) and what == "token":
            return JSONResponse(iam.token(self._context, email), headers=FLAVOR)
        if account in ("default", email) and not what:
            about = {"email": email, "aliases": ["default"], "scopes": [SCOPE]}
            return JSONResponse(about, headers=FLAVOR)
        return PlainTextResponse("not found", 404, headers=FLAVOR)

    async def storage(self, request: Request) -> Response:
        """Cloud Storage as one service account may use it: the emulator behind its permissions."""
        email = request.path_params["email"]
        path = request.url.path.partition(f"/as/{email}/")[2]
        body = await request.body()
        try:
            self._require_storage(email, request, path, body)
        except Refusal as refused:
            return _refusal(refused)
        except (KeyError, ValueError):
            return _refusal(Refusal("INVALID_ARGUMENT", "Required: the object's name."))
        if request.method == "GET" and path == "storage/v1/b":
            return JSONResponse(resource_lists.buckets(self._context, request))
        base = await anyio.to_thread.run_sync(self._context.object_stores.gcs)
        raw = request.scope["raw_path"].decode().partition("/as/")[2].partition("/")[2]
        answer = await self._client.request(
            request.method,
            f"{base}/{raw}?{request.url.query}",
            content=body,
            headers={
                k: v for k, v in request.headers.items() if k not in ("host", "content-length")
            },
        )
        dropped = ("content-length", "transfer-encoding", "content-encoding", "connection")
        headers = {k: v for k, v in answer.headers.items() if k not in dropped}
        return Response(answer.content, answer.status_code, headers)

    def _require_storage(self, email: str, request: Request, path: str, body: bytes) -> None:
        bucket, _, rest = path.partition("/b/")[2].partition("/")
        name = unquote(rest.removeprefix("o").strip("/"))
        if path.startswith("upload/"):
            verb, name = "create", request.query_params.get("name") or _uploaded_name(body)
        elif name:
            verb = {"GET": "get", "DELETE": "delete"}.get(request.method, "update")
        else:
            verb = "list"
        on = iam.stored(bucket, name, request.query_params.get("prefix", ""))
        permission = f"storage.objects.{verb}"
        if not iam.allowed(self._context, email, permission, on):
            raise Refusal(
                "PERMISSION_DENIED",
                f"{email} does not have {permission} access to the Google Cloud Storage object."
                f" Permission '{permission}' denied on resource '{on.full_name}' (or it may not exist).",
            )


def _uploaded_name(body: bytes) -> str:
    """The object's name in the JSON that a multipart upload begins with, or a resumable one is.

    https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects
    """
    metadata, _ = json.JSONDecoder().raw_decode(body.decode("latin-1"), body.index(b"{"))
    return str(metadata["name"])


async def _flavor(_request: Request) -> Response:
    return PlainTextResponse("computeMetadata/\n", headers=FLAVOR)


def _name(request: Request, collection: str) -> str:
    path = request.path_params
    parent = f"projects/{path['project']}/locations/{path['location']}"
    return f"{parent}/{collection}/{path[collection.removesuffix('s')]}"


def _upload_model(context: Context, request: Request, body: Json) -> Json:
    path = request.path_params
    return vertex_ai.upload_model(context, path["project"], path["location"], body)


def _list_models(context: Context, request: Request, _body: Json) -> Json:
    return vertex_ai.list_models(context, **request.path_params)


def _get_model(context: Context, request: Request, _body: Json) -> Json:
    return vertex_ai.get_model(context, _name(request, "models"))


def _patch_model(context: Context, request: Request, body: Json) -> Json:
    mask = request.query_params.get("updateMask", "")
    return vertex_ai.patch_model(context, _name(request, "models"), mask, body)


def _delete_model(context: Context, request: Request, _body: Json) -> Json:
    return vertex_ai.delete_model(context, _name(request, "models"))


def _list_endpoints(context: Context, request: Request, _body: Json) -> Json:
    return vertex_ai.list_endpoints(context, **request.path_params)


def _get_endpoint(context: Context, request: Request, _body: Json) -> Json:
    return vertex_ai.get_endpoint(context, _name(request, "endpoints"))


def _patch_endpoint(context: Context, request: Request, body: Json) -> Json:
    mask = request.query_params.get("updateMask", "")
    return vertex_ai.patch_endpoint(context, _name(request, "endpoints"), mask, body)


def _on_endpoint(context: Context, request: Request, body: Json) -> Json:
    verbs: dict[str, Any] = {
        "deployModel": vertex_ai.deploy_model,
        "mutateDeployedModel": vertex_ai.mutate_deployed_model,
        "undeployModel": vertex_ai.undeploy_model,
    }
    verb = request.path_params["verb"]
    if verb not in verbs:
        raise Refusal("NOT_FOUND", f"Method not found: {verb}.")
    answer: Json = verbs[verb](context, _name(request, "endpoints"), body)
    return answer


def _get_operation(context: Context, request: Request, _body: Json) -> Json:
    return operations.get(context, request.path_params["name"])


def _create_build(context: Context, request: Request, body: Json) -> Json:
    path = request.path_params
    return cloud_build.create(context, path["project"], path["location"], body)


def _get_build(context: Context, request: Request, _body: Json) -> Json:
    return cloud_build.get(context, request.path_params["build"])


def _get_tag(context: Context, request: Request, _body: Json) -> Json:
    return cloud_build.get_tag(context, **request.path_params)
