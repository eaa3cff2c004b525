"""Azure: the models of the azure-mgmt packages. Properties, types, required ones, enums, some limits and
patterns, and what the packages know of the names in a request's URL.

The packages come in two styles: generated before 2025 (`_attribute_map`, `_validation`) and after (fields
with types). Neither has a generic way to ask "what is wrong with this JSON", hence the two walks.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any
from unittest import mock

from api_models.arm import PLACE, TYPES, body
from api_models.matching import Json, NotLookedAt, Said, compiled, complaints, matches, same
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
    "resources:ResourceGroup": "resource.resources.models:ResourceGroup",
    "storage:BlobContainer": "storage.models:BlobContainer",
    "storage:BlobServiceProperties": "storage.models:BlobServiceProperties",
    "storage:ManagementPolicy": "storage.models:ManagementPolicy",
    "storage:StorageAccount": "storage.models:StorageAccountCreateParameters",
    "web:AppServicePlan": "web.models:AppServicePlan",
    "web:WebApp": "web.models:Site",
}
NOT_COVERED: dict[str, str] = {}
# The functions that build the requests: they know the rules of the names in the URL.
BUILDERS = {
    "applicationinsights:Component": "applicationinsights.v2020_02_02.operations._components_operations:build_create_or_update_request",
    "authorization:RoleAssignment": "authorization.v2022_04_01.operations._role_assignments_operations:build_create_request",
    "authorization:RoleDefinition": "authorization.v2022_04_01.operations._role_definitions_operations:build_create_or_update_request",
    "containerregistry:Registry": "containerregistry.operations._operations:build_registries_create_request",
    "containerregistry:TaskRun": "containerregistrytasks.operations._operations:build_task_runs_create_request",
    "keyvault:Secret": "keyvault.operations._operations:build_secrets_create_or_update_request",
    "keyvault:Vault": "keyvault.operations._operations:build_vaults_create_or_update_request",
    "machinelearningservices:Datastore": "machinelearningservices.operations._datastores_operations:build_create_or_update_request",
    "machinelearningservices:EnvironmentVersion": "machinelearningservices.operations._environment_versions_operations:build_create_or_update_request",
    "machinelearningservices:ModelVersion": "machinelearningservices.operations._model_versions_operations:build_create_or_update_request",
    "machinelearningservices:OnlineDeployment": "machinelearningservices.operations._online_deployments_operations:build_create_or_update_request",
    "machinelearningservices:OnlineEndpoint": "machinelearningservices.operations._online_endpoints_operations:build_create_or_update_request",
    "machinelearningservices:Workspace": "machinelearningservices.operations._workspaces_operations:build_create_or_update_request",
    "managedidentity:FederatedIdentityCredential": "msi.v2024_11_30.operations._federated_identity_credentials_operations:build_create_or_update_request",
    "managedidentity:UserAssignedIdentity": "msi.v2024_11_30.operations._user_assigned_identities_operations:build_create_or_update_request",
    "monitor:AutoscaleSetting": "monitor.operations._autoscale_settings_operations:build_create_or_update_request",
    "operationalinsights:Workspace": "loganalytics.operations._operations:build_workspaces_create_or_update_request",
    "resources:ResourceGroup": "resource.resources.operations._operations:build_resource_groups_create_or_update_request",
    "storage:BlobContainer": "storage.operations._operations:build_blob_containers_create_request",
    "storage:BlobServiceProperties": "storage.operations._operations:build_blob_services_set_service_properties_request",
    "storage:ManagementPolicy": "storage.operations._operations:build_management_policies_create_or_update_request",
    "storage:StorageAccount": "storage.operations._operations:build_storage_accounts_create_request",
    "web:AppServicePlan": "web.operations._operations:build_app_service_plans_create_or_update_request",
    "web:WebApp": "web.operations._operations:build_web_apps_create_or_update_request",
}
GROUPS = "machinelearningservices:Workspace"
# What the packages say of a name in prose only: of storage's two, whatever the resource.
_CONTAINERS = "storage.operations:BlobContainersOperations.create"
SAID = {
    "accountname": Said(
        _CONTAINERS,
        "Storage account names must be between 3 and 24 characters in length and use numbers and "
        "lower-case letters only.",
        r"[a-z0-9]{3,24}",
    ),
    "containername": Said(
        _CONTAINERS,
        "Blob container names must be between 3 and 63 characters in length and use numbers, lower-case "
        "letters and dash (-) only. Every dash (-) character must be immediately preceded and followed by "
        "a letter or number.",
        r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*",
    ),
}
# Newer than the models of azure-mgmt-machinelearningservices 2.0.0b2, the last package with endpoints: what
# they may be, by Microsoft's reference.
# https://learn.microsoft.com/azure/templates/microsoft.machinelearningservices/workspaces
# https://learn.microsoft.com/azure/templates/microsoft.machinelearningservices/workspaces/datastores
NEWER = {
    "machinelearningservices:Datastore": {
        "properties.resourceGroup": r"[-\w.()]{1,90}",
        "properties.subscriptionId": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    },
    "machinelearningservices:Workspace": {
        "kind": "Default|FeatureStore|Hub|Project",
        "properties.systemDatastoresAuthMode": "AccessKey|Identity|UserDelegationSAS",
    },
}


def title(type_: str) -> str:
    """The model that a type maps to."""
    return "azure.mgmt." + MODELS[type_.removeprefix("azure-native:")].replace(":", ".")


def located(place: str) -> tuple[Any, Any]:
    """A module of the SDK and a thing in it: ``storage.models:StorageAccount``."""
    module, _, name = place.partition(":")
    inside: Any = importlib.import_module(f"azure.mgmt.{module}")
    holder = inside
    for step in name.split("."):
        inside = getattr(inside, step)
    return holder, inside


def prose(where: str) -> str:
    """What an operation's documentation says."""
    return " ".join((inspect.getdoc(located(where)[1]) or "").split())


def problems(resource: Resource) -> Iterator[str]:
    """What Azure would refuse of a resource's inputs."""
    return complaints(findings(resource))


def findings(resource: Resource) -> Iterator[str]:
    """The complaints, and what is not looked at."""
    short = resource.type.removeprefix("azure-native:")
    yield from named(resource, short)
    _, model = located(MODELS[short])
    identity = resource.inputs.get("identity")
    if isinstance(identity, Mapping):  # a list goes in, a map by id goes over the wire
        for each in identity.get("userAssignedIdentities") or ():
            if not isinstance(each, str):
                yield f"identity.userAssignedIdentities: a text is needed, not {each!r}"
                return
    sent = body(resource)
    if not sent["properties"]:
        del sent["properties"]  # a model without any has no place for an empty one
    for path, pattern in NEWER.get(short, {}).items():
        *way, last = path.split(".")
        holder = sent
        for step in way:
            holder = holder.get(step) or {}
        if (value := holder.pop(last, None)) is not None:
            if isinstance(value, str):
                yield from matches(pattern, value, path)
            else:
                yield f"{path}: a text is needed, not {value!r}"
    yield from held(sent, model, MODELS[short].partition(":")[2])


class Rules:
    """In the place of an SDK's serializer: keeps the rules of the names in a URL, and says none."""

    def __init__(self) -> None:
        self.of: dict[str, Json] = {}

    def url(self, name: str, _data: object, kind: str, **rules: Any) -> str:
        """What a builder calls for each name."""
        self.of[same(name)] = {"kind": kind, **rules}
        return "it"

    def query(self, *_: object, **__: object) -> str:
        """What it calls for what is not in the path."""
        return "it"

    header = query


@cache
def url_rules(short: str) -> Mapping[str, Json]:
    """What the request's builder knows of each name in the URL."""
    module, build = located(BUILDERS[short])
    needed = [
        each.name
        for each in inspect.signature(build).parameters.values()
        if each.default is each.empty and each.kind is not each.VAR_KEYWORD
    ]
    with mock.patch.object(module, "_SERIALIZER", Rules()) as rules:
        build(**dict.fromkeys(needed, "it"))
    return rules.of


def named(resource: Resource, short: str) -> Iterator[str]:
    """The names in the URL. One that the program leaves to azure-native is the resource's id."""
    _, names = TYPES[short]
    for name in dict.fromkeys((*names, *sorted(PLACE))):
        value = resource.inputs.get(name)
        if value is None and name == names[-1]:
            value = resource.id
        if value is None:
            continue
        # What a resource group may be called does not depend on what is in it; not every package says it.
        knows = GROUPS if name == "resourceGroupName" else short
        rule = url_rules(knows).get(same(name), {})
        said = SAID.get(same(name)) if short.startswith("storage:") else None
        if not isinstance(value, str):
            yield f"{name}: a text is needed, not {value!r}"
        elif said:
            yield from matches(said.pattern, value, name)
        elif rule.keys() & LIMITS.keys():
            yield from limited(value, rule, name)
        else:
            yield NotLookedAt(name)


def held(value: Any, model: Any, path: str) -> Iterator[str]:
    """A mapping against a model of either style."""
    if not isinstance(value, Mapping):
        yield f"{path}: a mapping is needed, not {value!r}"
    elif hasattr(model, "_attribute_map"):
        yield from held_by_map(value, subtype(value, model), path)
    else:
        yield from held_by_fields(value, subtype(value, model), path)


# https://github.com/Azure/autorest.python: `Serializer.validation` in each package's _serialization.py
LIMITS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "min_length": ("characters at least", lambda value, bound: len(value) >= bound),
    "max_length": ("characters at most", lambda value, bound: len(value) <= bound),
    "min_items": ("entries at least", lambda value, bound: len(value) >= bound),
    "max_items": ("entries at most", lambda value, bound: len(value) <= bound),
    "minimum": ("at least", lambda value, bound: value >= bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "minimum_ex": ("more than that", lambda value, bound: value > bound),
    "maximum_ex": ("less than that", lambda value, bound: value < bound),
    "multiple": ("a multiple", lambda value, bound: value % bound == 0),
    "unique": ("none twice", lambda value, _: len(value) == len(set(map(str, value)))),
    "pattern": ("the pattern", lambda value, bound: bool(compiled(bound, False).search(value))),
}


def limited(value: Any, rule: Mapping[str, Any], path: str) -> Iterator[str]:
    """A value against the limits that a rule states, as far as they are of its type: the type is
    complained of elsewhere."""
    for name, (words, holds) in LIMITS.items():
        if name in rule:
            try:
                fits = holds(value, rule[name])
            except TypeError:
                continue
            if not fits:
                yield f"{path}: {value!r} breaks {rule[name]}: {words}"


def subtype(value: Mapping[str, Any], model: Any) -> Any:
    """The model that a discriminator names; each style keeps them in its own place."""
    for name in model.__dict__.get("__mapping__", {}):
        if name in value.values() and model.__mapping__[name] is not model:
            return model.__mapping__[name]
    for attribute, names in model.__dict__.get("_subtype_map", {}).items():
        key = model._attribute_map[attribute]["key"]
        if found := names.get(str(value.get(key))):
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
        yield from limited(item, rule, f"{path}.{key}")
        kind = model._attribute_map[name]["type"]
        yield from typed(item, kind, model, f"{path}.{key}", words(model).get(name))
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


@cache
def words(model: Any) -> Mapping[str, Any]:
    """The enumerations of the older style: a map calls them ``str``, only the constructor names them. Of a
    discriminator, which is no argument of it, the words are those of the subtypes."""
    enums: dict[str, Any] = {}
    for name, each in inspect.signature(model.__init__).parameters.items():
        named = isinstance(each.annotation, str) or "_models." in repr(each.annotation)
        if named and (found := enumeration(resolved(each.annotation, model))):
            enums[name] = {word.value for word in found}
    for base in model.__mro__:
        for name, subtypes in base.__dict__.get("_subtype_map", {}).items():
            enums[name] = set(subtypes)
    return enums


def enumeration(annotation: Any) -> type[Enum] | None:
    """The enumeration inside an annotation; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation
    inside = (enumeration(each) for each in typing.get_args(annotation))
    return next((each for each in inside if each), None)


# https://learn.microsoft.com/azure/templates: "ISO 8601 duration"; a dot or a comma before a fraction.
DURATION = r"-?P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?"
TIME = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?"


def typed(item: Any, kind: str, model: Any, path: str, words: Any = None) -> Iterator[str]:
    """A value against a type as the older style writes it: ``str``, ``[Thing]``, ``{Thing}``, ``Thing``;
    a text may have to be one of some ``words``."""
    if kind.startswith("["):
        if not isinstance(item, list):
            yield f"{path}: a list is needed, not {item!r}"
            return
        for index, each in enumerate(item):
            yield from typed(each, kind[1:-1], model, f"{path}[{index}]", words)
    elif kind.startswith("{"):
        if not isinstance(item, Mapping):
            yield f"{path}: a mapping is needed, not {item!r}"
            return
        for name, each in item.items():
            yield from typed(each, kind[1:-1], model, f"{path}.{name}", words)
    elif kind in ("str", "iso-8601", "duration"):
        if not isinstance(item, str):
            yield f"{path}: a text is needed, not {item!r}"
        elif words and item not in words:
            yield f"{path}: {item!r} is none of {', '.join(sorted(map(str, words)))}"
        elif kind != "str":
            yield from matches(DURATION if kind == "duration" else TIME, item, path)
    elif kind in ("int", "long", "float"):
        if isinstance(item, bool) or not isinstance(item, int | float):
            yield f"{path}: a number is needed, not {item!r}"
    elif kind == "bool":
        if not isinstance(item, bool):
            yield f"{path}: true or false is needed, not {item!r}"
    elif (inner := getattr(sys.modules[model.__module__], kind, None)) is not None:
        yield from held(item, inner, path)
    else:
        yield NotLookedAt(path)


def held_by_fields(value: Mapping[str, Any], model: Any, path: str) -> Iterator[str]:
    """The newer style: annotated fields, whose names on the wire are known to the field."""
    known = fields(model)
    for key, item in value.items():
        if key not in known:
            yield f"{path}.{key}: is no property of {model.__name__}"
        elif item is not None:
            field, annotation = known[key]
            if field._visibility == ["read"]:
                yield f"{path}.{key}: cannot be written"
            yield from annotated(item, annotation, f"{path}.{key}")
    for key, (field, annotation) in known.items():
        optional = type(None) in typing.get_args(annotation) or field._visibility == ["read"]
        if not optional and value.get(key) is None and not field._is_discriminator:
            yield f"{path}.{key}: is required"


@cache
def fields(model: Any) -> Mapping[str, tuple[Any, Any]]:
    """A newer model's fields and their types, by the names on the wire."""
    result = {}
    for base in reversed(model.__mro__):
        for name, annotation in getattr(base, "__annotations__", {}).items():
            field = base.__dict__.get(name)
            if hasattr(field, "_rest_name_input"):
                result[field._rest_name_input or name] = (field, resolved(annotation, base))
    return result


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
        if enums:  # written Union[str, SomeEnum]
            known = [str(word.value) for word in enums[0]]
            if item not in known:
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
        if not isinstance(item, Mapping):
            yield f"{path}: a mapping is needed, not {item!r}"
            return
        for name, each in item.items():
            yield from annotated(each, arguments[1], f"{path}.{name}")
    elif origin is typing.Literal:
        if item not in arguments:
            yield f"{path}: {item!r} is none of {', '.join(map(str, arguments))}"
    elif annotation is bool or annotation is str:
        if not isinstance(item, annotation):
            yield f"{path}: {annotation.__name__} is needed, not {item!r}"
    elif annotation in (int, float):
        if isinstance(item, bool) or not isinstance(item, int | float):
            yield f"{path}: a number is needed, not {item!r}"
    elif isinstance(annotation, type) and annotation.__module__.startswith("azure.mgmt."):
        yield from held(item, annotation, path)
    else:
        yield NotLookedAt(path)
