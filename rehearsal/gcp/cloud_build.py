"""Cloud Build, which really builds.

https://cloud.google.com/build/docs/api/reference/rest/v1/projects.locations.builds
"""

from __future__ import annotations

import re
import tempfile
import threading
import uuid
from pathlib import Path

from rehearsal.core.records import Json, Record, Refusal
from rehearsal.gcp import artifact_registry, iam, permissions, service_usage, storage
from rehearsal.gcp.calls import Call, timestamp
from rehearsal.provider.context import Context
from rehearsal.runtime.dockerfile import build_arguments
from rehearsal.runtime.images import BuildFailed, Image, TagImmutable

DOCKER = "gcr.io/cloud-builders/docker"
BUILDS = "gcp/builds"
"""The namespace of the builds."""

_running: set[str] = set()


class StepFailed(Exception):
    """Why a build ended as FAILURE: in one of its steps."""


class PushFailed(Exception):
    """Why a build ended as FAILURE: the account may not push what was built."""


def create_build(call: Call) -> Json:
    """``builds.create``: an operation with the build in its metadata."""
    context, request = call.context, call.body
    service_usage.require_api(context, call.project, "cloudbuild.googleapis.com")
    if not request.get("steps"):
        raise Refusal("INVALID_ARGUMENT", "invalid build: no build steps specified")
    account = request.get("serviceAccount", "")
    logging = request.get("options", {}).get("logging", "")
    if account:
        # https://cloud.google.com/build/docs/securing-builds/configure-user-specified-service-accounts
        iam.require_act_as(context, call.caller, account.rsplit("/", 1)[-1])
        iam.require_account(context, account.rsplit("/", 1)[-1])
        if logging not in ("CLOUD_LOGGING_ONLY", "NONE") and not request.get("logsBucket"):
            raise Refusal(
                "INVALID_ARGUMENT",
                "if 'build.service_account' is specified, the build must either (a) specify"
                " 'build.logs_bucket', (b) use the REGIONAL_USER_OWNED_BUCKET"
                " build.options.default_logs_bucket_behavior option, or (c) use either"
                " CLOUD_LOGGING_ONLY / NONE logging options",
            )
    _require_source(context, account.rsplit("/", 1)[-1], request.get("source", {}))
    id = str(uuid.uuid4())
    build = {
        **request,
        "id": id,
        "name": f"{call.parent}/builds/{id}",
        "projectId": call.project,
        "status": "QUEUED",
        "createTime": timestamp(),
        "logUrl": f"{context.base_url}/?build={id}",
    }
    context.kv.put(BUILDS, id, build)
    _running.add(id)
    threading.Thread(target=_run, args=(context, build), name=f"build {id}", daemon=True).start()
    return {"name": f"{call.parent}/operations/{id}", "metadata": {"build": build}}


def get_build(call: Call) -> Json:
    """``builds.get``. One that was under way when the rehearsal was stopped has failed."""
    context, id = call.context, call.path["build"]
    build: Json | None = context.kv.get(BUILDS, id)
    if build is None:
        raise Refusal("NOT_FOUND", f"build {id} not found")
    if build["status"] in ("QUEUED", "WORKING") and id not in _running:
        build = {**context.kv.get(BUILDS, id)}
        if build["status"] in ("QUEUED", "WORKING"):
            detail = "The rehearsal was stopped in the middle of this."
            build |= {"status": "INTERNAL_ERROR", "statusDetail": detail}
    return build


def _run(context: Context, build: Json) -> None:
    id: str = build["id"]
    try:
        context.kv.put(
            BUILDS, id, build := {**build, "status": "WORKING", "startTime": timestamp()}
        )
        try:
            built = [_step(context, build, step) for step in build["steps"]]
            context.behaviour.spend("cloudbuild:build")
            build["results"] = {
                "images": [{"name": name, "digest": image.digest} for name, image in built]
            }
            build["status"] = "SUCCESS"
        except (StepFailed, BuildFailed, TagImmutable) as failed:
            build["status"] = "FAILURE"
            build["failureInfo"] = {"type": "USER_BUILD_STEP", "detail": str(failed)}
        except PushFailed as failed:
            # The detail of a failure is "hard-coded text", and what was denied is in the status.
            # https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#failureinfo
            build["status"] = "FAILURE"
            build["statusDetail"] = str(failed)
            build["failureInfo"] = {
                "type": "PUSH_NOT_AUTHORIZED",
                "detail": "Build push failed because unauthorized.",
            }
    except Exception as failure:
        build |= {"status": "INTERNAL_ERROR", "statusDetail": f"the rehearsal failed: {failure!r}"}
        raise
    finally:
        context.kv.put(BUILDS, id, {**build, "finishTime": timestamp()})
        _running.discard(id)


def _step(context: Context, build: Json, step: Json) -> tuple[str, Image]:
    """Execute ``docker build``, the only supported step, and push the image."""
    args = list(step.get("args", ()))
    if re.split("[:@]", step["name"])[0] != DOCKER or args[:1] != ["build"]:
        raise StepFailed(f"the rehearsal executes `docker build` of {DOCKER} only: {step}")
    target = _option(args, "--tag", "-t")
    dockerfile = _option(args, "--file", "-f") or "Dockerfile"
    if target is None or target not in build.get("images", ()):
        raise StepFailed(f"{target} is built, but not among the images to push")
    email = build.get("serviceAccount", "").rsplit("/", 1)[-1]
    name, _, tag = target.rpartition(":")
    repository = _pushable_repository(context, email, name)
    with tempfile.TemporaryDirectory(dir=context.state_dir) as folder:
        build_context = _fetched_source(context, build["source"]["storageSource"], Path(folder))
        image = context.images.build(
            build_context,
            dockerfile,
            name,
            tag,
            arguments=build_arguments(args),
            immutable=bool((repository.inputs.get("dockerConfig") or {}).get("immutableTags")),
        )
    package = name.rsplit("/", 1)[1]
    packages = {*context.kv.get(artifact_registry.PACKAGES, repository.id, []), package}
    context.kv.put(artifact_registry.PACKAGES, repository.id, sorted(packages))
    context.ledger.note("executed", repository, f"{target} was built: {'; '.join(image.notes)}")
    return target, image


def _option(args: list[str], *names: str) -> str | None:
    for index, each in enumerate(args[:-1]):
        if each in names:
            return args[index + 1]
    return None


def _pushable_repository(context: Context, email: str, name: str) -> Record:
    """The repository of an image's name, if the account may push there."""
    repository = artifact_registry.repository_of(context, name)
    if repository is None:
        raise StepFailed(f'push {name}: name unknown: Repository "{name}" not found')
    push = "artifactregistry.repositories.uploadArtifacts"
    if not permissions.allowed(context, email, push, artifact_registry.resource(repository)):
        raise PushFailed(
            f'push {name}: denied: Permission "{push}" denied on resource "{repository.id}" (or it may'
            " not exist)"
        )
    return repository


def _require_source(context: Context, email: str, source: Json) -> None:
    """Refuse a build whose account may not read the source, when it is created (believed: a report).

    https://github.com/DefangLabs/pulumi-defang/issues/115
    """
    stored = source.get("storageSource") or {}
    on = storage.resource(stored.get("bucket", ""), stored.get("object", ""))
    if stored and not permissions.allowed(context, email, "storage.objects.get", on):
        raise Refusal(
            "INVALID_ARGUMENT",
            f"could not resolve source: googleapi: Error 403: {email} does not have storage.objects.get"
            " access to the Google Cloud Storage object. Permission 'storage.objects.get' denied on"
            " resource (or it may not exist)., forbidden",
        )


def _fetched_source(context: Context, source: Json, folder: Path) -> Path:
    """The archive of the sources."""
    bucket, name = source["bucket"], source["object"]
    content = storage.get_object(context, bucket, name)
    if content is None:
        raise StepFailed(f"could not fetch source: 404 No such object: {bucket}/{name}")
    file = folder / Path(name).name
    file.write_bytes(content)
    return file
