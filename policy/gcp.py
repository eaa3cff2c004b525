"""How Google Cloud shows that the rules are kept. It encrypts everything, and speaks TLS only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policy import rules
from policy.record import SECRET, Plan, Resource, strings

BINDINGS = (
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:serviceaccount/iAMMember:IAMMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember",
)
# Roles that are granted on a project because nothing smaller takes them.
PROJECT_ROLES = {
    "roles/logging.logWriter": "Cloud Logging has no smaller resource to grant it on",
    "roles/aiplatform.serviceAgent": "what Google itself grants to the service's agent",
    "roles/run.serviceAgent": "what Google itself grants to the service's agent",
}
CUSTOM_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
# What the delivery identity makes is not there yet, so that its role is granted on the project.
DELIVERY_ROLE = "-delivery-deployer"
"""Ends the name of the only custom role for which that, and `DELIVERY_MAY`, is allowed."""
DELIVERY_MAY = {
    "run.services.setIamPolicy": "asked of whoever sets up the gateway, which checks its key itself:"
    " https://cloud.google.com/run/docs/securing/managing-access#invoker_check"
}
BASIC_ROLES = ("roles/owner", "roles/editor", "roles/viewer")
UNLABELLED = {
    *BINDINGS,
    CUSTOM_ROLE,
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",
    "gcp:projects/service:Service",
    "gcp:projects/serviceIdentity:ServiceIdentity",
    "gcp:secretmanager/secretVersion:SecretVersion",
    "gcp:serviceaccount/account:Account",
    "gcp:storage/bucketObject:BucketObject",
}
"""Types that take no labels; a test holds this against the SDK."""
SERVICE = "gcp:cloudrunv2/service:Service"


def containers(service: Resource) -> list[dict[str, Any]]:
    """The containers of a Cloud Run service."""
    return list(service.get("template.containers") or [])


def delivers(resource: Resource) -> bool:
    """Whether this is the delivery identity's role."""
    return resource.type == CUSTOM_ROLE and resource.name.endswith(DELIVERY_ROLE)


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


@rules.LEAST_PRIVILEGE.on(*BINDINGS)
def _narrow(binding: Resource, plan: Plan) -> Iterator[str]:
    role = str(binding.inputs.get("role"))
    if role in BASIC_ROLES or role.endswith((".admin", "Admin")):
        yield f"grants {role}"
    elif binding.type == "gcp:projects/iAMMember:IAMMember" and not (
        role in PROJECT_ROLES or any(each.id == role and delivers(each) for each in plan)
    ):
        yield f"grants {role} on the whole project"


@rules.LEAST_PRIVILEGE.on(CUSTOM_ROLE)
def _no_wildcards(role: Resource, _plan: Plan) -> Iterator[str]:
    for permission in role.inputs.get("permissions", []):
        if delivers(role) and permission in DELIVERY_MAY:
            continue
        if permission.endswith((".setIamPolicy", ".actAs")) or "*" in permission:
            yield f"allows {permission}"


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


@rules.SECRETS.on("gcp:*")
def _no_secret_values(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type == "gcp:secretmanager/secretVersion:SecretVersion":
        return
    for path, text in strings(resource.inputs):
        if SECRET in text:
            yield f"{path} holds a secret"


@rules.SECRETS.on(SERVICE)
def _variables(service: Resource, _plan: Plan) -> Iterator[str]:
    for container in containers(service):
        plain = {
            each["name"]: each["value"] for each in container.get("envs", []) if "value" in each
        }
        yield from rules.clear(plain)
