"""How Google Cloud's resources are checked for each rule. For permissions and trust: access/gcp.py.

Nothing is checked for `encrypted`: Google Cloud encrypts everything at rest, and has no setting for it. Nothing is
checked for `tls`: its APIs and Cloud Run refuse clear text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api_models.resource import Plan, Resource
from components.resource_type import DYNAMIC
from policy import secrecy
from policy.access.gcp import BINDINGS, CUSTOM_ROLE
from policy.checks import Check, missing_tags, requires, unpinned_image
from policy.rules import (
    AUTHENTICATED,
    IDENTITY,
    PINNED_IMAGE,
    PRIVATE,
    RETENTION,
    SECRETS,
    TAGGED,
    VERSIONED,
)

UNLABELLED = {
    *BINDINGS,
    CUSTOM_ROLE,
    "gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding",
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",
    "gcp:projects/iAMBinding:IAMBinding",
    "gcp:projects/service:Service",
    "gcp:projects/serviceIdentity:ServiceIdentity",
    "gcp:secretmanager/secretVersion:SecretVersion",
    "gcp:serviceaccount/account:Account",
    "gcp:storage/bucketIAMPolicy:BucketIAMPolicy",
    "gcp:storage/bucketObject:BucketObject",
}
"""Types that have no labels; a test compares this with the SDK."""
BUCKET = "gcp:storage/bucket:Bucket"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
SERVICE = "gcp:cloudrunv2/service:Service"
MODEL = f"{DYNAMIC}VertexModel"
DEPLOYMENT = f"{DYNAMIC}VertexDeployment"


def containers(service: Resource) -> list[dict[str, Any]]:
    """The containers of a Cloud Run service."""
    return list(service.get("template.containers") or [])


def grant_to_everybody(binding: Resource, _plan: Plan) -> Iterator[str]:
    if binding.inputs.get("member") in ("allUsers", "allAuthenticatedUsers"):
        yield f"{binding.inputs.get('role')} is granted to {binding.inputs['member']}"


def open_service(service: Resource, _plan: Plan) -> Iterator[str]:
    """A service without Google's authentication that checks no caller."""
    if not service.inputs.get("invokerIamDisabled"):
        return
    for container in containers(service):
        variables = {each["name"]: each.get("value") for each in container.get("envs", [])}
        access = variables.get("ACCESS")
        if access not in ("key", "public"):
            yield f"the service is open, and its ACCESS is {access!r}: it checks no caller"


def account_key(_key: Resource, _plan: Plan) -> Iterator[str]:
    yield "no service account key is allowed: it does not expire"


def service_on_default_account(service: Resource, _plan: Plan) -> Iterator[str]:
    if not service.get("template.serviceAccount"):
        yield "runs as the project's default account, which other workloads share"


def model_on_custom_account(deployment: Resource, _plan: Plan) -> Iterator[str]:
    """A model server needs no more than Vertex AI's own account has, which is not the project's default one.

    https://docs.cloud.google.com/gemini-enterprise-agent-platform/machine-learning/general/custom-service-account
    """
    if account := deployment.inputs.get("service_account"):
        yield f"serves as {account}, of which Vertex AI's service agent would have to be the administrator"


def unpinned_service_image(service: Resource, _plan: Plan) -> Iterator[str]:
    for container in containers(service):
        yield from unpinned_image(container.get("image"))


def unpinned_model_image(model: Resource, _plan: Plan) -> Iterator[str]:
    yield from unpinned_image(model.inputs.get("image"))


def unlabelled(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in UNLABELLED:
        yield from missing_tags(resource.inputs.get("labels"))


def endless_objects(bucket: Resource, _plan: Plan) -> Iterator[str]:
    deleted = [
        rule.get("condition") or {}
        for rule in bucket.inputs.get("lifecycleRules") or []
        if (rule.get("action") or {}).get("type") == "Delete"
    ]
    # What is deleted in its noncurrent version only, nobody has decided to delete.
    live = [each for each in deleted if each.get("withState") != "ARCHIVED"]
    if not any(condition.get("age") for condition in live):
        yield "captures are kept forever"
    if not any(
        condition.get("daysSinceNoncurrentTime") or condition.get("numNewerVersions")
        for condition in deleted
    ):
        yield "old versions are kept forever"


def endless_images(repository: Resource, _plan: Plan) -> Iterator[str]:
    cleanup = repository.inputs.get("cleanupPolicies") or []
    if repository.inputs.get("cleanupPolicyDryRun") or not any(
        each.get("action") == "DELETE" for each in cleanup
    ):
        yield "old images are kept forever: no clean-up policy deletes any"
    for each in cleanup:
        tags = (each.get("condition") or {}).get("tagState")
        if each.get("action") == "DELETE" and tags != "UNTAGGED":
            yield f"the clean-up policy {each.get('id')} deletes images with a tag, which may be in use"


def clear_variables(service: Resource, _plan: Plan) -> Iterator[str]:
    for container in containers(service):
        plain = {
            each["name"]: each["value"] for each in container.get("envs", []) if "value" in each
        }
        yield from secrecy.clear_credentials(plain)


CHECKS = (
    Check(
        PRIVATE,
        (BUCKET,),
        requires(publicAccessPrevention="enforced", uniformBucketLevelAccess=True),
    ),
    Check(PRIVATE, BINDINGS, grant_to_everybody),
    Check(AUTHENTICATED, (SERVICE,), open_service),
    Check(IDENTITY, ("gcp:serviceaccount/key:Key",), account_key),
    Check(IDENTITY, (SERVICE,), service_on_default_account),
    Check(IDENTITY, (DEPLOYMENT,), model_on_custom_account),
    Check(PINNED_IMAGE, (SERVICE,), unpinned_service_image),
    Check(PINNED_IMAGE, (MODEL,), unpinned_model_image),
    Check(PINNED_IMAGE, (REPOSITORY,), requires(dockerConfig__immutableTags=True)),
    Check(TAGGED, ("gcp:*",), unlabelled),
    Check(VERSIONED, (BUCKET,), requires(versioning__enabled=True)),
    Check(RETENTION, (BUCKET,), endless_objects),
    Check(RETENTION, (REPOSITORY,), endless_images),
    Check(SECRETS, (SERVICE,), clear_variables),
)
