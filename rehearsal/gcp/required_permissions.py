"""Which permission a method of an API or a step of the engine needs, and on which resource.

The permissions of the methods: https://cloud.google.com/iam/docs/roles-permissions and, for each service, its page
"Access control with IAM". That a service checks the permission on the resource that the request names is its rule
wherever the resource has a policy of its own: https://cloud.google.com/iam/docs/resource-types-with-policies
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rehearsal.core.records import Json, Record, Refusal
from rehearsal.gcp import (
    artifact_registry,
    cloud_run,
    credentials,
    iam,
    permissions,
    secret_manager,
    service_usage,
    storage,
    vertex_ai,
)
from rehearsal.gcp.permissions import PROJECT, Resource
from rehearsal.provider.context import Context

Find = Callable[[Context, Json], Resource]
"""The resource that a permission is checked on, by a record's inputs."""


def of_path(context: Context, path: Mapping[str, Any]) -> Resource:
    """The resource that an address names; the project where it has no policy of its own."""
    place = f"projects/{path.get('project')}"
    located = f"{place}/locations/{path.get('location')}"
    if "account" in path:
        return iam.account_resource(context, path["account"])
    if "secret" in path:
        return _found(context, secret_manager.SECRET, f"{place}/secrets/{path['secret']}")
    if "run_service" in path:
        return _found(context, cloud_run.SERVICE, f"{located}/services/{path['run_service']}")
    if "repository" in path:
        name = f"{located}/repositories/{path['repository']}"
        return _found(context, artifact_registry.REPOSITORY, name)
    if "endpoint" in path:
        return _found(context, vertex_ai.ENDPOINT, f"{located}/endpoints/{path['endpoint']}")
    return PROJECT


def roles_of_policy(body: Json) -> tuple[str, ...]:
    """The roles of a policy that a request sets. Google compares it with the present one, and counts those that differ."""
    policy = body.get("policy")
    bindings = policy.get("bindings") if isinstance(policy, dict) else None
    listed = bindings if isinstance(bindings, list) else ()
    return tuple(str(each.get("role")) for each in listed if isinstance(each, dict))


RESOURCES: dict[str, Callable[[Record], Resource]] = {
    artifact_registry.REPOSITORY: artifact_registry.resource,
    cloud_run.SERVICE: cloud_run.resource,
    iam.ACCOUNT: iam.resource,
    secret_manager.SECRET: secret_manager.resource,
    storage.BUCKET: lambda record: storage.resource(record.id),
    vertex_ai.ENDPOINT: vertex_ai.resource,
}
"""The types whose resources have policies of their own."""


def _found(context: Context, token: str, reference: str) -> Resource:
    """One that does not exist is refused to whoever has no right in the project: the two look alike."""
    record = context.find_referenced(token, reference)
    return RESOURCES[token](record) if record else PROJECT


@dataclass(frozen=True)
class Type:
    """What the steps of the engine on a type need."""

    create: tuple[str, ...]
    read: tuple[str, ...]
    update: tuple[str, ...]
    delete: tuple[str, ...]
    parent: Find | None = None
    """What has the policy: a binding's target, a version's secret. None: the record itself, and for a creation the
    project."""

    def of(self, verb: str) -> tuple[str, ...]:
        """The permissions of one step."""
        return {
            "create": self.create,
            "read": self.read,
            "update": self.update,
            "delete": self.delete,
        }[verb]


def _owned(kind: str) -> Type:
    """A type with the usual four permissions."""
    return Type((f"{kind}.create",), (f"{kind}.get",), (f"{kind}.update",), (f"{kind}.delete",))


def _binding(kind: str, token: str, property: str) -> Type:
    """A role for a member: each change of it rewrites the policy of its target."""

    def target(context: Context, inputs: Json) -> Resource:
        return _found(context, token, str(inputs.get(property)).removeprefix("b/"))

    read, write = (f"{kind}.getIamPolicy",), (f"{kind}.getIamPolicy", f"{kind}.setIamPolicy")
    return Type(write, read, write, write, parent=target if token else _project)


def _project(context: Context, inputs: Json) -> Resource:
    return PROJECT


def _object(context: Context, inputs: Json) -> Resource:
    return storage.resource(inputs["bucket"], inputs["name"])


def _secret(context: Context, inputs: Json) -> Resource:
    return _found(context, secret_manager.SECRET, inputs["secret"])


VERSIONS = "secretmanager.versions"
TYPES: dict[str, Type] = {
    # Enabling needs `enable`; the provider reads by a list of what is enabled.
    service_usage.SERVICE: Type(
        ("serviceusage.services.enable",),
        ("serviceusage.services.list",),
        ("serviceusage.services.enable",),
        ("serviceusage.services.disable",),
    ),
    iam.ACCOUNT: _owned("iam.serviceAccounts"),
    iam.ACCOUNT_BINDING: _binding("iam.serviceAccounts", iam.ACCOUNT, "serviceAccountId"),
    iam.WorkloadIdentityPool.token: _owned("iam.workloadIdentityPools"),
    iam.WorkloadIdentityPoolProvider.token: _owned("iam.workloadIdentityPoolProviders"),
    permissions.CUSTOM_ROLE: _owned("iam.roles"),
    permissions.PROJECT_BINDING: _binding("resourcemanager.projects", "", "project"),
    storage.BUCKET: _owned("storage.buckets"),
    storage.BUCKET_BINDING: _binding("storage.buckets", storage.BUCKET, "bucket"),
    # To write over an object is to delete it: https://cloud.google.com/storage/docs/access-control/iam-permissions
    storage.BUCKET_OBJECT: Type(
        ("storage.objects.create", "storage.objects.delete"),
        ("storage.objects.get",),
        ("storage.objects.create", "storage.objects.delete"),
        ("storage.objects.delete",),
        parent=_object,
    ),
    artifact_registry.REPOSITORY: _owned("artifactregistry.repositories"),
    artifact_registry.REPOSITORY_BINDING: _binding(
        "artifactregistry.repositories", artifact_registry.REPOSITORY, "repository"
    ),
    secret_manager.SECRET: _owned("secretmanager.secrets"),
    secret_manager.SECRET_BINDING: _binding(
        "secretmanager.secrets", secret_manager.SECRET, "secretId"
    ),
    # TF: secretmanager/resource_secret_manager_secret_version.go
    secret_manager.SECRET_VERSION: Type(
        (f"{VERSIONS}.add", f"{VERSIONS}.get", f"{VERSIONS}.access"),
        (f"{VERSIONS}.get", f"{VERSIONS}.access"),
        (f"{VERSIONS}.enable",),
        (f"{VERSIONS}.destroy",),
        parent=_secret,
    ),
    cloud_run.SERVICE: _owned("run.services"),
    cloud_run.SERVICE_BINDING: _binding("run.services", cloud_run.SERVICE, "name"),
    vertex_ai.ENDPOINT: _owned("aiplatform.endpoints"),
    vertex_ai.ENDPOINT_BINDING: _binding("aiplatform.endpoints", vertex_ai.ENDPOINT, "endpoint"),
}
"""What the provider calls for a type. A type that is not here is the deployer's alone."""


def require_for_step(
    context: Context, config: Json, verb: str, token: str, inputs: Json, record: Record | None
) -> None:
    """Raise the provider's error unless its credentials allow a step: create, read, update or delete.

    They are those of the setting ``accessToken``; without it the deployer's.
    https://www.pulumi.com/registry/packages/gcp/installation-configuration/
    """
    given = config.get("accessToken")
    caller = credentials.caller(context, f"Bearer {given}") if given else ""
    if not given or caller == credentials.deployer(context):
        return
    try:
        _require(context, caller, verb, token, inputs, record)
    except Refusal as refused:
        text = f"googleapi: Error 403: {refused.message}, forbidden"
        raise Refusal(refused.code, text) from None


def _require(
    context: Context, caller: str, verb: str, token: str, inputs: Json, record: Record | None
) -> None:
    type = TYPES.get(token)
    if type is None:
        raise Refusal("PERMISSION_DENIED", f"{caller} may not {verb} a {token}.")
    if type.parent:
        on = type.parent(context, inputs)
    elif record and token in RESOURCES:
        on = RESOURCES[token](record)
    else:
        on = PROJECT
    roles = {each["role"] for each in (inputs, record.inputs if record else {}) if "role" in each}
    what = record.id if record else str(inputs.get("name") or token)
    for permission in type.of(verb):
        modified = tuple(roles) if permission.endswith(".setIamPolicy") else ()
        at = replace(on, modified_roles=modified)
        permissions.require(context, caller, permission, at, what)
    if token == cloud_run.SERVICE and verb in ("create", "update"):
        _require_for_service(context, caller, inputs, record, on)


def _require_for_service(
    context: Context, caller: str, inputs: Json, record: Record | None, on: Resource
) -> None:
    """What Cloud Run asks for besides: to use the account and the image, and to open the service.

    https://cloud.google.com/run/docs/reference/iam/roles#additional-configuration
    https://cloud.google.com/artifact-registry/docs/integrate-cloud-run
    https://cloud.google.com/run/docs/securing/managing-access#invoker_check
    """
    template = inputs["template"]
    if email := template.get("serviceAccount"):
        iam.require_act_as(context, caller, email)
    for container in template["containers"]:
        repository = artifact_registry.repository_of(context, container["image"])
        download = "artifactregistry.repositories.downloadArtifacts"
        where = artifact_registry.resource(repository) if repository else PROJECT
        permissions.require(context, caller, download, where, container["image"])
    was_open = record is not None and record.inputs.get("invokerIamDisabled")
    if bool(inputs.get("invokerIamDisabled")) != bool(was_open):
        permissions.require(context, caller, "run.services.setIamPolicy", on, "the service")
