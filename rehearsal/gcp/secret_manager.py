"""Secret Manager: secrets and their versions."""

from __future__ import annotations

import base64
from typing import ClassVar

from rehearsal.core.records import Inputs, Json, Record, Refusal
from rehearsal.gcp import iam, service_usage
from rehearsal.gcp.calls import Call
from rehearsal.gcp.permissions import Resource, of_record
from rehearsal.gcp.tags import check_labels, labels_of
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

API = "secretmanager.googleapis.com"
SECRET = "gcp:secretmanager/secret:Secret"
SECRET_VERSION = "gcp:secretmanager/secretVersion:SecretVersion"
SECRET_BINDING = "gcp:secretmanager/secretIamMember:SecretIamMember"
SECRET_VERSIONS = "gcp/secret-versions"
"""The namespace with the number of each secret's versions."""


class Secret(ResourceType):
    """A secret."""

    token = SECRET
    source = "https://cloud.google.com/secret-manager/docs/creating-and-accessing-secrets"
    needs = API
    name = Name(
        property="secretId",
        pattern=r"[a-zA-Z0-9_-]+",
        max=255,
        rule="letters, digits, hyphens and underscores",
        unique=("project",),
        taken="alreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_labels(inputs)

    def create(self, context: Context, record: Record) -> None:
        project, secret = record.outputs["project"], record.inputs["secretId"]
        record.id = f"projects/{project}/secrets/{secret}"
        number = context.account.gcp_number(project)
        record.outputs["name"] = f"projects/{number}/secrets/{secret}"

    def delete(self, context: Context, record: Record) -> None:
        context.kv.delete(SECRET_VERSIONS, record.id)


class SecretVersion(ResourceType):
    """A value of a secret."""

    token = SECRET_VERSION
    import_as = "{secret}/versions/{version}"
    source = "https://cloud.google.com/secret-manager/docs/add-secret-version"
    replace_on = frozenset({"secret", "secretData"})
    references: ClassVar = {"secret": SECRET}

    def create(self, context: Context, record: Record) -> None:
        secret = context.find_referenced(SECRET, record.inputs["secret"])
        assert secret is not None, "`references` has checked it"
        # Numbers are never reused, not even those of destroyed versions.
        number = context.kv.get(SECRET_VERSIONS, secret.id, 0) + 1
        context.kv.put(SECRET_VERSIONS, secret.id, number)
        record.id = f"{secret.outputs['name']}/versions/{number}"
        enabled = record.inputs.get("enabled", True)
        record.outputs |= {"name": record.id, "version": str(number), "enabled": enabled}


class SecretMember(iam.Member):
    """A role for a member on a secret."""

    token = SECRET_BINDING
    references: ClassVar = {"secretId": SECRET}
    property = "secretId"
    import_name = "{secretId}"


def resource(record: Record) -> Resource:
    """A secret, for a permission check. Conditions have the project's number in its name."""
    type = "secretmanager.googleapis.com/Secret"
    name = record.outputs["name"]
    return of_record(SECRET_BINDING, "secretId", record, full_name=name, type=type)


def value(context: Context, secret: Record, version: str) -> str | None:
    """The value of a secret's version, by its number or ``latest``; None if there is no such version."""
    versions = {
        each.outputs["version"]: each
        for each in context.all(SECRET_VERSION)
        if each.id.startswith(f"{secret.outputs['name']}/versions/")
    }
    if version == "latest" and versions:
        version = max(versions, key=int)
    return str(versions[version].inputs["secretData"]) if version in versions else None


def access_version(call: Call) -> Json:
    """A secret's value.

    https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
    """
    name = f"projects/{call.project}/secrets/{call.path['secret']}"
    what = f"{name}/versions/{call.path['version']}"
    secret = call.context.find_referenced(SECRET, name)
    found = value(call.context, secret, call.path["version"]) if secret else None
    if found is None:
        raise Refusal("NOT_FOUND", f"Secret Version [{what}] not found.")
    return {"name": what, "payload": {"data": base64.b64encode(found.encode()).decode()}}


def list_secrets(call: Call) -> Json:
    """https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/list"""
    service_usage.require_api(call.context, call.project, API)
    secrets = (
        {"name": each.outputs["name"], "labels": labels_of(each)}
        for each in call.context.all(SECRET)
        if each.outputs.get("project") == call.project
    )
    return call.page("secrets", secrets)


def list_versions(call: Call) -> Json:
    """The newest first.

    https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/list
    """
    context, name = call.context, call.path["secret"]
    service_usage.require_api(context, call.project, API)
    secret = context.get(SECRET, f"projects/{call.project}/secrets/{name}")
    if secret is None:
        raise Refusal("NOT_FOUND", f"Secret [{name}] not found.")
    of_secret = (
        each
        for each in context.all(SECRET_VERSION)
        if context.find_referenced(SECRET, each.inputs["secret"]) == secret
    )
    versions = (
        {"name": each.id, "state": "ENABLED" if each.outputs["enabled"] else "DISABLED"}
        for each in sorted(of_secret, key=lambda each: -int(each.outputs["version"]))
    )
    return call.page("versions", versions)
