"""An image that a registry's own task service has built: started when its tag is not in the registry yet.

A quick build, as of ``az acr build``: the context goes to the service's storage, and the run is logged in to its registry,
and to nothing else. It needs no identity of the platform's, and so no grant that could be late.
https://learn.microsoft.com/azure/container-registry/container-registry-tasks-overview#quick-task

azure-native's `TaskRun` waits at an address that does not exist (404 though the build succeeded), and a refresh of it
fails when the run is gone: https://github.com/pulumi/pulumi-azure-native/issues/1713
https://github.com/Azure/azure-rest-api-specs/issues/19159
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import DiffResult, Resource

from components import build_context
from components.azure import arm, login_server
from components.built_image import BuildFailed, ImageProvider
from components.dynamic import Props, wait_for

REGISTRY_API = "2023-07-01"
TASKS_API = "2019-06-01-preview"
"""The version that the Azure CLI uses. Only previews have runs."""
BUILD_SECONDS = 20 * 60
"""Time-out of a run (believed: it holds for the whole build). A task file would need a `stepTimeout` beside it: a step of one ends after 600 s by default.
https://learn.microsoft.com/azure/container-registry/container-registry-tasks-reference-yaml#task-properties"""
WAIT_SECONDS = BUILD_SECONDS + 5 * 60
"""Queueing and building: longer than a build may take, so that the run's own reason is shown."""
UNFINISHED = ("Queued", "Started", "Running")
LOG_LINES = 20


class BuiltImageProvider(ImageProvider):
    """The tags of a container registry can be moved, so an image that is known is read by its digest."""

    replace_on = frozenset({"registry", "repository", "tag"})

    def diff(self, id_: str, olds: Props, news: Props) -> DiffResult:
        # The context's place on this machine is no part of what is in the registry.
        return super().diff(id_, olds, {k: v for k, v in news.items() if k != "context"})

    def digest(self, props: Props) -> str | None:
        """The digest in the registry; None if there is no such image, or no such registry."""
        registry = arm.get(props["registry"], REGISTRY_API)
        if registry is None:
            return None
        known = (props.get("image") or "").partition("@")[2]
        return login_server.digest(
            registry["properties"]["loginServer"], _name(props), known or props["tag"]
        )

    def build(self, props: Props) -> str:
        """Upload the context, build and push. A run that an interrupted `up` has left builds the same for nothing."""
        run = _scheduled(props, _uploaded(props))
        address = f"{props['registry']}/runs/{run}"

        def finished() -> dict[str, Any] | None:
            # A run that is a moment old may not be found yet.
            found = (arm.get(address, TASKS_API) or {}).get("properties")
            return None if found is None or found["status"] in UNFINISHED else found

        result = wait_for(finished, what=f"run {run} of {_title(props)}", seconds=WAIT_SECONDS)
        if result["status"] != "Succeeded":
            reason = result.get("runErrorMessage") or "no reason is given"
            raise BuildFailed(
                f"run {run} of {_title(props)} ended as {result['status']}: {reason}.{_log(address)}"
            )
        (image,) = result["outputImages"]
        digest: str = image["digest"]
        return digest


class BuiltImage(Resource, module="triplane", name="AzureBuiltImage"):
    """The image of one tag, pinned by digest."""

    image: pulumi.Output[str]
    """The image pinned by digest."""

    def __init__(
        self,
        name: str,
        *,
        registry: pulumi.Input[str],
        repository: pulumi.Input[str],
        tag: str,
        context: Path,
        arguments: Mapping[str, str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(
            BuiltImageProvider(),
            name,
            {
                "registry": registry,
                "repository": repository,
                "tag": tag,
                # Relative to the project, where both the program and its providers run.
                "context": os.path.relpath(context),
                "arguments": dict(arguments),
                "image": None,
            },
            opts,
        )


def build_request(props: Props, source: str) -> dict[str, Any]:
    """The body of ``scheduleRun``; ``source`` is the uploaded context.

    https://learn.microsoft.com/rest/api/containerregistry-tasks/registries/schedule-run#dockerbuildrequest
    """
    return {
        "type": "DockerBuildRequest",
        "sourceLocation": source,
        "dockerFilePath": "Dockerfile",
        "arguments": [{"name": name, "value": value} for name, value in props["arguments"].items()],
        "imageNames": [f"{_name(props)}:{props['tag']}"],
        "isPushEnabled": True,
        "platform": {"os": "Linux", "architecture": "amd64"},
        "timeout": BUILD_SECONDS,
    }


def _name(props: Props) -> str:
    """The repository's name inside its registry."""
    name: str = props["repository"].partition("/")[2]
    return name


def _title(props: Props) -> str:
    return f"{props['repository']}:{props['tag']}"


def _uploaded(props: Props) -> str:
    """The name of the uploaded context. Its URL is signed: no error shows it, and nothing stores it.

    https://learn.microsoft.com/rest/api/containerregistry-tasks/registries/get-build-source-upload-url
    """
    from azure.core.exceptions import AzureError
    from azure.storage.blob import BlobClient

    place = _posted(f"{props['registry']}/listBuildSourceUploadUrl")
    archive = build_context.packed(Path(props["context"]))
    try:
        BlobClient.from_blob_url(place["uploadUrl"]).upload_blob(archive, overwrite=True)
    except AzureError as error:
        host = place["uploadUrl"].split("/")[2]
        status = getattr(error, "status_code", None) or type(error).__name__
        raise BuildFailed(
            f"the context of {_title(props)} was not uploaded to {host}: {status}"
        ) from None
    name: str = place["relativePath"]
    return name


def _scheduled(props: Props, source: str) -> str:
    """The id of the run that was queued."""
    run = _posted(f"{props['registry']}/scheduleRun", build_request(props, source))
    id_: str = run["properties"]["runId"]
    return id_


def _posted(address: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = arm.post(address, TASKS_API, body)
    if answer is None:
        raise BuildFailed(f"{address}: there is no such registry")
    return answer


def _log(address: str) -> str:
    """The last lines of a run's log; empty if it cannot be read. The link to it is signed, too."""
    import requests

    try:
        link = _posted(f"{address}/listLogSasUrl")["logLink"]
        with arm.session() as session:
            answer = session.get(link, timeout=60)
    except (BuildFailed, arm.ResourceManagerError, KeyError, requests.RequestException):
        return ""
    lines = answer.content.decode(errors="replace").splitlines() if answer.ok else []
    return "".join(f"\n  {line}" for line in lines[-LOG_LINES:])
