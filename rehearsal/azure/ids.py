"""How Azure writes the ids of resources: it ignores the case of letters in them."""

from __future__ import annotations

import uuid

from rehearsal.core.records import Record
from rehearsal.provider.context import Context


def group_id(context: Context, group: str) -> str:
    """The id of a resource group."""
    return f"/subscriptions/{context.account.azure_subscription}/resourceGroups/{group}"


def guid(*parts: str) -> str:
    """A GUID that is always the same for the same ``parts``."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(parts)))


def last_name(path: str) -> str:
    """The name at the end of an id."""
    return path.rstrip("/").rpartition("/")[2]


def same(one: str, other: str) -> bool:
    """Whether two ids are the same."""
    return one.lower() == other.lower()


def within(scope: str, outer: str) -> bool:
    """Whether a scope is ``outer`` or below it."""
    return f"{scope}/".lower().startswith(f"{outer.rstrip('/')}/".lower())


def by_id(context: Context, token: str, id_: str) -> Record | None:
    """The record with this id."""
    return next((r for r in context.all(token) if same(r.id, id_)), None)
