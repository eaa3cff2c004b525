"""The list methods that tell what stands in a project: secrets and their versions, services, accounts, buckets.

Paged as Google's are (https://google.aip.dev/158), and refused while the service's API is not enabled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from rehearsal.core.records import Json, Record, Refusal
from rehearsal.gcp import iam

if TYPE_CHECKING:
    from rehearsal.provider.context import Context

SECRET = "gcp:secretmanager/secret:Secret"
VERSION = "gcp:secretmanager/secretVersion:SecretVersion"
SERVICE = "gcp:cloudrunv2/service:Service"
BUCKET = "gcp:storage/bucket:Bucket"


def page(request: Request, what: str, found: Iterable[Json], most: int = 100) -> Json:
    """A page of what was found; ``most``: how many a page has unless pageSize says fewer."""
    listed = list(found)
    start = int(request.query_params.get("pageToken") or 0)
    end = start + min(int(request.query_params.get("pageSize") or most), most)
    answer: Json = {what: listed[start:end]} if listed[start:end] else {}
    return answer | ({"nextPageToken": str(end)} if end < len(listed) else {})


def enabled(context: Context, project: str, api: str) -> None:
    """Raise Google's refusal unless the API is enabled in the project."""
    if not any(
        each.inputs.get("service") == api and each.outputs.get("project") == project
        for each in context.all(iam.SERVICE)
    ):
        number = context.account.gcp_number(project)
        raise Refusal(
            "PERMISSION_DENIED",
            f"{api} API has not been used in project {number} before or it is disabled. Enable it,"
            " then retry.",
        )


def _in(context: Context, token: str, **place: str) -> list[Record]:
    return [
        each
        for each in context.all(token)
        if all(each.outputs.get(key) == value for key, value in place.items())
    ]


def secrets(context: Context, request: Request, _body: Json) -> Json:
    """https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/list"""
    project = request.path_params["project"]
    enabled(context, project, "secretmanager.googleapis.com")
    found = _in(context, SECRET, project=project)
    named = ({"name": each.outputs["name"], "labels": _labels(each)} for each in found)
    return page(request, "secrets", named)


def versions(context: Context, request: Request, _body: Json) -> Json:
    """The newest first.

    https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/list
    """
    path = request.path_params
    enabled(context, path["project"], "secretmanager.googleapis.com")
    secret = context.get(SECRET, f"projects/{path['project']}/secrets/{path['secret']}")
    if secret is None:
        raise Refusal("NOT_FOUND", f"Secret [{path['secret']}] not found.")
    held = [
        each
        for each in context.all(VERSION)
        if context.refer(SECRET, each.inputs["secret"]) == secret
    ]
    newest = sorted(held, key=lambda each: -int(each.outputs["version"]))
    told = (
        {"name": each.id, "state": "ENABLED" if each.outputs["enabled"] else "DISABLED"}
        for each in newest
    )
    return page(request, "versions", told)


def services(context: Context, request: Request, _body: Json) -> Json:
    """https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services/list"""
    path = request.path_params
    enabled(context, path["project"], "run.googleapis.com")
    found = _in(context, SERVICE, project=path["project"], location=path["location"])
    told = ({"name": each.id, "labels": _labels(each)} for each in found)
    return page(request, "services", told)


def accounts(context: Context, request: Request, _body: Json) -> Json:
    """Twenty a page, a hundred at most.

    https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts/list
    """
    project = request.path_params["project"]
    enabled(context, project, "iam.googleapis.com")
    told = (
        {
            "name": each.id,
            "email": each.outputs["email"],
            "displayName": each.inputs.get("displayName", ""),
            "description": each.inputs.get("description", ""),
        }
        for each in _in(context, iam.ACCOUNT, project=project)
    )
    return page(request, "accounts", told, most=20)


def buckets(context: Context, request: Request) -> Json:
    """As `gcs` itself would list them, and with their labels, which it drops.

    https://cloud.google.com/storage/docs/json_api/v1/buckets/list
    """
    prefix = request.query_params.get("prefix", "")
    found = _in(context, BUCKET, project=request.query_params.get("project", ""))
    told = (
        {"kind": "storage#bucket", "id": each.id, "name": each.id, "labels": _labels(each)}
        for each in found
        if each.id.startswith(prefix)
    )
    return {"kind": "storage#buckets", **page(request, "items", told, most=1000)}


def _labels(record: Record) -> dict[str, Any]:
    return dict(record.outputs.get("effectiveLabels") or {})
