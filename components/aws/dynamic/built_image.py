"""An image that CodeBuild has built: started when its tag is not in the registry yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from components.aws.dynamic.clients import client
from components.built_image import BuildFailed, ImageProvider
from components.dynamic import Props, wait_for

BUILD_MINUTES = 20
"""Time-out of the project's builds."""
DENIED = r"access ?denied|not authorized|docker (login|push)"
WAIT_SECONDS = (BUILD_MINUTES + 5) * 60
"""Queueing and building: longer than a build may take, so that CodeBuild's own reason is shown."""


class BuiltImageProvider(ImageProvider):
    """The repository's tags are immutable: a tag never names another image."""

    replace_on = frozenset({"repository", "tag"})

    def digest(self, props: Props) -> str | None:
        """The digest that the tag names in ECR; None if there is no such image or repository."""
        ecr = client("ecr", props["region"])
        repository = props["repository"].partition("/")[2]
        try:
            answer = ecr.describe_images(
                repositoryName=repository, imageIds=[{"imageTag": props["tag"]}]
            )
        except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
            return None
        return str(answer["imageDetails"][0]["imageDigest"])

    def build(self, props: Props) -> str:
        _build(props)
        digest = self.digest(props)
        if digest is None:
            raise BuildFailed(
                f"{props['project']} succeeded, but {props['repository']} has no tag {props['tag']}"
            )
        return digest


class BuiltImage(Resource, module="triplane", name="AwsBuiltImage"):
    """The image of one tag, pinned by digest."""

    image: pulumi.Output[str]
    """The image pinned by digest."""

    def __init__(
        self,
        name: str,
        *,
        region: str,
        project: pulumi.Input[str],
        repository: pulumi.Input[str],
        tag: str,
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {"region": region, "project": project, "repository": repository, "tag": tag}
        super().__init__(BuiltImageProvider(), name, {**props, "image": None}, opts)


def _build(props: Props) -> None:
    """Build and push. Raises BuildFailed with CodeBuild's own reasons."""
    codebuild = client("codebuild", props["region"])
    started = codebuild.start_build(projectName=props["project"])["build"]["id"]

    def finished() -> dict[str, Any] | None:
        found: dict[str, Any] = codebuild.batch_get_builds(ids=[started])["builds"][0]
        return None if found["buildStatus"] == "IN_PROGRESS" else found

    result = wait_for(finished, what=f"build {started}", seconds=WAIT_SECONDS)
    if result["buildStatus"] != "SUCCEEDED":
        raise BuildFailed(_explain(result), denied=_was_denied(result))


def _failures(build: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Phase, code and message of each failure of a build."""
    for phase in build.get("phases", []):
        if phase.get("phaseStatus") not in (None, "SUCCEEDED"):
            for context in phase.get("contexts", []):
                yield phase["phaseType"], context.get("statusCode", ""), context.get("message", "")


def _was_denied(build: dict[str, Any]) -> bool:
    """Whether the role was refused something: the log's stream (QUEUED), the context in the lake, the registry.

    Of a failed command CodeBuild reports the command and no reason. Those that need a permission are the login and the
    push; so another reason of theirs is taken for a denial, too.
    https://github.com/tmokmss/deploy-time-build/issues/72
    https://github.com/awslabs/aws-refarch-cross-account-pipeline/issues/5
    """
    return any(
        code == "ACCESS_DENIED" or re.search(DENIED, message, re.IGNORECASE)
        for _, code, message in _failures(build)
    )


def _explain(build: dict[str, Any]) -> str:
    reasons = [f"in phase {phase}: {message}" for phase, _, message in _failures(build) if message]
    where = build.get("logs", {}).get("deepLink", "no log was written")
    return f"build {build['id']} ended as {build['buildStatus']} {'; '.join(reasons)}. Log: {where}"
