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
from rehearsal.provider.real_provider import RealProvider
from rehearsal.provider.resource_type import ResourceType

SCALARS: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "string": ""}


def name_property(provider: RealProvider, schema: Schema, rules: ResourceType) -> str | None:
    """The input that contains the physical name."""
    return rules.name.property if rules.name else provider.name_property(schema)


def replacing_inputs(provider: RealProvider, schema: Schema, rules: ResourceType) -> set[str]:
    """Top-level inputs and dotted paths whose change is a replacement."""
    documented = {name for name, described in schema.inputs.items() if described.get("replaces")}
    places = provider.places & schema.inputs.keys()
    name = name_property(provider, schema, rules)
    return (
        documented
        | places
        | set(provider.path_parameters(schema))
        | rules.replace_on
        | ({name} if name else set())
    )


def autoname(
    provider: RealProvider, schema: Schema, rules: ResourceType, program_name: str, seed: bytes
) -> str:
    """The physical name that the provider makes; the same in preview and up, by ``seed``.

    Raises `CheckFailure` when it would be too long.
    """
    random = (
        hashlib.sha256(seed + schema.token.encode()).digest() if seed else secrets.token_bytes(32)
    )
    is_uuid = name_property(provider, schema, rules) == "roleAssignmentName"
    if is_uuid or (rules.name and rules.name.form == "uuid"):
        return str(uuid.UUID(bytes=random[:16], version=4))
    separator, digits = provider.separator, provider.digits
    if rules.name and rules.name.separator is not None:
        separator = rules.name.separator
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


def fill_new(
    provider: RealProvider, record: Record, schema: Schema, rules: ResourceType, account: Account
) -> None:
    """Give a new record its generic id and outputs: the inputs, and plausible values for the rest."""
    place = provider.place(record, account)
    called = name_property(provider, schema, rules) or "name"
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
    record.id = _id(provider, record, schema, place, name)
    links = dict.fromkeys(("selfLink", "selfLinkUri"), _self_link(record))
    for wire, value in record.outputs.items():
        if value is UNKNOWN:
            made = _plausible(provider, schema, wire, schema.outputs[wire], record, name, 0)
            record.outputs[wire] = links.get(wire, made)


def copy_inputs(provider: RealProvider, record: Record, schema: Schema, old_inputs: Json) -> None:
    """Copy changed inputs to the outputs of the same name."""
    for wire in schema.outputs:
        if record.inputs.get(wire) is not None:
            record.outputs[wire] = as_output(schema, wire, record.inputs[wire])
        elif wire in old_inputs:
            described = schema.outputs[wire]
            record.outputs.pop(wire, None)
            if described["required"]:
                record.outputs[wire] = _plausible(
                    provider, schema, wire, described, record, record.name, 0
                )
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


def changed_places(
    provider: RealProvider, schema: Schema, inputs: Json, outputs: Json, config: Json
) -> dict[str, str]:
    """Places that the provider's settings give and that differ from the resource's: it is replaced.

    AWS: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/guides/enhanced-region-support
    Google: https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference
    """
    given = (provider.places & schema.inputs.keys() & config.keys()) - inputs.keys()
    return {
        name: "UPDATE_REPLACE"
        for name in given
        if outputs.get(name) and config[name] and outputs[name] != config[name]
    }


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
    service, kind = service_and_type(record)
    return {
        **dict.fromkeys(times, now),
        "provisioningState": "Succeeded",
        "etag": f'"{_digest(record)[:16]}"',
        "type": f"Microsoft.{service[:1].upper()}{service[1:]}/{plural(kind)}",
        "systemData": {"createdAt": now, "lastModifiedAt": now},
        "uid": str(uuid.UUID(_digest(record)[:32])),
        "uniqueId": str(int(_digest(record)[:16], 16)),
        "url": f"https://{service}.{record.package}.example/{name}",
    }


def service_and_type(record: Record) -> tuple[str, str]:
    """Service and type: ``aws:sqs/queue:Queue`` is of ``sqs``, a ``queue``."""
    _, module, name = record.token.split(":")
    return module.split("/")[0], name[:1].lower() + name[1:]


def plural(word: str) -> str:
    if word.endswith("y") and not word.endswith(("ay", "ey")):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x")) else "s")


def _digest(record: Record) -> str:
    return hashlib.sha256(f"{record.urn}{record.created}".encode()).hexdigest()


def _aws_account(record: Record) -> str:
    return Account().aws_account_of(record.config)


def _arn(record: Record, place: dict[str, str], name: str) -> str:
    service, kind = service_and_type(record)
    return f"arn:aws:{service}:{place.get('region', '')}:{_aws_account(record)}:{kind}/{name}"


def _id(
    provider: RealProvider, record: Record, schema: Schema, place: dict[str, str], name: str
) -> str:
    values = {**place, **record.inputs, "name": name}
    words = re.findall(r"{(\w+)}", schema.id_template)
    if words and words != ["id"]:
        for word in words:
            value = values.get(word) or record.outputs.get(word)
            if value is UNKNOWN:
                value = _plausible(provider, schema, word, {"type": "string"}, record, name, 0)
            values[word] = str(value or name)
        return schema.id_template.format(**values)
    if made := provider.untemplated_id(record, schema, place, name):
        return made
    has_name = provider.name_property(schema) is not None or "{name}" in schema.id_template
    _, kind = service_and_type(record)
    return name if has_name else f"{kind.lower()}-{_digest(record)[:17]}"


def _self_link(record: Record) -> str:
    service, _ = service_and_type(record)
    return f"https://www.googleapis.com/{service}/v1/{record.id}"


def _plausible(
    provider: RealProvider,
    schema: Schema,
    wire: str,
    described: Json,
    record: Record,
    name: str,
    depth: int,
) -> Any:
    """A value of the right type for an output without a value."""
    kind = described["type"]
    if isinstance(kind, list):
        constructor, argument = kind
        if constructor == "enum":
            return argument[0]
        if constructor == "object" and depth < 3:
            return {
                inner: _plausible(provider, schema, inner, about, record, name, depth + 1)
                for inner, about in schema.types[argument].items()
                if about["required"]
            }
        if constructor == "union":
            about = {"type": argument[0]}
            return _plausible(provider, schema, wire, about, record, name, depth)
        return [] if constructor == "list" else {}
    if kind not in SCALARS:
        return {}
    if (default := described.get("default")) is not None:
        return _parsed(kind, default)
    if depth == 0 and wire in provider.usual_outputs:
        return provider.usual_outputs[wire]
    if kind == "string" and wire not in schema.inputs and depth == 0:
        lower = wire.lower()
        if lower.endswith("arn"):
            return f"{_arn(record, {'region': record.config.get('region', '')}, name)}/{wire}"
        if lower.endswith(("accountid", "ownerid")):
            return _aws_account(record)
        if lower.endswith(("url", "uri", "endpoint")):
            service, _ = service_and_type(record)
            return f"https://{name}.{service}.{record.package}.example"
        if lower.endswith(("state", "status")):
            return provider.state_word
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
