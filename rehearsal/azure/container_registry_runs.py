"""Quick builds of a registry, which really build: the upload of the context, the run and its log.

https://learn.microsoft.com/rest/api/containerregistry-tasks/registries/schedule-run
https://learn.microsoft.com/rest/api/containerregistry-tasks/runs
"""

from __future__ import annotations

import secrets
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from rehearsal.azure import container_registry
from rehearsal.azure import container_registry_data_plane as data_plane
from rehearsal.azure.calls import Call
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.runtime.images import BuildFailed

RUNS = "azure-registry-runs"
"""The namespace of the runs, by the registry's id and the run's."""
LINKS = "azure-registry-links"
"""The namespace with the paths that a signed link opens, by its signature."""
KEPT = timedelta(days=30)
"""A run that is not archived is deleted then: `isArchiveEnabled`, and
https://learn.microsoft.com/azure/container-registry/container-registry-tasks-logs (believed of the run itself)."""

_running: set[str] = set()


class StepFailed(Exception):
    """Why a run failed."""


def source_upload_url(call: Call) -> Json:
    """``listBuildSourceUploadUrl``: where the context can be put, and the name that a run calls it by."""
    container_registry.called_registry(
        call, call.url.path.rpartition("/")[0], "listBuildSourceUploadUrl/action"
    )
    relative = f"source/{datetime.now(UTC):%Y%m%d}0000/{uuid.uuid4()}.tar.gz"
    return {"uploadUrl": _signed_link(call.context, relative), "relativePath": relative}


def schedule_run(call: Call) -> Json:
    """``scheduleRun``: the run, which is queued."""
    context, request = call.context, call.body
    registry = container_registry.called_registry(
        call, call.url.path.rpartition("/")[0], "scheduleRun/action"
    )
    if request.get("type") != "DockerBuildRequest":
        raise Refusal(
            "NotSupported", f"the rehearsal runs DockerBuildRequest, not {request.get('type')}"
        )
    for required in ("dockerFilePath", "platform", "sourceLocation"):
        if not request.get(required):
            raise Refusal("InvalidRequest", f"The request has no {required}.")
    number = len([key for key in context.kv.items(RUNS) if key.startswith(f"{registry.id}/")]) + 1
    run_id = f"ca{number}"
    run: Json = {
        "id": f"{registry.id}/runs/{run_id}",
        "name": run_id,
        "type": "Microsoft.ContainerRegistry/registries/runs",
        "properties": {
            "runId": run_id,
            "status": "Queued",
            "runType": "QuickBuild",
            "createTime": _now(),
            "lastUpdatedTime": _now(),
            "platform": request["platform"],
            "provisioningState": "Succeeded",
            "isArchiveEnabled": False,
        },
    }
    context.kv.put(RUNS, run["id"], run)
    _running.add(run["id"])
    threading.Thread(
        target=_execute, args=(context, registry, request, run), name=f"run {run_id}", daemon=True
    ).start()
    return run


def get_run(call: Call) -> Json:
    """``runs/get``. One that was under way when the rehearsal was stopped has failed."""
    registry, _, run_id = call.url.path.partition("/runs/")
    container_registry.called_registry(call, registry, "runs/read")
    return _run(call.context, registry, run_id)


def log_link(call: Call) -> Json:
    """``runs/listLogSasUrl``: a link to the run's log."""
    registry, _, rest = call.url.path.partition("/runs/")
    run_id = rest.partition("/")[0]
    container_registry.called_registry(call, registry, "runs/listLogSasUrl/action")
    run = _run(call.context, registry, run_id)
    return {"logLink": _signed_link(call.context, _log_path(run))}


def _run(context: Context, registry: str, run_id: str) -> Json:
    run: Json | None = next(
        (
            each
            for key, each in context.kv.items(RUNS).items()
            if key.lower() == f"{registry}/runs/{run_id}".lower()
        ),
        None,
    )
    if run is None or datetime.now(UTC) - _created(run) > KEPT:
        raise Refusal("RunNotFound", f"The run {run_id} was not found.")
    if run["properties"]["status"] in ("Queued", "Running") and run["id"] not in _running:
        stopped = "The rehearsal was stopped in the middle of this."
        run["properties"] |= {"status": "Error", "runErrorMessage": stopped}
    return run


def _execute(context: Context, registry: Record, request: Json, run: Json) -> None:
    properties = run["properties"]

    def save(**changes: object) -> None:
        properties.update(changes, lastUpdatedTime=_now())
        context.kv.put(RUNS, run["id"], run)

    log: list[str] = []
    try:
        save(status="Running", startTime=_now())
        context.behaviour.spend("containerregistry:run")
        images = _built(context, registry, request, log)
        save(status="Succeeded", outputImages=images)
    except (StepFailed, BuildFailed) as failed:
        log += [
            str(failed),
            f"Run ID: {run['name']} failed after 1s. Error: failed during run, err: exit status 1",
        ]
        save(status="Failed", runErrorMessage="failed during run, err: exit status 1")
    except Exception as failure:
        save(status="Error", runErrorMessage=f"the rehearsal failed: {failure!r}")
        raise
    finally:
        _write(_place(context, _log_path(run)), "\n".join(log).encode())
        _place(context, request["sourceLocation"]).unlink(missing_ok=True)
        save(finishTime=_now())
        _running.discard(run["id"])


def _built(context: Context, registry: Record, request: Json, log: list[str]) -> list[Json]:
    """Build the uploaded context and push it; the images as a run describes them.

    A quick build is logged in to its registry with access to all of it, unless the registry is in the mode of
    attribute-based access, or the request says `None`.
    https://learn.microsoft.com/azure/container-registry/container-registry-rbac-abac-repository-permissions
    """
    source = _place(context, request["sourceLocation"])
    if not source.exists():
        raise StepFailed(f"failed to download source code: {request['sourceLocation']}: 404")
    log.append("Downloading source code... Finished downloading source code")
    server = registry.outputs["loginServer"]
    login = (request.get("credentials") or {}).get("sourceRegistry") or {}
    arguments = {each["name"]: each["value"] for each in request.get("arguments") or ()}
    pushed = []
    for name in request.get("imageNames") or ():
        repository, _, tag = name.rpartition(":")
        stored = data_plane.stored_name(registry, repository)
        image = context.images.build(
            source, request["dockerFilePath"], stored, tag, arguments=arguments
        )
        log += [f"Successfully tagged {server}/{name}", *image.notes]
        if request.get("isPushEnabled") is False:
            continue
        if login.get("loginMode", "Default") != "Default":
            raise StepFailed("failed to push image: unauthorized: authentication required")
        container_registry.keep_repository(context, registry, stored)
        built = f"built {server}/{name}"
        context.ledger.note("executed", registry, "; ".join((built, *image.notes)))
        pushed.append(
            {"registry": server, "repository": repository, "tag": tag, "digest": image.digest}
        )
    return pushed


def files(context: Context) -> Starlette:
    """The storage account of the service's own, which signed links open: contexts and logs."""

    async def answer(request: Request) -> Response:
        path = request.path_params["path"]
        if context.kv.get(LINKS, request.query_params.get("sig", "")) != path:
            return Response("<Error><Code>AuthenticationFailed</Code></Error>", 403)
        place = _place(context, path)
        if request.method == "PUT":
            _write(place, await request.body())
            headers = {"etag": '"0x1"', "last-modified": f"{datetime.now(UTC):%a, %d %b %Y %T GMT}"}
            return Response(status_code=201, headers=headers)
        if not place.exists():
            return Response("<Error><Code>BlobNotFound</Code></Error>", 404)
        return FileResponse(place, media_type="text/plain")

    return Starlette(
        routes=[Route("/acrtasks/container/{path:path}", answer, methods=["GET", "PUT"])]
    )


def _signed_link(context: Context, path: str) -> str:
    signature = secrets.token_urlsafe(24)
    context.kv.put(LINKS, signature, path)
    url = context.endpoints.open("azure/registry-tasks", files(context), tls=True)
    return f"{url}/acrtasks/container/{path}?sv=2024-11-04&sr=b&sp=rw&sig={signature}"


def _place(context: Context, path: str) -> Path:
    """The file of a path. A context's name is a GUID's, so no path leaves the folder."""
    return context.state_dir / "azure-registry-tasks" / path.replace("/", "-")


def _log_path(run: Json) -> str:
    return f"logs/{uuid.uuid5(uuid.NAMESPACE_URL, run['id'])}/rawtext.log"


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(exist_ok=True, mode=0o700)
    place.write_bytes(content)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _created(run: Json) -> datetime:
    return datetime.fromisoformat(run["properties"]["createTime"])
