"""Azure: the models of the azure-mgmt packages. Properties, types, required ones, enums, some patterns.

The packages come in two styles: generated before 2025 (`_attribute_map`, `_validation`) and after (fields
with types). Neither has a generic way to ask "what is wrong with this JSON", hence the two walks.
"""

from __future__ import annotations

import importlib
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from policy.arm import body
from policy.models import Json, matches, same
from policy.record import Resource

MODELS = {
    "applicationinsights:Component": "applicationinsights.models:ApplicationInsightsComponent",
    "authorization:RoleAssignment": "authorization.models:RoleAssignmentCreateParameters",
    "authorization:RoleDefinition": "authorization.models:RoleDefinition",
    "containerregistry:Registry": "containerregistry.models:Registry",
    "containerregistry:TaskRun": "containerregistrytasks.models:TaskRun",
    "keyvault:Secret": "keyvault.models:SecretCreateOrUpdateParameters",
    "keyvault:Vault": "keyvault.models:VaultCreateOrUpdateParameters",
    "machinelearningservices:Datastore": "machinelearningservices.models:Datastore",
    "machinelearningservices:EnvironmentVersion": "machinelearningservices.models:EnvironmentVersion",
    "machinelearningservices:ModelVersion": "machinelearningservices.models:ModelVersion",
    "machinelearningservices:OnlineDeployment": "machinelearningservices.models:OnlineDeployment",
    "machinelearningservices:OnlineEndpoint": "machinelearningservices.models:OnlineEndpoint",
    "machinelearningservices:Workspace": "machinelearningservices.models:Workspace",
    "managedidentity:FederatedIdentityCredential": "msi.models:FederatedIdentityCredential",
    "managedidentity:UserAssignedIdentity": "msi.models:Identity",
    "monitor:AutoscaleSetting": "monitor.models:AutoscaleSettingResource",
    "operationalinsights:Workspace": "loganalytics.models:Workspace",
    "storage:BlobContainer": "storage.models:BlobContainer",
    "storage:BlobServiceProperties": "storage.models:BlobServiceProperties",
    "storage:ManagementPolicy": "storage.models:ManagementPolicy",
    "storage:StorageAccount": "storage.models:StorageAccountCreateParameters",
    "web:AppServicePlan": "web.models:AppServicePlan",
    "web:WebApp": "web.models:Site",
}
NOT_COVERED = {
    "azure-native:resources:ResourceGroup": "nothing but a location and tags",
}
# Newer than the models of azure-mgmt-machinelearningservices 2.0.0b2, the last package with endpoints.
# https://learn.microsoft.com/azure/templates/microsoft.machinelearningservices/workspaces
NEWER = {
    "machinelearningservices:Datastore": {
        "Datastore.properties.resourcegroup",
        "Datastore.properties.subscriptionid",
    },
    "machinelearningservices:Workspace": {
        "Workspace.kind",
        "Workspace.properties.systemdatastoresauthmode",
    },
}


def title(type_: str) -> str:
    """The model that a type maps to."""
    return "azure.mgmt." + MODELS[type_.removeprefix("azure-native:")].replace(":", ".")


def problems(resource: Resource) -> Iterator[str]:
    """What Azure would refuse of a resource's inputs."""
    short = resource.type.removeprefix("azure-native:")
    module, _, name = MODELS[short].partition(":")
    model = getattr(importlib.import_module(f"azure.mgmt.{module}"), name)
    sent = body(resource)
    if not sent["properties"]:
        del sent["properties"]  # a model without any has no place for an empty one
    newer = NEWER.get(short, set())
    for said in held(sent, model, name):
        if not any(said.startswith(f"{path}:") for path in newer):
            yield said


def held(value: Any, model: Any, path: str) -> Iterator[str]:
    """A mapping against a model of either style."""
    if not isinstance(value, Mapping):
        yield f"{path}: a mapping is needed, not {value!r}"
    elif hasattr(model, "_attribute_map"):
        yield from held_by_map(value, subtype(value, model), path)
    else:
        yield from held_by_fields(value, subtype(value, model), path)


def subtype(value: Mapping[str, Any], model: Any) -> Any:
    """The model that a discriminator names; each style keeps them in its own place."""
    for name in model.__dict__.get("__mapping__", {}):
        if name in value.values() and model.__mapping__[name] is not model:
            return model.__mapping__[name]
    for attribute, names in model.__dict__.get("_subtype_map", {}).items():
        key = model._attribute_map[attribute]["key"]
        if found := names.get(value.get(key)):
            return subtype(value, getattr(sys.modules[model.__module__], found))
    return model


def held_by_map(value: Mapping[str, Any], model: Any, path: str) -> Iterator[str]:
    """The older style: a flat map of attributes to paths and types, and a map of their limits."""
    # Some services spell theirs Application_Type where azure-native says applicationType.
    places = {spelt(entry["key"]): name for name, entry in model._attribute_map.items()}
    limits = getattr(model, "_validation", {})
    given = dict(flat(value, places))
    for key, item in given.items():
        if key not in places:
            yield f"{path}.{key}: is no property of {model.__name__}"
            continue
        name = places[key]
        rule = limits.get(name, {})
        if rule.get("readonly"):
            yield f"{path}.{key}: cannot be written"
        if isinstance(item, str):
            if pattern := rule.get("pattern"):
                yield from matches(pattern, item, f"{path}.{key}", whole=False)
            if not rule.get("min_length", 0) <= len(item) <= rule.get("max_length", len(item)):
                yield f"{path}.{key}: {len(item)} characters"
        yield from typed(item, model._attribute_map[name]["type"], model, f"{path}.{key}")
    for name, rule in limits.items():
        if rule.get("required") and name not in {places.get(key) for key in given}:
            yield f"{path}.{name}: is required"


def spelt(key: str) -> str:
    """A dotted key without what spellings differ in."""
    return ".".join(same(part) for part in key.split("."))


def flat(
    value: Mapping[str, Any], places: Mapping[str, str], at: str = ""
) -> Iterator[tuple[str, Any]]:
    """The entries of a mapping by the dotted keys that a flattened model has."""
    for name, item in value.items():
        key = at + same(name)
        inside = any(place.startswith(f"{key}.") for place in places)
        if inside and key not in places and isinstance(item, Mapping):
            yield from flat(item, places, f"{key}.")
        elif item is not None:
            yield key, item


def typed(item: Any, kind: str, model: Any, path: str) -> Iterator[str]:
    """A value against a type as the older style writes it: ``str``, ``[Thing]``, ``{Thing}``, ``Thing``."""
    if kind.startswith("["):
        if not isinstance(item, list):
            yield f"{path}: a list is needed, not {item!r}"
            return
        for index, each in enumerate(item):
            yield from typed(each, kind[1:-1], model, f"{path}[{index}]")
    elif kind.startswith("{"):
        for name, each in item.items():
            yield from typed(each, kind[1:-1], model, f"{path}.{name}")
    elif kind in ("str", "iso-8601", "duration"):
        if not isinstance(item, str):
            yield f"{path}: a text is needed, not {item!r}"
    elif kind in ("int", "long", "float"):
        if isinstance(item, bool) or not isinstance(item, int | float):
            yield f"{path}: a number is needed, not {item!r}"
    elif kind == "bool":
        if not isinstance(item, bool):
            yield f"{path}: true or false is needed, not {item!r}"
    elif (inner := getattr(sys.modules[model.__module__], kind, None)) is not None:
        yield from held(item, inner, path)


def held_by_fields(value: Mapping[str, Any], model: Any, path: str) -> Iterator[str]:
    """The newer style: annotated fields, whose names on the wire are known to the field."""
    fields = {}
    for base in reversed(model.__mro__):
        for name, annotation in getattr(base, "__annotations__", {}).items():
            field = base.__dict__.get(name)
            if hasattr(field, "_rest_name_input"):
                fields[field._rest_name_input or name] = (field, annotation, base)
    for key, item in value.items():
        if key not in fields:
            yield f"{path}.{key}: is no property of {model.__name__}"
        elif item is not None:
            field, annotation, base = fields[key]
            if field._visibility == ["read"]:
                yield f"{path}.{key}: cannot be written"
            yield from annotated(item, resolved(annotation, base), f"{path}.{key}")
    for key, (field, annotation, _) in fields.items():
        optional = type(None) in typing.get_args(annotation) or field._visibility == ["read"]
        if not optional and value.get(key) is None and not field._is_discriminator:
            yield f"{path}.{key}: is required"


def resolved(annotation: Any, base: Any) -> Any:
    """An annotation with the names of its own package's models looked up."""
    package = base.__module__.rpartition(".")[0]
    names = types.SimpleNamespace(**vars(importlib.import_module(package)))
    holder: Json = {
        "_models": names,
        "_enums": names,
        "datetime": importlib.import_module("datetime"),
    }
    shell = type("Shell", (), {"__annotations__": {"value": annotation}})
    return typing.get_type_hints(shell, globalns={**vars(sys.modules[base.__module__]), **holder})[
        "value"
    ]


def annotated(item: Any, annotation: Any, path: str) -> Iterator[str]:
    """A value against a resolved annotation."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        members = [each for each in arguments if each is not type(None)]
        enums = [each for each in members if isinstance(each, type) and issubclass(each, Enum)]
        if (
            enums
        ):  # written Union[str, SomeEnum]; an enum's own word is the wire's, whatever its case
            known = {str(word.value).lower() for word in enums[0]}
            if str(item).lower() not in known:
                yield f"{path}: {item!r} is none of {', '.join(sorted(known))}"
            return
        yield from min((list(annotated(item, each, path)) for each in members), key=len)
    elif origin is list:
        if not isinstance(item, list):
            yield f"{path}: a list is needed, not {item!r}"
            return
        for index, each in enumerate(item):
            yield from annotated(each, arguments[0], f"{path}[{index}]")
    elif origin is dict:
        for name, each in item.items():
            yield from annotated(each, arguments[1], f"{path}.{name}")
    elif annotation is bool or annotation is str:
        if not isinstance(item, annotation):
            yield f"{path}: {annotation.__name__} is needed, not {item!r}"
    elif annotation in (int, float):
        if isinstance(item, bool) or not isinstance(item, int | float):
            yield f"{path}: a number is needed, not {item!r}"
    elif isinstance(annotation, type) and annotation.__module__.startswith("azure.mgmt."):
        yield from held(item, annotation, path)
