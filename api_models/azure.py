"""Azure: the models of the azure-mgmt packages. They state properties, types, what is required, enumerations,
some limits and patterns, and rules of the names in a request's URL.

The packages have two styles: generated before 2025 (`_attribute_map`, `_validation`), and after (fields with
types). Neither can validate a JSON document by itself, so this module walks both styles.
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

from api_models.arm import LOCATION_INPUTS, TYPES, body
from api_models.matching import (
    Json,
    NotChecked,
    ProseRule,
    compiled,
    normalized,
    pattern_problems,
    problems_among,
)
from api_models.resource import Resource

MODELS = {
    "applicationinsights:Component": "applicationinsights.models:ApplicationInsightsComponent",
    "authorization:RoleAssignment": "authorization.models:RoleAssignmentCreateParameters",
    "authorization:RoleDefinition": "authorization.models:RoleDefinition",
    "containerregistry:Registry": "containerregistry.models:Registry",
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
    "web:WebAppFtpAllowed": "web.models:CsmPublishingCredentialsPoliciesEntity",
    "web:WebAppScmAllowed": "web.models:CsmPublishingCredentialsPoliciesEntity",
}
NOT_COVERED: dict[str, str] = {}
# The functions that build the requests. They know the rules of the names in the URL.
REQUEST_BUILDERS = {
    "applicationinsights:Component": "applicationinsights.v2020_02_02.operations._components_operations:build_create_or_update_request",
    "authorization:RoleAssignment": "authorization.v2022_04_01.operations._role_assignments_operations:build_create_request",
    "authorization:RoleDefinition": "authorization.v2022_04_01.operations._role_definitions_operations:build_create_or_update_request",
    "containerregistry:Registry": "containerregistry.operations._operations:build_registries_create_request",
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
    "web:WebAppFtpAllowed": "web.operations._operations:build_web_apps_update_ftp_allowed_request",
    "web:WebAppScmAllowed": "web.operations._operations:build_web_apps_update_scm_allowed_request",
}
KNOWS_RESOURCE_GROUPS = "machinelearningservices:Workspace"
"""A type whose package states the rule of a resource group's name; not every package does."""
# The rules of storage's two names, for every type of storage. The packages state them in descriptions only.
_CONTAINERS = "storage.operations:BlobContainersOperations.create"
NAME_RULES = {
    "accountname": ProseRule(
        _CONTAINERS,
        "Storage account names must be between 3 and 24 characters in length and use numbers and "
        "lower-case letters only.",
        r"[a-z0-9]{3,24}",
    ),
    "containername": ProseRule(
        _CONTAINERS,
        "Blob container names must be between 3 and 63 characters in length and use numbers, lower-case "
        "letters and dash (-) only. Every dash (-) character must be immediately preceded and followed by "
        "a letter or number.",
        r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*",
    ),
}
# Properties that azure-mgmt-machinelearningservices 2.0.0b2, the last package with endpoints, does not know yet.
# The patterns are from Microsoft's reference.
# https://learn.microsoft.com/azure/templates/microsoft.machinelearningservices/workspaces
# https://learn.microsoft.com/azure/templates/microsoft.machinelearningservices/workspaces/datastores
NEWER_PROPERTIES = {
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
    """The model that a type is compared with."""
    return "azure.mgmt." + MODELS[type_.removeprefix("azure-native:")].replace(":", ".")


def imported(place: str) -> tuple[Any, Any]:
    """A module of the SDK (or the class of a method), and what it has: ``storage.models:StorageAccount``."""
    module, _, name = place.partition(":")
    found: Any = importlib.import_module(f"azure.mgmt.{module}")
    owner = found
    for step in name.split("."):
        found = getattr(found, step)
    return owner, found


def documentation(where: str) -> str:
    """The docstring of an operation."""
    return " ".join((inspect.getdoc(imported(where)[1]) or "").split())


def problems(resource: Resource) -> Iterator[str]:
    """What Azure would refuse of a resource's inputs."""
    return problems_among(findings(resource))


def findings(resource: Resource) -> Iterator[str]:
    """The problems, and the paths that are not checked."""
    short = resource.type.removeprefix("azure-native:")
    yield from name_findings(resource, short)
    _, model = imported(MODELS[short])
    identity = resource.inputs.get("identity")
    if isinstance(identity, Mapping):  # the input is a list, the request has a map by id
        for each in identity.get("userAssignedIdentities") or ():
            if not isinstance(each, str):
                yield f"identity.userAssignedIdentities: a string is needed, not {each!r}"
                return
    request = body(resource)
    if not request["properties"]:
        del request["properties"]  # some models have no properties at all
    yield from newer_property_problems(request, NEWER_PROPERTIES.get(short, {}))
    yield from value_findings(request, model, MODELS[short].partition(":")[2])


def newer_property_problems(request: Json, patterns: Mapping[str, str]) -> Iterator[str]:
    """The problems of the properties that the model does not know yet. Removes them from the request."""
    for path, pattern in patterns.items():
        *parents, last = path.split(".")
        holder = request
        for step in parents:
            holder = holder.get(step) or {}
        if (value := holder.pop(last, None)) is not None:
            if isinstance(value, str):
                yield from pattern_problems(pattern, value, path)
            else:
                yield f"{path}: a string is needed, not {value!r}"


class RecordingSerializer:
    """Replaces an SDK's serializer: it records the rules of the names in a URL, and checks none."""

    def __init__(self) -> None:
        self.rules: dict[str, Json] = {}

    def url(self, name: str, _data: object, kind: str, **rules: Any) -> str:
        """A request builder calls this for each name in the path."""
        self.rules[normalized(name)] = {"kind": kind, **rules}
        return "value"

    def query(self, *_: object, **__: object) -> str:
        """A request builder calls this for each parameter outside of the path."""
        return "value"

    header = query


@cache
def url_rules(short: str) -> Mapping[str, Json]:
    """The rules of each name in the URL, as the request's builder states them."""
    module, build = imported(REQUEST_BUILDERS[short])
    required = [
        each.name
        for each in inspect.signature(build).parameters.values()
        if each.default is each.empty and each.kind is not each.VAR_KEYWORD
    ]
    with mock.patch.object(module, "_SERIALIZER", RecordingSerializer()) as serializer:
        build(**dict.fromkeys(required, "value"))
    return serializer.rules


def name_findings(resource: Resource, short: str) -> Iterator[str]:
    """The findings of the names in the URL. A name that the program leaves to azure-native is the id."""
    _, names = TYPES[short]
    for name in dict.fromkeys((*names, *sorted(LOCATION_INPUTS))):
        value = resource.inputs.get(name)
        if value is None and name == names[-1]:
            value = resource.id
        if value is None:
            continue
        knows = KNOWS_RESOURCE_GROUPS if name == "resourceGroupName" else short
        rule = url_rules(knows).get(normalized(name), {})
        prose = NAME_RULES.get(normalized(name)) if short.startswith("storage:") else None
        if not isinstance(value, str):
            yield f"{name}: a string is needed, not {value!r}"
        elif prose:
            yield from pattern_problems(prose.pattern, value, name)
        elif rule.keys() & LIMITS.keys():
            yield from limit_problems(value, rule, name)
        else:
            yield NotChecked(name)


def value_findings(value: Any, model: Any, path: str) -> Iterator[str]:
    """The findings of a mapping under a model of either style."""
    if not isinstance(value, Mapping):
        yield f"{path}: a mapping is needed, not {value!r}"
    elif hasattr(model, "_attribute_map"):
        yield from attribute_map_findings(value, subtype(value, model), path)
    else:
        yield from field_findings(value, subtype(value, model), path)


# https://github.com/Azure/autorest.python: `Serializer.validation` in each package's _serialization.py
LIMITS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "min_length": ("at least {} characters", lambda value, bound: len(value) >= bound),
    "max_length": ("at most {} characters", lambda value, bound: len(value) <= bound),
    "min_items": ("at least {} entries", lambda value, bound: len(value) >= bound),
    "max_items": ("at most {} entries", lambda value, bound: len(value) <= bound),
    "minimum": ("at least {}", lambda value, bound: value >= bound),
    "maximum": ("at most {}", lambda value, bound: value <= bound),
    "minimum_ex": ("more than {}", lambda value, bound: value > bound),
    "maximum_ex": ("less than {}", lambda value, bound: value < bound),
    "multiple": ("a multiple of {}", lambda value, bound: value % bound == 0),
    "unique": ("no entry twice", lambda value, _: len(value) == len(set(map(str, value)))),
    "pattern": ("the pattern {}", lambda value, bound: bool(compiled(bound, False).search(value))),
}


def limit_problems(value: Any, rule: Mapping[str, Any], path: str) -> Iterator[str]:
    """The limits of a rule that a value breaks. A limit of another type is skipped: the type has its own check."""
    for name, (words, holds) in LIMITS.items():
        if name in rule:
            try:
                fits = holds(value, rule[name])
            except TypeError:
                continue
            if not fits:
                yield f"{path}: {value!r} breaks the limit: {words.format(rule[name])}"


def subtype(value: Mapping[str, Any], model: Any) -> Any:
    """The model that the discriminator names. Each style keeps its subtypes in another attribute."""
    for name in model.__dict__.get("__mapping__", {}):
        if name in value.values() and model.__mapping__[name] is not model:
            return model.__mapping__[name]
    for attribute, names in model.__dict__.get("_subtype_map", {}).items():
        key = model._attribute_map[attribute]["key"]
        if found := names.get(str(value.get(key))):
            return subtype(value, getattr(sys.modules[model.__module__], found))
    return model


def attribute_map_findings(value: Mapping[str, Any], model: Any, path: str) -> Iterator[str]:
    """The older style: a flat map of attributes to paths and types, and a map of their limits."""
    attributes = {each["key"]: name for name, each in model._attribute_map.items()}
    limits = getattr(model, "_validation", {})
    given = dict(flattened(value, attributes))
    for key, item in given.items():
        if key not in attributes:
            yield f"{path}.{key}: is no property of {model.__name__}"
            continue
        name = attributes[key]
        rule = limits.get(name, {})
        if rule.get("readonly"):
            yield f"{path}.{key}: cannot be written"
        yield from limit_problems(item, rule, f"{path}.{key}")
        kind = model._attribute_map[name]["type"]
        allowed = enumerated_values(model).get(name)
        yield from typed_findings(item, kind, model, f"{path}.{key}", allowed)
    for name, rule in limits.items():
        if rule.get("required") and name not in {attributes.get(key) for key in given}:
            yield f"{path}.{name}: is required"


def flattened(
    value: Mapping[str, Any], attributes: Mapping[str, str], parent: str = ""
) -> Iterator[tuple[str, Any]]:
    """The entries of a mapping by the dotted paths that a flattened model has."""
    for name, item in value.items():
        key = parent + name
        has_children = any(path.startswith(f"{key}.") for path in attributes)
        if has_children and key not in attributes and isinstance(item, Mapping):
            yield from flattened(item, attributes, f"{key}.")
        elif item is not None:
            yield key, item


@cache
def enumerated_values(model: Any) -> Mapping[str, Any]:
    """The values of the older style's enumerations, by attribute.

    The attribute map calls an enumeration ``str``; only the constructor names it. The discriminator is no
    argument of the constructor; its values are those of the subtypes.
    """
    values: dict[str, Any] = {}
    for name, each in inspect.signature(model.__init__).parameters.items():
        by_name = isinstance(each.annotation, str) or "_models." in repr(each.annotation)
        if by_name and (found := enumeration(resolved(each.annotation, model))):
            values[name] = {member.value for member in found}
    for base in model.__mro__:
        for name, subtypes in base.__dict__.get("_subtype_map", {}).items():
            values[name] = set(subtypes)
    return values


def enumeration(annotation: Any) -> type[Enum] | None:
    """The enumeration inside an annotation; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation
    inner = (enumeration(each) for each in typing.get_args(annotation))
    return next((each for each in inner if each), None)


# https://learn.microsoft.com/azure/templates: "ISO 8601 duration"; a dot or a comma before a fraction.
DURATION = r"-?P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?"
TIME = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?"


def typed_findings(
    item: Any, kind: str, model: Any, path: str, allowed: Any = None
) -> Iterator[str]:
    """The findings of a value under a type of the older style: ``str``, ``[Thing]``, ``{Thing}``, ``Thing``.

    A string may have to be one of the ``allowed`` values.
    """
    if kind.startswith("["):
        if not isinstance(item, list):
            yield f"{path}: a list is needed, not {item!r}"
            return
        for index, each in enumerate(item):
            yield from typed_findings(each, kind[1:-1], model, f"{path}[{index}]", allowed)
    elif kind.startswith("{"):
        if not isinstance(item, Mapping):
            yield f"{path}: a mapping is needed, not {item!r}"
            return
        for name, each in item.items():
            yield from typed_findings(each, kind[1:-1], model, f"{path}.{name}", allowed)
    elif kind in ("str", "iso-8601", "duration"):
        if not isinstance(item, str):
            yield f"{path}: a string is needed, not {item!r}"
        elif allowed and item not in allowed:
            yield f"{path}: {item!r} is not one of {', '.join(sorted(map(str, allowed)))}"
        elif kind != "str":
            yield from pattern_problems(DURATION if kind == "duration" else TIME, item, path)
    elif kind in ("int", "long", "float"):
        if isinstance(item, bool) or not isinstance(item, int | float):
            yield f"{path}: a number is needed, not {item!r}"
    elif kind == "bool":
        if not isinstance(item, bool):
            yield f"{path}: true or false is needed, not {item!r}"
    elif (inner := getattr(sys.modules[model.__module__], kind, None)) is not None:
        yield from value_findings(item, inner, path)
    else:
        yield NotChecked(path)


def field_findings(value: Mapping[str, Any], model: Any, path: str) -> Iterator[str]:
    """The newer style: annotated fields that know their names in the request."""
    known = fields(model)
    for key, item in value.items():
        if key not in known:
            yield f"{path}.{key}: is no property of {model.__name__}"
        elif item is not None:
            field, annotation = known[key]
            if field._visibility == ["read"]:
                yield f"{path}.{key}: cannot be written"
            yield from annotated_findings(item, annotation, f"{path}.{key}")
    for key, (field, annotation) in known.items():
        optional = type(None) in typing.get_args(annotation) or field._visibility == ["read"]
        if not optional and value.get(key) is None and not field._is_discriminator:
            yield f"{path}.{key}: is required"


@cache
def fields(model: Any) -> Mapping[str, tuple[Any, Any]]:
    """The fields of a newer model and their types, by their names in the request."""
    result = {}
    for base in reversed(model.__mro__):
        for name, annotation in getattr(base, "__annotations__", {}).items():
            field = base.__dict__.get(name)
            if hasattr(field, "_rest_name_input"):
                result[field._rest_name_input or name] = (field, resolved(annotation, base))
    return result


def resolved(annotation: Any, base: Any) -> Any:
    """An annotation with the names of its package's models looked up."""
    package = base.__module__.rpartition(".")[0]
    names = types.SimpleNamespace(**vars(importlib.import_module(package)))
    namespace: Json = {
        **vars(sys.modules[base.__module__]),
        "_models": names,
        "_enums": names,
        "datetime": importlib.import_module("datetime"),
    }
    holder = type("Holder", (), {"__annotations__": {"value": annotation}})
    return typing.get_type_hints(holder, globalns=namespace)["value"]


def annotated_findings(item: Any, annotation: Any, path: str) -> Iterator[str]:
    """The findings of a value under a resolved annotation."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        members = [each for each in arguments if each is not type(None)]
        enums = [each for each in members if isinstance(each, type) and issubclass(each, Enum)]
        if enums:  # written Union[str, SomeEnum]
            allowed = [str(member.value) for member in enums[0]]
            if item not in allowed:
                yield f"{path}: {item!r} is not one of {', '.join(sorted(allowed))}"
            return
        yield from min((list(annotated_findings(item, each, path)) for each in members), key=len)
    elif origin is list:
        if not isinstance(item, list):
            yield f"{path}: a list is needed, not {item!r}"
            return
        for index, each in enumerate(item):
            yield from annotated_findings(each, arguments[0], f"{path}[{index}]")
    elif origin is dict:
        if not isinstance(item, Mapping):
            yield f"{path}: a mapping is needed, not {item!r}"
            return
        for name, each in item.items():
            yield from annotated_findings(each, arguments[1], f"{path}.{name}")
    elif origin is typing.Literal:
        if item not in arguments:
            yield f"{path}: {item!r} is not one of {', '.join(map(str, arguments))}"
    elif annotation is bool or annotation is str:
        if not isinstance(item, annotation):
            yield f"{path}: {annotation.__name__} is needed, not {item!r}"
    elif annotation in (int, float):
        if isinstance(item, bool) or not isinstance(item, int | float):
            yield f"{path}: a number is needed, not {item!r}"
    elif isinstance(annotation, type) and annotation.__module__.startswith("azure.mgmt."):
        yield from value_findings(item, annotation, path)
    else:
        yield NotChecked(path)
