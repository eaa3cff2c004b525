"""One run of Cloud Build as a resource: a context in, an image digest out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from components.built_image import BuildFailed, ImageProvider
from components.dynamic import Props, wait_for
from components.gcp import rest

BUILDER = (
    "gcr.io/cloud-builders/docker"
    "@sha256:3d00b6c1a9b862621c30fc74d4f2abfc62bcbdee631ed3febd31e7edbdf6252c"
)
"""Google's own builder, which publishes no versions. The digest is believed: builds of September 2026 reported it.
https://github.com/GoogleCloudPlatform/cloud-builders/tree/master/docker"""
BUILD_SECONDS = 20 * 60
"""Time-out of a build. Without any cached layer it takes about three minutes."""
NOT_GRANTED = ("FETCH_SOURCE_FAILED", "LOGGING_FAILURE", "PUSH_NOT_AUTHORIZED")
"""The kinds of failure that a grant causes which is not in force yet."""
WAIT_SECONDS = BUILD_SECONDS + 5 * 60
"""Queueing and building: longer than a build may take, so that Cloud Build's own reason is shown. (Its time-out
does not count the queue: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#Build)"""


class BuiltImageProvider(ImageProvider):
    """The repository's tags are immutable: a tag never names another image."""

    replace_on = frozenset({"project", "region", "repository", "tag"})

    def digest(self, props: Props) -> str | None:
        """The digest that the tag names in Artifact Registry; None if there is no such image."""
        _host, project, repository, image = props["repository"].split("/")
        tag = rest.find(
            f"{rest.artifact_registry_url()}projects/{project}/locations/{props['region']}"
            f"/repositories/{repository}/packages/{image}/tags/{props['tag']}"
        )
        return tag["version"].rsplit("/", 1)[1] if tag else None

    def build(self, props: Props) -> str:
        return _build(props)


class BuiltImage(Resource, module="triplane", name="GcpBuiltImage"):
    """The image of one tag, pinned by digest."""

    image: pulumi.Output[str]
    """The image pinned by digest."""

    def __init__(
        self,
        name: str,
        *,
        project: str,
        region: str,
        repository: pulumi.Input[str],
        tag: str,
        arguments: Mapping[str, str],
        bucket: pulumi.Input[str],
        context: pulumi.Input[str],
        service_account: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(
            BuiltImageProvider(),
            name,
            {
                "project": project,
                "region": region,
                "repository": repository,
                "tag": tag,
                "arguments": dict(arguments),
                "bucket": bucket,
                "context": context,
                "service_account": service_account,
                "image": None,
            },
            opts,
        )


def build_request(props: Props) -> dict[str, Any]:
    """The body of ``builds.create``."""
    image = f"{props['repository']}:{props['tag']}"
    return {
        "source": {"storageSource": {"bucket": props["bucket"], "object": props["context"]}},
        "steps": [
            {
                "name": BUILDER,
                "args": [
                    "build",
                    *(f"--build-arg={name}={value}" for name, value in props["arguments"].items()),
                    "--tag",
                    image,
                    ".",
                ],
            }
        ],
        "images": [image],
        "serviceAccount": f"projects/{props['project']}/serviceAccounts/{props['service_account']}",
        # Required of a build that runs as an account of our own, unless it names a bucket for the log:
        # https://cloud.google.com/build/docs/securing-builds/store-manage-build-logs
        "options": {"logging": "CLOUD_LOGGING_ONLY"},
        "timeout": f"{BUILD_SECONDS}s",
    }


def _build(props: Props) -> str:
    """Build and push; the digest. Raises BuildFailed with Cloud Build's own reasons."""
    image = f"{props['repository']}:{props['tag']}"
    builds = (
        f"{rest.cloud_build_url()}projects/{props['project']}/locations/{props['region']}/builds"
    )
    try:
        started = rest.call("POST", builds, build_request(props))
    except rest.GoogleError as error:
        # Also a context that the build's account may not read: Cloud Build looks at it first.
        # https://github.com/DefangLabs/pulumi-defang/issues/115
        raise BuildFailed(str(error), denied=rest.is_denied(error)) from None
    url = f"{builds}/{started['metadata']['build']['id']}"

    def finished() -> dict[str, Any] | None:
        build = rest.call("GET", url)
        return None if build["status"] in ("PENDING", "QUEUED", "WORKING") else build

    build = wait_for(finished, what=f"Cloud Build of {image}", seconds=WAIT_SECONDS)
    if build["status"] != "SUCCESS":
        raise BuildFailed(
            f"Cloud Build of {image}: {build['status']}. {_reason(build)} Log: {build.get('logUrl')}",
            denied=_was_denied(build),
        )
    digest: str = build["results"]["images"][0]["digest"]
    return digest


def _reason(build: dict[str, Any]) -> str:
    """Why a build failed. The detail is a fixed text for a kind of failure; the status says what happened.

    https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#failureinfo
    """
    texts = (build.get("failureInfo", {}).get("detail"), build.get("statusDetail"))
    return " ".join(dict.fromkeys(text for text in texts if text))


def _was_denied(build: dict[str, Any]) -> bool:
    """Whether the build's account was refused something: the source, the log, or the registry."""
    kind = build.get("failureInfo", {}).get("type")
    if kind == "USER_BUILD_STEP":  # `docker build`, which needs no permission
        return False
    return kind in NOT_GRANTED or bool(re.search(rest.DENIED, _reason(build), re.IGNORECASE))
