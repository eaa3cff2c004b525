"""Which existing resources may be those that the program would create.

A resource with a fixed name is looked up under the id that follows from its inputs. Where Pulumi chooses the end
of a name, the preview has an invented one, and a discovered resource gives the real one. Nothing is guessed: where
several resources may be one, the run is refused and all of them are named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from components.resource_type import DYNAMIC
from operations.engine import guards
from operations.engine.resources import Resource, resource_name
from operations.recovery.deployment import Deployment, provider_urn
from operations.recovery.discovered_resource import (
    DiscoveredResource,
    autonamed_input,
    matching_resources,
)
from operations.recovery.discovery import discovered_children
from operations.recovery.physical_ids import location, physical_id
from operations.recovery.program_preview import known_inputs


def import_candidates(
    missing: Sequence[Resource], discovered: Iterable[DiscoveredResource], deployment: Deployment
) -> list[Resource]:
    """The missing resources that may exist, with the ids and names they have then, in the program's order.

    Leaves with all names when several resources may be one, and ``ALLOW`` names none of them.
    """
    resources = deployment["resources"]
    ids = {each["urn"]: each["id"] for each in resources if each.get("id")}
    unmanaged = _unmanaged(discovered, resources)
    invented_names = {each["inputs"][name] for each in missing if (name := autonamed_input(each))}
    candidates, ambiguous = [], []
    for each in missing:
        known = _as_known(each, ids, invented_names)
        if name_input := autonamed_input(each):
            children = discovered_children(known, location(known, resources))
            matches = _chosen(matching_resources(known, [*unmanaged, *children]))
            if len(matches) > 1:
                ambiguous.append(_ambiguity(each, matches))
            elif matches:
                candidates.append(_named(known, each["inputs"], name_input, matches[0]))
        elif _can_be_read(each, known):
            candidates.append(known)
    guards.refuse(ambiguous)
    return [{**each, "id": id_} for each in candidates if (id_ := physical_id(each, resources))]


def _unmanaged(
    discovered: Iterable[DiscoveredResource], resources: Iterable[Resource]
) -> list[DiscoveredResource]:
    """The discovered resources that the state does not have: no input of a resource has their name."""
    managed = {
        (each["type"], value)
        for each in resources
        for value in (each.get("inputs") or {}).values()
        if isinstance(value, str)
    }
    return [each for each in discovered if (each.type, each.name) not in managed]


def _as_known(
    resource: Resource, ids: Mapping[str, str], invented_names: Collection[str]
) -> Resource:
    """The resource with the inputs that are known, and with its provider's id in the state."""
    provider = provider_urn(resource)
    return {
        **resource,
        "inputs": known_inputs(resource["inputs"], invented_names),
        "provider": f"{provider}::{ids.get(provider)}",
    }


def _chosen(matches: list[DiscoveredResource]) -> list[DiscoveredResource]:
    """Those that ``ALLOW`` names; without any, all."""
    return [each for each in matches if each.name in guards.allowed()] or matches


def _named(
    known: Resource, inputs: Mapping[str, Any], name_input: str, match: DiscoveredResource
) -> Resource:
    """The resource with the name of its match, and with the parents that discovery knows.

    The inputs stay in the order of the program's.
    """
    filled = {key: match.name if key == name_input else known["inputs"].get(key) for key in inputs}
    known_values = {key: value for key, value in filled.items() if value is not None}
    return {**known, "inputs": known_values | dict(match.parents)}


def _can_be_read(resource: Resource, known: Resource) -> bool:
    """Whether the known inputs are enough: a dynamic resource is read by all of its inputs."""
    return (
        not resource["type"].startswith(DYNAMIC)
        or known["inputs"].keys() == resource["inputs"].keys()
    )


def _ambiguity(resource: Resource, matches: Sequence[DiscoveredResource]) -> str:
    return (
        f"{len(matches)} resources may be {resource_name(resource['urn'])} ({resource['type']}):"
        f" {', '.join(map(str, matches))}. All have this stack's tags, so a replacement was interrupted, or two"
        f" platforms were created under one name. Nothing was changed. Choose one: ALLOW={matches[0].name};"
        " several choices are separated by commas"
    )
