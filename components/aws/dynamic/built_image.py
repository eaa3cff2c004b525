"""An image that CodeBuild has built: started when its tag is not in the registry yet."""

from __future__ import annotations

from typing import Any

import boto3
import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.dynamic import Props, Provider, gone, wait_for

# Queueing and building; a little above the project's own time-out, so that its message is seen.
SECONDS = 25 * 60


class BuildFailed(Exception):
    """CodeBuild did not make the image; says in which phase, why, and where the log is."""


class BuiltImageProvider(Provider):
    """Reads the region from the inputs and the credentials, as boto3 does, when it acts."""

    replace_on = frozenset({"repository", "tag"})

    def create(self, props: Props) -> CreateResult:
        digest = find(props)
        if digest is None:
            build(props["region"], props["project"])
            digest = find(props)
        if digest is None:
            raise BuildFailed(
                f"{props['project']} succeeded, but {props['repository']} has no tag {props['tag']}"
            )
        image = f"{props['repository']}@{digest}"
        return CreateResult(image, {**props, "image": image})

    def read(self, _id: str, props: Props) -> ReadResult:
        digest = find(props)
        if digest is None:
            return gone()
        image = f"{props['repository']}@{digest}"
        return ReadResult(image, {**props, "image": image})

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        # Another project or region name is no reason to build the same tag again.
        return UpdateResult({**news, "image": olds["image"]})

    # Deleting does nothing: images go with their repository, or by its lifecycle policy.


class BuiltImage(Resource, module="triplane", name="AwsBuiltImage"):
    """The image of one tag, pinned by digest."""

    image: pulumi.Output[str]
    """``repository@sha256:…``"""

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


def find(props: Props) -> str | None:
    """The digest behind the tag; None if there is no such image, or no such repository."""
    ecr = boto3.client("ecr", region_name=props["region"])
    repository = props["repository"].partition("/")[2]
    try:
        answer = ecr.describe_images(
            repositoryName=repository, imageIds=[{"imageTag": props["tag"]}]
        )
    except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
        return None
    return str(answer["imageDetails"][0]["imageDigest"])


def build(region: str, project: str) -> None:
    """Run the project once, to its end."""
    codebuild = boto3.client("codebuild", region_name=region)
    started = codebuild.start_build(projectName=project)["build"]["id"]

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = codebuild.batch_get_builds(ids=[started])["builds"][0]
        return None if found["buildStatus"] == "IN_PROGRESS" else found

    result = wait_for(ended, what=f"build {started}", seconds=SECONDS)
    if result["buildStatus"] != "SUCCEEDED":
        raise BuildFailed(_explain(result))


def _explain(build: dict[str, Any]) -> str:
    failed = [p for p in build.get("phases", []) if p.get("phaseStatus") not in (None, "SUCCEEDED")]
    reasons = [
        f"in phase {phase['phaseType']}: {context['message']}"
        for phase in failed
        for context in phase.get("contexts", [])
        if context.get("message")
    ]
    where = build.get("logs", {}).get("deepLink", "no log was written")
    return f"build {build['id']} ended as {build['buildStatus']} {'; '.join(reasons)}. Log: {where}"
