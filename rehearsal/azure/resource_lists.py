"""What the Resource Manager lists: resource groups, what is in one, and the parts of two kinds of things.

Whoever may not read something is shown a list without it.
https://learn.microsoft.com/rest/api/resources/resources/list-by-resource-group
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.azure import authorization
from rehearsal.azure.resource_manager import GROUP
from rehearsal.core.records import Record
from rehearsal.provider.context import Context

PAGE = 1000
"""How many the Resource Manager lists at a time."""
PARTS = {
    "taskRuns": "azure-native:containerregistry:TaskRun",
    "federatedIdentityCredentials": "azure-native:managedidentity:FederatedIdentityCredential",
}
"""What is listed by the resource that it is a part of, and in no list of its group."""
ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/([^/]+)/providers/([^/]+)/(.+)")


def groups(context: Context, request: Request, principal: str) -> Response:
    """Resource groups of the subscription."""
    found = (
        {
            "id": each.id,
            "name": each.outputs["name"],
            "type": "Microsoft.Resources/resourceGroups",
            "location": each.outputs.get("location"),
            "tags": each.outputs.get("tags") or {},
        }
        for each in _read(context, principal, context.all(GROUP))
    )
    return _page(request, found)


def resources(context: Context, request: Request, principal: str) -> Response:
    """What is in a resource group and has a place and tags of its own, also inside of others."""
    group = request.path_params["group"]
    if context.find(GROUP, name=group) is None:
        text = f"Resource group '{group}' could not be found."
        error = {"code": "ResourceGroupNotFound", "message": text}
        return JSONResponse({"error": error}, 404)
    records = _read(context, principal, context.store.all())
    return _page(request, (told for each in records if (told := _tracked(each, group))))


def parts(context: Context, request: Request, principal: str) -> Response:
    """The parts of one resource."""
    parent, _, what = request.url.path.rpartition("/")
    own = (
        each
        for each in context.all(PARTS[what])
        if authorization.within(each.id, f"{parent}/{what}")
    )
    found = _read(context, principal, own)
    return _page(request, ({"id": each.id, "name": each.outputs["name"]} for each in found))


def _read(context: Context, principal: str, records: Iterable[Record]) -> Iterator[Record]:
    for each in records:
        # The action's own name is in each type's, and nothing here has a role for one type's reading.
        if authorization.may(
            context, principal, "Microsoft.Resources/subscriptions/resources/read", each.id
        ):
            yield each


def _tracked(record: Record, group: str) -> dict[str, Any] | None:
    found = ID.fullmatch(record.id)
    if record.package != "azure-native" or not found or "/providers/" in found[3]:
        return None
    if found[1].lower() != group.lower() or record.token in PARTS.values():
        return None
    if "tags" not in record.inputs or "location" not in record.outputs:
        return None
    words = found[3].split("/")
    return {
        "id": record.id,
        "name": "/".join(words[1::2]),
        "type": "/".join((found[2], *words[::2])),
        "location": record.outputs["location"],
        "tags": record.outputs.get("tags") or {},
    }


def _page(request: Request, found: Iterable[dict[str, Any]]) -> Response:
    listed = list(found)
    start = int(request.query_params.get("$skiptoken") or 0)
    answer: dict[str, Any] = {"value": listed[start : start + PAGE]}
    if start + PAGE < len(listed):
        url = request.url.include_query_params(**{"$skiptoken": start + PAGE})
        answer["nextLink"] = str(url)
    return JSONResponse(answer)
