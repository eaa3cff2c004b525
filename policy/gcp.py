"""How Google Cloud shows that the rules are kept. It encrypts everything, and speaks TLS only.

Who may do what there, and whom it trusts: access/gcp.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policy import rules, secrecy
from policy.access.gcp import BINDINGS, CUSTOM_ROLE
from policy.record import Plan, Resource

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
"""Types that take no labels; a test holds this against the SDK."""
SERVICE = "gcp:cloudrunv2/service:Service"


def containers(service: Resource) -> list[dict[str, Any]]:
    """The containers of a Cloud Run service."""
    return list(service.get("template.containers") or [])


rules.PRIVATE.expects(
    "gcp:storage/bucket:Bucket", publicAccessPrevention="enforced", uniformBucketLevelAccess=True
)


@rules.PRIVATE.on(*BINDINGS)
def _for_nobody(binding: Resource, _plan: Plan) -> Iterator[str]:
    if binding.inputs.get("member") in ("allUsers", "allAuthenticatedUsers"):
        yield f"{binding.inputs.get('role')} is granted to {binding.inputs['member']}"


@rules.ONE_DOOR.on(SERVICE)
def _service(service: Resource, _plan: Plan) -> Iterator[str]:
    if not service.inputs.get("invokerIamDisabled"):
        return
    for container in containers(service):
        access = {each["name"]: each.get("value") for each in container.get("envs", [])}.get(
            "ACCESS"
        )
        if access not in ("key", "public"):
            yield f"the service is open, and its ACCESS is {access!r}: it checks no caller"


@rules.IDENTITY.on("gcp:serviceaccount/key:Key")
def _no_keys(_key: Resource, _plan: Plan) -> Iterator[str]:
    yield "there must be none: a service account's key does not expire"


@rules.IDENTITY.on(SERVICE)
def _own_account(service: Resource, _plan: Plan) -> Iterator[str]:
    if not service.get("template.serviceAccount"):
        yield "runs as the project's default account, which others share"


@rules.IDENTITY.on("pulumi-python:dynamic/triplane:VertexDeployment")
def _model_account(deployment: Resource, _plan: Plan) -> Iterator[str]:
    if not deployment.inputs.get("service_account"):
        yield "serves as the project's default account, which others share"


@rules.PINNED_IMAGE.on(SERVICE)
def _service_image(service: Resource, _plan: Plan) -> Iterator[str]:
    for container in containers(service):
        yield from rules.pinned(container.get("image"))


@rules.PINNED_IMAGE.on("pulumi-python:dynamic/triplane:VertexModel")
def _model_image(model: Resource, _plan: Plan) -> Iterator[str]:
    yield from rules.pinned(model.inputs.get("image"))


rules.PINNED_IMAGE.expects(
    "gcp:artifactregistry/repository:Repository", dockerConfig__immutableTags=True
)


@rules.TAGGED.on("gcp:*")
def _labels(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in UNLABELLED:
        yield from rules.tagged(resource, resource.inputs.get("labels"))


rules.VERSIONED.expects("gcp:storage/bucket:Bucket", versioning__enabled=True)


@rules.RETENTION.on("gcp:storage/bucket:Bucket")
def _ends(bucket: Resource, _plan: Plan) -> Iterator[str]:
    deleted = [
        rule.get("condition") or {}
        for rule in bucket.inputs.get("lifecycleRules") or []
        if (rule.get("action") or {}).get("type") == "Delete"
    ]
    if not any(condition.get("age") for condition in deleted):
        yield "captures are kept for ever"
    if not any(
        condition.get("daysSinceNoncurrentTime") or condition.get("numNewerVersions")
        for condition in deleted
    ):
        yield "old versions are kept for ever"


@rules.RETENTION.on("gcp:artifactregistry/repository:Repository")
def _images_end(repository: Resource, _plan: Plan) -> Iterator[str]:
    cleanup = repository.inputs.get("cleanupPolicies") or []
    if repository.inputs.get("cleanupPolicyDryRun") or not any(
        each.get("action") == "DELETE" for each in cleanup
    ):
        yield "old images are kept for ever: no clean-up policy deletes any"


@rules.SECRETS.on(SERVICE)
def _variables(service: Resource, _plan: Plan) -> Iterator[str]:
    for container in containers(service):
        plain = {
            each["name"]: each["value"] for each in container.get("envs", []) if "value" in each
        }
        yield from secrecy.clear(plain)
