"""Container registries, and the task runs that build in them."""

from __future__ import annotations

import base64
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

import yaml

from rehearsal.azure import permissions
from rehearsal.azure.resource_type import IDENTITY, AzureResourceType
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name
from rehearsal.runtime.images import BuildFailed, Image

REGISTRY = "azure-native:containerregistry:Registry"
TASK_RUN = "azure-native:containerregistry:TaskRun"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
PUSH = "Microsoft.ContainerRegistry/registries/push/write"
STEP_SECONDS = 600
REPOSITORIES = "azure-repositories"
"""The namespace with the repositories of each registry."""


class Registry(AzureResourceType):
    """A container registry."""

    token = REGISTRY
    source = "https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftcontainerregistry"
    executes = "stores the images that task runs build; it has no registry protocol"
    path = "Microsoft.ContainerRegistry/registries/{registryName}"
    name = Name(
        property="registryName",
        pattern=r"[a-zA-Z0-9]*",
        min=5,
        max=50,
        rule="5 to 50 letters and digits",
        taken="AlreadyInUse",
    )

    def on_create(self, context: Context, record: Record) -> None:
        record.outputs["loginServer"] = f"{record.inputs['registryName'].lower()}.azurecr.io"

    def delete(self, context: Context, record: Record) -> None:
        for repository in context.kv.get(REPOSITORIES, record.id) or ():
            context.images.drop_repository(repository)
        context.kv.delete(REPOSITORIES, record.id)


class TaskRun(AzureResourceType):
    """A run of a task. Its steps are executed in a folder of their own."""

    token = TASK_RUN
    source = "https://learn.microsoft.com/azure/container-registry/container-registry-tasks-reference-yaml"
    executes = (
        "`cmd: bash` steps run in this machine's bash, `build` steps in the rehearsal's builder"
    )
    path = "Microsoft.ContainerRegistry/registries/{registryName}/taskRuns/{taskRunName}"
    references: ClassVar = {"registryName": REGISTRY}
    volatile = frozenset({"runResult"})

    def on_create(self, context: Context, record: Record) -> None:
        record.outputs["runResult"] = _run(context, record, number=1)

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        changed = [
            key
            for key in ("forceUpdateTag", "runRequest")
            if old.inputs.get(key) != record.inputs.get(key)
        ]
        if changed:
            number = int(old.outputs["runResult"]["runId"].removeprefix("ca")) + 1
            record.outputs["runResult"] = _run(context, record, number)


def pulled_image(context: Context, reference: str, principal: str) -> Image:
    """The image that a service pulls as a principal, or Azure's refusal."""
    registry = context.find(REGISTRY, loginServer=reference.partition("/")[0])
    if registry is None:
        raise Refusal("ImagePullFailure", f"no registry exists for {reference}")
    if not permissions.allowed(context, principal, PULL, registry.id):
        raise Refusal(
            "ImagePullUnauthorized",
            f"unauthorized: authentication required: the identity {principal} does not have AcrPull"
            f" on {registry.id}",
        )
    found = context.images.find(reference)
    if found is None:
        raise Refusal("ImagePullFailure", f"manifest for {reference} not found: manifest unknown")
    return found


def _run(context: Context, record: Record, number: int) -> Json:
    """Execute a run's steps; returns the run as Azure describes it."""
    registry = context.find(REGISTRY, name=record.inputs["registryName"])
    assert registry is not None  # `references` has checked it
    request = record.inputs["runRequest"]
    if request.get("type") != "EncodedTaskRunRequest":
        raise Refusal(
            "InvalidRunRequest",
            f"the rehearsal executes EncodedTaskRunRequest only, not {request.get('type')}",
        )
    _require_push(context, registry, record, request)
    server, run_id = registry.outputs["loginServer"], f"ca{number}"
    pushed = _pushed_images(context, request, server, run_id)
    repositories = set(context.kv.get(REPOSITORIES, registry.id) or ())
    repositories |= {image.repository for _, image in pushed}
    context.kv.put(REPOSITORIES, registry.id, sorted(repositories))
    for reference, image in pushed:
        context.ledger.note("executed", record, "; ".join((f"built {reference}", *image.notes)))
    return {
        "id": f"{registry.id}/runs/{run_id}",
        "name": run_id,
        "type": "Microsoft.ContainerRegistry/registries/runs",
        "runId": run_id,
        "runType": "QuickRun",
        "status": "Succeeded",
        "provisioningState": "Succeeded",
        "platform": request["platform"],
        "runErrorMessage": "",
        "outputImages": [
            {
                "registry": server,
                "repository": image.repository.removeprefix(f"{server}/"),
                "tag": reference.rpartition(":")[2],
                "digest": image.digest,
            }
            for reference, image in pushed
        ],
    }


def _pushed_images(
    context: Context, request: Json, server: str, run_id: str
) -> list[tuple[str, Image]]:
    """Execute the steps of a run; returns the images that it pushes, each with its reference."""
    steps = yaml.safe_load(base64.b64decode(request["encodedTaskContent"]))["steps"]
    built: dict[str, Image] = {}
    pushed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for index, step in enumerate(steps):
            try:
                match step:
                    case {"cmd": command}:
                        _command(command, Path(folder))
                    case {"build": arguments}:
                        reference, image = _build(
                            context, arguments.replace("$Registry", server), Path(folder)
                        )
                        built[reference] = image
                    case {"push": references}:
                        pushed += [each.replace("$Registry", server) for each in references]
            except (BuildFailed, _StepFailed) as error:
                raise Refusal(
                    "TaskRunFailed", f"Run ID {run_id} failed at step acb_step_{index}: {error}"
                ) from None
    missing = [each for each in pushed if each not in built]
    if missing:
        raise Refusal(
            "TaskRunFailed", f"An image does not exist locally with the tag: {missing[0]}"
        )
    return [(reference, built[reference]) for reference in pushed]


class _StepFailed(Exception):
    """A step of a run failed."""


def _require_push(context: Context, registry: Record, record: Record, request: Json) -> None:
    """Refuse a run that logs in to the registry as an identity that may not push, or without one."""
    credentials = request.get("credentials") or {}
    if (credentials.get("sourceRegistry") or {}).get("loginMode", "Default") == "Default":
        return
    server = registry.outputs["loginServer"]
    client = ((credentials.get("customRegistries") or {}).get(server) or {}).get("identity")
    identity = context.find(IDENTITY, clientId=client) if client else None
    assigned = (record.inputs.get("identity") or {}).get("userAssignedIdentities") or {}
    if (
        identity is None
        or identity.id not in assigned
        or not permissions.allowed(context, identity.outputs["principalId"], PUSH, registry.id)
    ):
        raise Refusal(
            "TaskRunFailed",
            f"failed to push to {server}: unauthorized: authentication required. The run logs in as"
            f" the identity with the client id {client}, which the task run must have and which"
            " must have AcrPush.",
        )


def _command(command: str, folder: Path) -> None:
    """A `cmd` step. Of the images that ACR Tasks knows by an alias, only `bash` can run here."""
    alias, *arguments = shlex.split(command)
    if alias != "bash":
        raise _StepFailed(f"the rehearsal has no image for `{alias}`; it runs `bash` only")
    bash = shutil.which("bash")
    if bash is None:
        raise _StepFailed("there is no bash on this machine")
    try:
        subprocess.run(
            [bash, *arguments],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise _StepFailed(error.stdout[-1000:]) from None
    except OSError as error:
        raise _StepFailed(str(error)) from None


def _build(context: Context, arguments: str, folder: Path) -> tuple[str, Image]:
    """A `build` step: ``-t REPOSITORY:TAG -f DOCKERFILE CONTEXT``."""
    words = shlex.split(arguments)
    options = dict(zip(words[:-1:2], words[1:-1:2], strict=True))
    reference = options["-t"]
    repository, _, tag = reference.rpartition(":")
    build_context = folder / words[-1]
    result = context.images.build(build_context, options.get("-f", "Dockerfile"), repository, tag)
    return reference, result
