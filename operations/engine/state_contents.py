"""What a state may contain: nothing that makes the engine run code which is not this program's.

A state is read by a person's engine, with a person's credentials, and can be written by the delivery, whose lake has
a copy of it. Two things in it are code: the pickle of a dynamic provider (`components.stored_providers`), and a
provider of another package, which the engine downloads, from an address in the state if it names one
(https://www.pulumi.com/docs/iac/concepts/providers/resource/#plugin-download-url).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.stored_providers import STORED_FORMS
from config.clouds import PACKAGES
from operations.engine.resources import Resource, resource_name

OWN_PACKAGES = frozenset({*PACKAGES.values(), "pulumi", "pulumi-python", "triplane"})
"""The packages whose types the program has. A program with another package adds it here."""
DOWNLOADS = ("pluginDownloadURL", "pluginChecksums", "parameterization")
"""Inputs of a provider that choose which plugin the engine loads."""


def foreign_code(deployment: dict[str, Any]) -> str | None:
    """What in an exported state would run code that is not this program's; None if nothing would."""
    found = next((each for each in map(_foreign, _resources(deployment)) if each), None)
    if found is None:
        return None
    return (
        f"the state has {found}. This program never writes that: somebody may have altered the state, and Pulumi would"
        " run what it names. Nothing of it was run. Who can write the state or its copy? Look at it (`pulumi stack"
        " export` runs nothing)"
    )


def _resources(deployment: dict[str, Any]) -> Iterator[Resource]:
    yield from deployment.get("resources") or ()
    for each in deployment.get("pending_operations") or ():
        yield each.get("resource") or {}


def _foreign(resource: Resource) -> str | None:
    """What is foreign in a resource; None if nothing is."""
    name = resource_name(str(resource.get("urn", "")))
    package, _, rest = str(resource.get("type", "")).partition(":")
    if package == "pulumi" and rest.startswith("providers:"):
        package = rest.removeprefix("providers:")
    if package not in OWN_PACKAGES:
        return f"the resource {name} of the package {package or '(none)'}"
    for place in ("inputs", "outputs"):
        properties = resource.get(place) or {}
        if "__provider" in properties and not _is_own(properties["__provider"]):
            return f"a dynamic provider of its own at {name} ({place}.__provider)"
        if str(resource.get("type", "")).startswith("pulumi:providers:"):
            chosen = [key for key in DOWNLOADS if _value(properties, key)]
            if chosen:
                return f"the address of a plugin at the provider {name} ({place}.{chosen[0]})"
    return None


def _is_own(provider: object) -> bool:
    """Whether ``__provider`` is what the program writes. As a secret it cannot be looked at, so it is not."""
    return isinstance(provider, str) and provider in STORED_FORMS


def _value(properties: dict[str, Any], key: str) -> Any:
    """A setting of a provider; Pulumi keeps its own settings of plugins below ``__internal``."""
    return properties.get(key) or (properties.get("__internal") or {}).get(key)
