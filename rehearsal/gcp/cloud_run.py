"""Cloud Run: a service is a process of its image behind an endpoint of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.gcp import (
    artifact_registry,
    credentials,
    iam,
    permissions,
    secret_manager,
    service_usage,
)
from rehearsal.gcp.calls import Call, not_rehearsed
from rehearsal.gcp.tags import check_labels, labels_of
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.runtime.containers import Container, ContainerFailed

API = "run.googleapis.com"
SERVICE = "gcp:cloudrunv2/service:Service"
SERVICE_BINDING = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"


class Service(ResourceType):
    """A service, which runs its latest revision."""

    token = SERVICE
    source = "https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services"
    executes = (
        "one instance runs as a local process; scaling and request time-outs are only recorded"
    )
    needs = API
    references: ClassVar = {"template.serviceAccount": iam.ACCOUNT}
    name = Name(
        property="name",
        pattern=r"[a-z]([a-z0-9-]*[a-z0-9])?",
        max=49,
        rule="lower-case letters, digits and hyphens, beginning with a letter, no hyphen at the end",
        unique=("project", "location"),
        taken="alreadyExists",
        lower=True,
    )
    volatile = frozenset(
        {"generation", "observedGeneration", "latestCreatedRevision", "latestReadyRevision", "etag"}
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_labels(inputs)
        template = inputs.get("template") or {}
        if template.get("revision"):
            raise CheckFailure(
                "template.revision", "a revision's name set by hand cannot be rolled: leave it out"
            )
        if "template" not in inputs.unknown and not template.get("containers"):
            raise CheckFailure("template.containers", "a revision needs a container")

    def create(self, context: Context, record: Record) -> None:
        place, name = record.outputs, record.inputs["name"]
        record.id = f"projects/{place['project']}/locations/{place['location']}/services/{name}"
        record.outputs["generation"] = "0"
        self._roll(context, record)

    def read(self, context: Context, record: Record) -> bool:
        return context.endpoints.url(record.id) is not None

    def update(self, context: Context, old: Record, record: Record) -> None:
        if record.inputs["template"] != old.inputs["template"]:
            self._roll(context, record)
        else:
            self.open(context, record)

    def delete(self, context: Context, record: Record) -> None:
        # The provider protects by default.
        if record.inputs.get("deletionProtection", True):
            raise Refusal(
                "failedPrecondition",
                "cannot destroy service without setting deletion_protection=false and running"
                " `pulumi up`",
            )
        context.endpoints.close(record.id)
        context.containers.stop(record.id)

    def _roll(self, context: Context, record: Record) -> None:
        """Start a revision, move the traffic to it when it is healthy, and stop the previous one."""
        template = record.inputs["template"]
        container = template["containers"][0]
        _check_quota(context, template)
        artifact_registry.require_image(context, container["image"])
        generation = int(record.outputs["generation"]) + 1
        revision = f"{record.inputs['name']}-{generation:05}-{secrets.token_hex(2)[:3]}"
        ports = container.get("ports") or {}
        probe = (container.get("startupProbe") or {}).get("httpGet") or {}
        email = template.get("serviceAccount")
        try:
            context.containers.run(
                record.id,
                Container(
                    image=container["image"],
                    args=tuple(container.get("args") or ()),
                    port_env="PORT",
                    health=probe.get("path") or "/",
                    env={
                        # https://cloud.google.com/run/docs/container-contract#services-env-vars
                        "K_SERVICE": record.inputs["name"],
                        "K_REVISION": revision,
                        "K_CONFIGURATION": record.inputs["name"],
                        **dict(_environment(context, record, container)),
                        **(credentials.workload_environment(context, email) if email else {}),
                    },
                ),
            )
        except ContainerFailed as failed:
            raise Refusal(
                "failedPrecondition",
                f"Error waiting to create Service: Revision '{revision}' is not ready and cannot serve"
                " traffic. The user-provided container failed to start and listen on the port defined"
                f" provided by the PORT={ports.get('containerPort', 8080)} environment variable within"
                f" the allocated timeout. Its log: {failed}",
            ) from failed
        path = f"{record.id}/revisions/{revision}"
        record.outputs |= {
            "generation": str(generation),
            "observedGeneration": str(generation),
            "latestCreatedRevision": path,
            "latestReadyRevision": path,
        }
        self.open(context, record)

    @staticmethod
    def open(context: Context, record: Record) -> None:
        """Open the service to the public, at an address that stays the same."""
        template = record.inputs["template"]
        per_instance = template.get("maxInstanceRequestConcurrency") or 80
        instances = (template.get("scaling") or {}).get("maxInstanceCount") or 100
        open_to_all = record.inputs.get("invokerIamDisabled")
        url = context.endpoints.open(
            record.id,
            record.id if open_to_all else _forbidden,
            max_concurrency=per_instance * instances,
        )
        record.outputs |= {"uri": url, "urls": [url]}


class ServiceMember(iam.Member):
    """A role for a member on a service."""

    token = SERVICE_BINDING
    source = "https://cloud.google.com/run/docs/securing/managing-access"
    references: ClassVar = {"name": SERVICE}
    property = "name"
    import_name = "projects/{project}/locations/{location}/services/{name}"


def resource(record: Record) -> permissions.Resource:
    """A service, for a permission check."""
    return permissions.of_record(SERVICE_BINDING, "name", record)


def _check_quota(context: Context, template: Json) -> None:
    """Refuse more instances than the region has CPUs for: https://cloud.google.com/run/docs/configuring/max-instances-limits

    The words are those in https://github.com/jspsych/datapipe/pull/238
    """
    limits = (template["containers"][0].get("resources") or {}).get("limits") or {}
    cpu = str(limits.get("cpu") or "1")
    thousandths = int(cpu.removesuffix("m")) if cpu.endswith("m") else round(1000 * float(cpu))
    most = (template.get("scaling") or {}).get("maxInstanceCount")
    allowed = context.behaviour.quotas.cloud_run_cpus // thousandths
    if most and most > allowed:
        raise Refusal(
            "INVALID_ARGUMENT",
            f"Max instances must be set to {allowed} or fewer in order to set the requested total CPU.",
        )


def reopen(context: Context) -> None:
    """Open the endpoints of all services again, after a restart of the rehearsal."""
    for record in context.all(SERVICE):
        Service.open(context, record)


def list_services(call: Call) -> Json:
    """https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services/list"""
    service_usage.require_api(call.context, call.project, API)
    services = (
        {"name": each.id, "labels": labels_of(each)}
        for each in call.context.all(SERVICE)
        if each.outputs.get("project") == call.project
        and each.outputs.get("location") == call.path["location"]
    )
    return call.page("services", services)


def patch_service(call: Call) -> Json:
    """``services.patch``, as far as it is refused. https://cloud.google.com/run/docs/reference/iam/roles#additional-configuration"""
    if email := call.body.get("template", {}).get("serviceAccount"):
        iam.require_act_as(call.context, call.caller, email)
    return not_rehearsed(call)


async def _forbidden(scope: Scope, receive: Receive, send: Send) -> None:
    """The permission to invoke is not evaluated: a service that is not public refuses everybody."""
    text = (
        "Error: Forbidden. Your client does not have permission to get this URL from this server."
    )
    await PlainTextResponse(text, 403)(scope, Request(scope, receive).receive, send)


def _environment(context: Context, record: Record, container: Json) -> Iterator[tuple[str, str]]:
    for variable in container.get("envs") or ():
        source = (variable.get("valueSource") or {}).get("secretKeyRef")
        if source:
            email = record.inputs["template"].get("serviceAccount", "")
            yield variable["name"], _secret_value(context, record, source, email)
        else:
            yield variable["name"], variable.get("value") or ""


def _secret_value(context: Context, record: Record, source: Json, email: str) -> str:
    """The value of a secret's version, if the revision's account may read it."""
    name, version = source["secret"], source.get("version") or "latest"
    secret = context.find_referenced(secret_manager.SECRET, name) or context.find(
        secret_manager.SECRET, secretId=name
    )
    number = context.account.gcp_number(record.outputs["project"])
    path = f"projects/{number}/secrets/{name.rsplit('/', 1)[-1]}/versions/{version}"
    if secret is None or not permissions.allowed(
        context, email, "secretmanager.versions.access", secret_manager.resource(secret)
    ):
        raise Refusal(
            "failedPrecondition",
            f"Error 400: Permission denied on secret: {path} for Revision service account {email}. The"
            " service account used must be granted the 'Secret Manager Secret Accessor' role"
            " (roles/secretmanager.secretAccessor) at the secret, project or higher level.",
        )
    found = secret_manager.value(context, secret, version)
    if found is None:
        raise Refusal("failedPrecondition", f"Error 400: Secret {path} was not found.")
    return found
