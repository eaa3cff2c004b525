"""ECR: repositories of images that CodeBuild makes."""

from __future__ import annotations

import json
from typing import ClassVar

from rehearsal.aws.arns import region, set_arn
from rehearsal.aws.calls import Call
from rehearsal.aws.tags import check_tags
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.runtime.images import Image

REPOSITORY = "aws:ecr/repository:Repository"
API = "https://docs.aws.amazon.com/AmazonECR/latest/APIReference"


class Repository(ResourceType):
    """A repository of images."""

    token = REPOSITORY
    source = f"{API}/API_CreateRepository.html"
    executes = "images are built from their Dockerfile and kept by digest"
    name = Name(
        property="name",
        pattern=r"(?:[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*/)*[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*",
        min=2,
        max=256,
        rule="lower case letters and digits, with single . _ - / between them",
        unique=("region",),
        taken="RepositoryAlreadyExistsException",
        lower=True,
    )
    replace_on = frozenset({"name", "encryptionConfigurations"})

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)

    def create(self, context: Context, record: Record) -> None:
        name = record.id = record.inputs["name"]
        set_arn(context, record, "ecr", f"repository/{name}")
        account = context.account.aws_account
        host = f"{account}.dkr.ecr.{region(context, record)}.amazonaws.com"
        record.outputs |= {"registryId": account, "repositoryUrl": f"{host}/{name}"}

    def delete(self, context: Context, record: Record) -> None:
        url = record.outputs["repositoryUrl"]
        if context.images.list(url) and not record.inputs.get("forceDelete"):
            raise Refusal(
                "RepositoryNotEmptyException",
                f"The repository with name '{record.id}' in registry with id"
                f" '{context.account.aws_account}' cannot be deleted because it still contains images",
            )
        context.images.drop_repository(url)


class LifecyclePolicy(ResourceType):
    """Rules by which images expire: those that count are followed at each push, those with an age recorded."""

    token = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
    source = (
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html"
    )
    references: ClassVar = {"repository": REPOSITORY}
    replace_on = frozenset({"repository", "policy"})

    def check(self, context: Context, inputs: Inputs) -> None:
        text = inputs.get("policy")
        if not isinstance(text, str):
            return
        try:
            priorities = [rule["rulePriority"] for rule in json.loads(text)["rules"]]
        except (ValueError, KeyError, TypeError) as error:
            reason = f"InvalidParameterException: no lifecycle policy: {error!r}"
            raise CheckFailure("policy", reason) from None
        if len(set(priorities)) != len(priorities):
            raise CheckFailure("policy", "InvalidParameterException: rulePriority must be unique")

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["repository"]
        record.outputs["registryId"] = context.account.aws_account


def expire_images(context: Context, repository: Record) -> None:
    """Delete what the lifecycle policy counts as too many: the oldest, whoever uses them.

    Within 24 hours on AWS, at once here.
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
    """
    url = repository.outputs["repositoryUrl"]
    for policy in context.all(LifecyclePolicy.token):
        if policy.inputs["repository"] != repository.id:
            continue
        for rule in sorted(
            json.loads(policy.inputs["policy"])["rules"], key=lambda each: each["rulePriority"]
        ):
            selection, prefixes = rule["selection"], ("",)
            if selection["tagStatus"] == "tagged":
                prefixes = tuple(selection.get("tagPrefixList", ()))
            if (
                selection["tagStatus"] == "untagged"
                or selection["countType"] != "imageCountMoreThan"
            ):
                continue
            tagged = context.images.list(url).items()
            pushed = [image.digest for tag, image in tagged if tag.startswith(prefixes)]
            digests = list(dict.fromkeys(pushed))
            context.images.drop(url, digests[: -selection["countNumber"]])


def describe_images(call: Call) -> Json:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html"""
    repository = _called_repository(call)
    call.require("ecr:DescribeImages", repository.outputs["arn"])
    url, wanted = repository.outputs["repositoryUrl"], call.body.get("imageIds")
    if not wanted:
        tagged = call.context.images.list(url)
        return {"imageDetails": [_described(call, repository, i, [t]) for t, i in tagged.items()]}
    found = []
    for each in wanted:
        reference = each.get("imageDigest") or each.get("imageTag", "")
        image = call.context.images.get(url, reference)
        if image is None:
            raise Refusal(
                "ImageNotFoundException",
                f"The image with imageId {{imageDigest:'{each.get('imageDigest', 'null')}',"
                f" imageTag:'{each.get('imageTag', 'null')}'}} does not exist within the repository"
                f" with name '{repository.id}' in the registry with id"
                f" '{call.context.account.aws_account}'",
            )
        tags = [
            t
            for t, tagged in call.context.images.list(url).items()
            if tagged.digest == image.digest
        ]
        found.append(_described(call, repository, image, tags))
    return {"imageDetails": found}


def _called_repository(call: Call) -> Record:
    """The repository that a request names, or ECR's refusal."""
    name = call.body.get("repositoryName", "")
    found = call.context.find(REPOSITORY, name=name, region=call.region)
    if found is None:
        raise Refusal(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id"
            f" '{call.context.account.aws_account}'",
        )
    return found


def _described(call: Call, repository: Record, image: Image, tags: list[str]) -> Json:
    return {
        "registryId": call.context.account.aws_account,
        "repositoryName": repository.id,
        "imageDigest": image.digest,
        "imageTags": tags,
        "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
    }
