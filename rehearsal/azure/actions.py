"""Which action a request to the Resource Manager needs, on which scope: it follows from method and address.

https://learn.microsoft.com/azure/role-based-access-control/role-definitions#actions-format
https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
"""

from __future__ import annotations

from typing import NamedTuple

VERBS = {"DELETE": "delete", "GET": "read", "HEAD": "read", "PATCH": "write", "PUT": "write"}
OUTSIDE = {0: "", 2: "subscriptions", 4: "subscriptions/resourceGroups"}
"""The types of what is in no resource provider but Microsoft.Resources, by the number of parts in its id."""


class Needed(NamedTuple):
    """An action, and the id that it is for."""

    action: str
    scope: str


def needed(method: str, path: str) -> Needed:
    """The action of a request. A POST ends with the action's name; a list is read in what is around it."""
    parts = [part for part in path.split("/") if part]
    outer, provider, inner = _split(parts)
    has_name = len(inner) % 2 == 0
    type_ = "/".join(inner[::2])
    scope = "/" + "/".join(parts if has_name else parts[:-1])
    if method == "POST":
        return Needed(f"{provider}/{type_}/action", scope)
    if not inner:
        provider, type_ = "Microsoft.Resources", OUTSIDE.get(len(outer), "subscriptions/resources")
        scope = "/" + "/".join(parts)
    return Needed(f"{provider}/{type_}/{VERBS[method]}", scope)


def _split(parts: list[str]) -> tuple[list[str], str, list[str]]:
    """What is before the last resource provider, the provider, and the types and names after it."""
    lower = [part.lower() for part in parts]
    if "providers" not in lower:
        return parts, "", []
    place = len(lower) - 1 - lower[::-1].index("providers")
    provider = parts[place + 1] if place + 1 < len(parts) else ""
    return parts[:place], provider, parts[place + 2 :]
