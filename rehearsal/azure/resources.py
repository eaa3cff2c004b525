"""The lists of the Resource Manager: subscriptions, resource groups, and what is in them.

https://learn.microsoft.com/rest/api/resources/resources/list-by-resource-group
"""

from __future__ import annotations

import re

from rehearsal.azure import managed_identity, subscription
from rehearsal.azure.calls import Call
from rehearsal.azure.ids import within
from rehearsal.azure.resource_type import GROUP
from rehearsal.core.records import Json, Record, Refusal

PARTS = {
    "federatedIdentityCredentials": managed_identity.FEDERATED_CREDENTIAL,
}
"""The parts of a resource that are listed by that resource, and in no list of its group."""
ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/([^/]+)/providers/([^/]+)/(.+)")


def list_subscriptions(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/resources/subscriptions/list"""
    return {"value": [subscription.described(call.context)]}


def get_subscription(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/resources/subscriptions/get"""
    return subscription.described(call.context)


def list_groups(call: Call) -> Json:
    """The resource groups of the subscription."""
    groups = (
        {
            "id": each.id,
            "name": each.outputs["name"],
            "type": "Microsoft.Resources/resourceGroups",
            "location": each.outputs.get("location"),
            "tags": each.outputs.get("tags") or {},
        }
        for each in call.readable(call.context.all(GROUP))
    )
    return call.page(groups)


def list_resources(call: Call) -> Json:
    """The resources in a group that have a location and tags of their own, nested ones too."""
    group = call.path["group"]
    if call.context.find(GROUP, name=group) is None:
        raise Refusal("ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
    records = call.readable(call.context.store.all())
    return call.page(listed for each in records if (listed := _listed(each, group)))


def list_parts(call: Call) -> Json:
    """The parts of one resource."""
    parent, _, name = call.url.path.rpartition("/")
    parts = (each for each in call.context.all(PARTS[name]) if within(each.id, f"{parent}/{name}"))
    return call.page({"id": each.id, "name": each.outputs["name"]} for each in call.readable(parts))


def _listed(record: Record, group: str) -> Json | None:
    """A record as a group lists it; None if it is not listed."""
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
