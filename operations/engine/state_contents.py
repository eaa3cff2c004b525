"""What a state may contain: nothing that makes the engine run code which is not this program's.

A state is read by a person's engine, with a person's credentials, and can be written by the delivery, whose lake has
a copy of it. Two things in it are code: the pickle of a dynamic provider (`components.stored_providers`), and a
provider of another package, which the engine downloads, from an address in the state if it names one
(https://www.pulumi.com/docs/iac/concepts/providers/resource/#plugin-download-url).

The engine must not read anything else than what is checked here. Go takes ``Inputs`` for ``inputs``, and
merges two objects under one key (https://pkg.go.dev/encoding/json#Unmarshal); Python does neither. So a key that is there twice is refused, and so is a key that Pulumi does not write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from components.stored_providers import STORED_FORMS
from config.clouds import PACKAGES
from operations.engine.resources import Resource, resource_name, resource_type
from operations.engine.wire import SIGNATURE

OWN_PACKAGES = frozenset({*PACKAGES.values(), "pulumi", "pulumi-python", "triplane"})
"""The packages whose types the program has. A program with another package adds it here."""
CHOOSE_PLUGINS = ("pluginDownloadURL", "pluginChecksums", "parameterization", "envVarMappings")
"""Inputs of a provider that choose which plugin the engine loads, and what is in its environment:
https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/resource/deploy/providers/registry.go"""
VERSIONS = (3, 4)
"""The forms of a state that are read here. The engine reads the older ones from other places of the file:
https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/resource/stack/checkpoint.go"""

Keys = Mapping[str, Any]
"""The keys that an object may have: None for any value, else the keys of the object, or of each in a list, below."""


def _keys(words: str, **below: Any) -> Keys:
    return {**dict.fromkeys(words.split()), **below}


# https://github.com/pulumi/pulumi/blob/v3.250.0/sdk/go/common/apitype/core.go without `snippets`, `extensions` and
# `extensionRef`: code, and plugins, which the program does not have.
RESOURCE = _keys(
    "urn custom delete id type inputs outputs parent protect taint external dependencies initErrors provider"
    " propertyDependencies pendingReplacement additionalSecretOutputs aliases importID retainOnDelete deletedWith"
    " replaceWith created modified sourcePosition ignoreChanges hideDiff replaceOnChanges replacementTrigger"
    " refreshBeforeUpdate viewOf resourceHooks",
    customTimeouts=_keys("create update delete read"),
    stackTrace=[_keys("sourcePosition")],
)
DEPLOYMENT = _keys(
    "",
    manifest=_keys("time magic version", plugins=[_keys("name path type version")]),
    secrets_providers=_keys(
        "type", state=_keys("salt url encryptedkey owner project stack insecure")
    ),
    resources=[RESOURCE],
    pending_operations=[_keys("type", resource=RESOURCE)],
    metadata=_keys("", integrity_error=_keys("version command error")),
)
EXPORT = _keys("version features", deployment=DEPLOYMENT)
"""What `pulumi stack export` prints, and what a lake or a backup has."""
FILE = _keys("version features", checkpoint=_keys("stack", latest=DEPLOYMENT))
"""The file in which a backend keeps a state."""


def parsed_state(content: bytes) -> Any:
    """The JSON of a state, as the engine reads it, too. Raises ValueError if it is none, or has a key twice."""
    try:
        return json.loads(content.decode(), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def foreign_code(state: dict[str, Any]) -> str | None:
    """What in a state would run code that is not this program's; None if nothing would.

    ``state``: as `pulumi stack export` prints it, or as a backend's file has it.
    """
    found = _unknown_key(state, FILE if "checkpoint" in state else EXPORT) or _other_version(state)
    found = found or next((each for each in map(_foreign, _resources(state)) if each), None)
    if found is None:
        return None
    return (
        f"the state has {found}. This program never writes that: somebody may have altered the state, and Pulumi would"
        " run what it names. Nothing of it was run. Who can write the state or its copy? Look at it (`pulumi stack"
        " export` runs nothing)"
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice in one object")
    return found


def _unknown_key(value: Any, known: Any, place: str = "") -> str | None:
    """The first key, or kind of value, that Pulumi does not write there; None if there is none."""
    if known is None or value is None:
        return None
    if isinstance(known, list):
        if not isinstance(value, list):
            return f"no list at {place}"
        below = [(each, known[0], f"{place}[{number}]") for number, each in enumerate(value)]
        # An element that is null is an empty resource to the engine.
        if any(each is None for each in value):
            return f"an empty element in {place}"
    else:
        if not isinstance(value, dict):
            return f"no object at {place or 'its top'}"
        if unknown := sorted(value.keys() - known.keys()):
            return f"the key {unknown[0]!r} at {place or 'its top'}"
        below = [(each, known[key], f"{place}.{key}".lstrip(".")) for key, each in value.items()]
    return next((found for each in below if (found := _unknown_key(*each))), None)


def _other_version(state: dict[str, Any]) -> str | None:
    """The version, if the engine would look for the resources elsewhere; a stack without any has the version 0."""
    version = state.get("version")
    if (type(version) is int and version in VERSIONS) or not _deployment(state):
        return None
    return f"the version {version!r} (known: {', '.join(map(str, VERSIONS))})"


def _deployment(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (
        (state.get("checkpoint") or {}).get("latest")
        if "checkpoint" in state
        else state.get("deployment")
    ) or {}
    return found


def _resources(state: dict[str, Any]) -> Iterator[Resource]:
    deployment = _deployment(state)
    yield from deployment.get("resources") or ()
    for each in deployment.get("pending_operations") or ():
        yield each.get("resource") or {}


def _foreign(resource: Resource) -> str | None:
    """What is foreign in a resource; None if nothing is."""
    urn, token = str(resource.get("urn", "")), str(resource.get("type", ""))
    name = resource_name(urn)
    package, _, rest = token.partition(":")
    if package == "pulumi" and rest.startswith("providers:"):
        package = rest.removeprefix("providers:")
    if package not in OWN_PACKAGES:
        return f"the resource {name} of the package {package or '(none)'}"
    # The engine takes the type now from one, now from the other.
    if urn.count("::") < 3 or resource_type(urn) != token:
        return f"the resource {name} with one type in its name and another, {token}, beside it"
    for place in ("inputs", "outputs"):
        properties = resource.get(place) or {}
        if not isinstance(properties, dict):
            return f"no object as {place} of {name}"
        if "__provider" in properties and not _is_own(properties["__provider"]):
            return f"a dynamic provider of its own at {name} ({place}.__provider)"
        if token.startswith("pulumi:providers:"):
            chosen = [key for key in CHOOSE_PLUGINS if _value(properties, key)]
            if chosen:
                return f"the address of a plugin at the provider {name} ({place}.{chosen[0]})"
    return None


def _is_own(provider: object) -> bool:
    """Whether ``__provider`` is what the program writes. As a secret it cannot be looked at, so it is not."""
    return isinstance(provider, str) and provider in STORED_FORMS


def _value(properties: dict[str, Any], key: str) -> Any:
    """A setting of a provider; Pulumi keeps its own settings of plugins below ``__internal``.

    An encrypted ``__internal`` cannot be looked at, so it counts as each of them.
    """
    internal = properties.get("__internal") or {}
    if not isinstance(internal, dict) or SIGNATURE in internal:
        return internal
    return properties.get(key) or internal.get(key)
