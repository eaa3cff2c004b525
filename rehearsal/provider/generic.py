"""What a resource type has without rules of its own: a physical name, an id, outputs of the right shape."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from rehearsal.core.account import Account
from rehearsal.core.records import CheckFailure, Json, Record
from rehearsal.core.schema import Schema
from rehearsal.core.wire import UNKNOWN
from rehearsal.provider.resource_type import ResourceType

SCALARS: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "string": ""}
# Inputs that place a resource. A change of place is a replacement, whatever the type.
PLACES = {
    "aws": frozenset({"region"}),
    "gcp": frozenset({"project", "region", "zone", "location"}),
    "azure-native": frozenset({"location"}),
}


def name_property(schema: Schema, rules: ResourceType) -> str | None:
    """The input that contains the physical name."""
    return rules.name.property if rules.name else schema.name_property


def replacing_inputs(schema: Schema, rules: ResourceType) -> set[str]:
    """Top-level inputs and dotted paths whose change is a replacement."""
    documented = {name for name, described in schema.inputs.items() if described.get("replaces")}
    places = PLACES[schema.package] & schema.inputs.keys()
    name = name_property(schema, rules)
    return (
        documented
        | places
        | set(schema.path_parameters)
        | rules.replace_on
        | ({name} if name else set())
    )


def _style(schema: Schema, rules: ResourceType) -> tuple[str, int]:
    """Separator and number of hexadecimal digits in the names that the provider makes."""
    # https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
    separator, digits = ("", 8) if schema.package == "azure-native" else ("-", 7)
    if rules.name and rules.name.separator is not None:
        separator = rules.name.separator
    return separator, digits


def autoname(schema: Schema, rules: ResourceType, program_name: str, seed: bytes) -> str:
    """The physical name that the provider makes; the same in preview and up, by ``seed``.

    Raises `CheckFailure` when it would be too long.
    """
    random = (
        hashlib.sha256(seed + schema.token.encode()).digest() if seed else secrets.token_bytes(32)
    )
    if schema.name_property == "roleAssignmentName" or (rules.name and rules.name.form == "uuid"):
        return str(uuid.UUID(bytes=random[:16], version=4))
    separator, digits = _style(schema, rules)
    name = f"{program_name}{separator}{random.hex()[:digits]}"
    if rules.name and rules.name.lower:
        name = name.lower()
    if rules.name and len(name) > rules.name.max:
        over = len(name) - rules.name.max
        raise CheckFailure(
            rules.name.property,
            f'the name "{program_name}" plus {digits + len(separator)} characters that make it unique'
            f" is {len(name)} long, and at most {rules.name.max} are allowed; shorten it by {over},"
            f" or set {rules.name.property}",
        )
    return name


def is_random_name(schema: Schema, rules: ResourceType) -> bool:
    """Whether azure-native makes a random name of a type, and not a copy of the program's name.

    Random are the names of what is directly below a resource group, of online and other endpoints, and GUIDs.
    https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/resources/resources.go (AutoName)
    """
    name = name_property(schema, rules)
    if name in ("endpointName", "customDomainName", "roleAssignmentName", "roleDefinitionId"):
        return True
    return set(schema.path_parameters) <= {"resourceGroupName", name}


def fill_new(record: Record, schema: Schema, rules: ResourceType, account: Account) -> None:
    """Give a new record its generic id and outputs: the inputs, and plausible values for the rest."""
    place = _place(record, account)
    called = name_property(schema, rules) or "name"
    prefix = record.inputs.get(f"{called}Prefix", f"{record.name}-")
    name = str(
        record.inputs.get(called) or record.inputs.get("name") or f"{prefix}{secrets.token_hex(4)}"
    )
    facts = {**place, **_tags(record), "name": name, **_common(record, name)}
    facts["arn"] = _arn(record, place, name)
    record.outputs = {}
    for wire, described in schema.outputs.items():
        if wire in ("id", "urn"):
            continue
        if record.inputs.get(wire) is not None:
            record.outputs[wire] = as_output(schema, wire, record.inputs[wire])
        elif described["required"] or wire in facts:
            record.outputs[wire] = facts.get(wire, UNKNOWN)
    # The id may contain outputs, and the remaining outputs may contain the id.
    record.id = _id(record, schema, place, name, account)
    links = dict.fromkeys(("selfLink", "selfLinkUri"), _self_link(record))
    for wire, value in record.outputs.items():
        if value is UNKNOWN:
            made = _plausible(schema, wire, schema.outputs[wire], record, name, 0)
            record.outputs[wire] = links.get(wire, made)


def copy_inputs(record: Record, schema: Schema, old_inputs: Json) -> None:
    """Copy changed inputs to the outputs of the same name."""
    for wire in schema.outputs:
        if record.inputs.get(wire) is not None:
            record.outputs[wire] = as_output(schema, wire, record.inputs[wire])
        elif wire in old_inputs:
            described = schema.outputs[wire]
            record.outputs.pop(wire, None)
            if described["required"]:
                record.outputs[wire] = _plausible(schema, wire, described, record, record.name, 0)
    for wire, value in _tags(record).items():
        if wire in schema.outputs:
            record.outputs[wire] = value


def as_output(schema: Schema, wire: str, value: Any) -> Any:
    """An input as the resource's output of the same name.

    Azure takes some lists of ids and returns maps by id (`userAssignedIdentities`): so does this.
    """
    return _shaped(schema, schema.outputs[wire]["type"], value)


def _shaped(schema: Schema, kind: Any, value: Any) -> Any:
    if not isinstance(kind, list):
        return value
    constructor, argument = kind
    if constructor == "map" and isinstance(value, list):
        return {str(each): _plausible_object(schema, argument) for each in value}
    if constructor == "object" and isinstance(value, dict):
        types = schema.types[argument]
        return {
            k: _shaped(schema, types[k]["type"], v) if k in types else v for k, v in value.items()
        }
    return value


def _plausible_object(schema: Schema, kind: Any) -> Any:
    if isinstance(kind, list) and kind[0] == "object":
        return dict.fromkeys(schema.types[kind[1]], "")
    return {}


def changed_places(schema: Schema, inputs: Json, outputs: Json, config: Json) -> dict[str, str]:
    """Places that the provider's settings give and that differ from the resource's: it is replaced.

    AWS: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/guides/enhanced-region-support
    Google: https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference
    """
    given = (PLACES[schema.package] & schema.inputs.keys() & config.keys()) - inputs.keys()
    return {
        name: "UPDATE_REPLACE"
        for name in given
        if outputs.get(name) and config[name] and outputs[name] != config[name]
    }


def _place(record: Record, account: Account) -> dict[str, str]:
    config, inputs = record.config, record.inputs
    match record.package:
        case "aws":
            return {"region": inputs.get("region") or config.get("region") or account.aws_region}
        case "gcp":
            region = config.get("region") or account.gcp_region
            place = {
                "project": inputs.get("project") or config.get("project") or account.gcp_project,
                "region": inputs.get("region") or region,
                "location": inputs.get("location") or region,
                "zone": inputs.get("zone") or config.get("zone") or f"{region}-a",
            }
            return {**place, "projectNumber": account.gcp_number(place["project"])}
        case _:
            location = inputs.get("location") or config.get("location") or account.azure_location
            return {"location": location, "subscriptionId": account.azure_subscription}


def _tags(record: Record) -> Json:
    tags, labels = record.inputs.get("tags"), record.inputs.get("labels")
    shared = (record.config.get("defaultTags") or {}).get("tags") or {}
    effective = {**(record.config.get("defaultLabels") or {}), **(labels or {})}
    return {
        **({"tagsAll": {**shared, **(tags or {})}} if isinstance(tags or {}, dict) else {}),
        "pulumiLabels": effective,
        "effectiveLabels": {**effective, "goog-pulumi-provisioned": "true"},
    }


def _common(record: Record, name: str) -> Json:
    now = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = ("createTime", "updateTime", "creationTimestamp", "createdAt", "createDate")
    service, kind = _service_and_type(record)
    return {
        **dict.fromkeys(times, now),
        "provisioningState": "Succeeded",
        "etag": f'"{_digest(record)[:16]}"',
        "type": f"Microsoft.{service[:1].upper()}{service[1:]}/{_plural(kind)}",
        "systemData": {"createdAt": now, "lastModifiedAt": now},
        "uid": str(uuid.UUID(_digest(record)[:32])),
        "uniqueId": str(int(_digest(record)[:16], 16)),
        "url": f"https://{service}.{record.package}.example/{name}",
    }


def _service_and_type(record: Record) -> tuple[str, str]:
    """Service and type: ``aws:sqs/queue:Queue`` is of ``sqs``, a ``queue``."""
    _, module, name = record.token.split(":")
    return module.split("/")[0], name[:1].lower() + name[1:]


def _plural(word: str) -> str:
    if word.endswith("y") and not word.endswith(("ay", "ey")):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x")) else "s")


def _digest(record: Record) -> str:
    return hashlib.sha256(f"{record.urn}{record.created}".encode()).hexdigest()


def _aws_account(record: Record) -> str:
    return Account().aws_account_of(record.config)


def _arn(record: Record, place: dict[str, str], name: str) -> str:
    service, kind = _service_and_type(record)
    return f"arn:aws:{service}:{place.get('region', '')}:{_aws_account(record)}:{kind}/{name}"


def _id(record: Record, schema: Schema, place: dict[str, str], name: str, account: Account) -> str:
    service, kind = _service_and_type(record)
    if record.package == "azure-native":
        group = record.inputs.get("resourceGroupName")
        scope = record.inputs.get("scope") or f"/subscriptions/{account.azure_subscription}" + (
            f"/resourceGroups/{group}" if group else ""
        )
        if schema.token.endswith(":ResourceGroup"):
            return scope
        path = f"{scope.rstrip('/')}/providers/Microsoft.{service[:1].upper()}{service[1:]}"
        for parameter in schema.path_parameters:
            if parameter not in ("resourceGroupName", schema.name_property):
                path += f"/{_plural(parameter[:-4])}/{record.inputs.get(parameter)}"
        return f"{path}/{_plural(kind)}/{name}"
    values = {**place, **record.inputs, "name": name}
    words = re.findall(r"{(\w+)}", schema.id_template)
    if words and words != ["id"]:
        for word in words:
            value = values.get(word) or record.outputs.get(word)
            if value is UNKNOWN:
                value = _plausible(schema, word, {"type": "string"}, record, name, 0)
            values[word] = str(value or name)
        return schema.id_template.format(**values)
    if record.package == "gcp":
        return f"projects/{place['project']}/{_plural(kind)}/{name}"
    return name if has_name(schema) else f"{kind.lower()}-{_digest(record)[:17]}"


def has_name(schema: Schema) -> bool:
    """Whether the type has a name that the program or the provider chooses."""
    return schema.name_property is not None or "{name}" in schema.id_template


def _self_link(record: Record) -> str:
    service, _ = _service_and_type(record)
    return f"https://www.googleapis.com/{service}/v1/{record.id}"


def _plausible(
    schema: Schema, wire: str, described: Json, record: Record, name: str, depth: int
) -> Any:
    """A value of the right type for an output without a value."""
    kind = described["type"]
    if isinstance(kind, list):
        constructor, argument = kind
        if constructor == "enum":
            return argument[0]
        if constructor == "object" and depth < 3:
            return {
                inner: _plausible(schema, inner, about, record, name, depth + 1)
                for inner, about in schema.types[argument].items()
                if about["required"]
            }
        if constructor == "union":
            about = {"type": argument[0]}
            return _plausible(schema, wire, about, record, name, depth)
        return [] if constructor == "list" else {}
    if kind not in SCALARS:
        return {}
    if (default := described.get("default")) is not None:
        return _parsed(kind, default)
    if kind == "string" and wire not in schema.inputs and depth == 0:
        lower = wire.lower()
        if lower.endswith("arn"):
            return f"{_arn(record, {'region': record.config.get('region', '')}, name)}/{wire}"
        if lower.endswith(("accountid", "ownerid")):
            return _aws_account(record)
        if lower.endswith(("url", "uri", "endpoint")):
            service, _ = _service_and_type(record)
            return f"https://{name}.{service}.{record.package}.example"
        if lower.endswith(("state", "status")):
            return "ACTIVE" if record.package != "azure-native" else "Succeeded"
        return f"{wire}-{_digest(record)[:12]}"
    return SCALARS[kind]


def _parsed(kind: str, text: str) -> Any:
    try:
        match kind:
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "boolean":
                return text.lower() == "true"
    except ValueError:
        return SCALARS[kind]
    return text
