"""AWS: the rules of a type, from botocore's model of the operation that creates it.

The operations of the platform's types are in `api_models.aws`. For any other type the operation is derived: its
service from the token's module, its name from the type's name, and only if enough inputs are members of it.

A derived type's patterns are not checked, and its enumerations in any case. The examples in the documentation of
pulumi-aws 7.51.1 were checked so (1,738 of them, 961 types): patterns of botocore 1.44.5 refused what the service
accepts (a custom domain in Cognito), or were written for another dialect (``\\\\+`` for a plus).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape

from api_models.aws import (
    NOT_SENT,
    OPERATIONS,
    Operation,
    has_key_value_members,
    input_shape,
    request_path,
    service_model,
)
from api_models.matching import matching_member, normalized
from api_models.sdk_type import Json, SdkType, installed_version, pattern_rule, with_accepted

# Services that Pulumi's modules name otherwise. https://www.pulumi.com/registry/packages/aws/api-docs/
SERVICES = {
    "alb": ["elbv2"],
    "appautoscaling": ["application-autoscaling"],
    "cfg": ["config"],
    "cloudwatch": ["cloudwatch", "events", "logs"],
    "cognito": ["cognito-idp", "cognito-identity"],
    "costexplorer": ["ce"],
    "directoryservice": ["ds"],
    "ebs": ["ec2"],
    "ec2clientvpn": ["ec2"],
    "ec2transitgateway": ["ec2"],
    "elasticsearch": ["es"],
    "kinesis": ["kinesis", "firehose", "kinesisanalyticsv2"],
    "lb": ["elbv2"],
    "msk": ["kafka"],
    "sfn": ["stepfunctions"],
    "vpc": ["ec2"],
}
VERBS = ("Create", "Put", "Register", "Request", "Allocate", "Run")
# Enumerations that grow faster than a program's packages. The provider does not check them, either:
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/ec2_instance.go
OPEN_ENUMERATIONS = {"InstanceType"}
# What is not in a request, whatever the type.
NEVER_SENT = {"region", "tagsAll"}
# Operations of other types than the platform's, where they cannot be derived or have more than one.
MORE_OPERATIONS: dict[str, tuple[Operation, ...]] = {
    # https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
    "aws:kms/key:Key": (
        Operation("kms", "CreateKey"),
        Operation(
            "kms",
            "ScheduleKeyDeletion",
            renames={"deletionWindowInDays": "PendingWindowInDays"},
        ),
    ),
    "aws:dynamodb/table:Table": (
        Operation("dynamodb", "CreateTable", renames={"attributes": "AttributeDefinitions"}),
    ),
    "aws:kinesis/stream:Stream": (
        Operation("kinesis", "CreateStream", name_member="StreamName"),
        Operation("kinesis", "StartStreamEncryption"),
    ),
    "aws:ec2/instance:Instance": (
        Operation("ec2", "RunInstances", filled={"MinCount": 1, "MaxCount": 1}),
    ),
}
# Where the provider is stricter than the service's model.
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/kms/key.go
STRICTER: dict[tuple[str, str], Json] = {
    ("aws:kms/key:Key", "deletionWindowInDays"): {"range": [7, 30]},
}
# The words of a text by which a member that the service requires may still be left out.
MAY_BE_LEFT_OUT = re.compile(
    r"default|omit|random|generat|unset|not (?:set|specified|provided)|conflict|one of|either|unless|if ",
    re.IGNORECASE,
)


def rules_of(sdk_type: SdkType) -> Json:
    """The rules of a type; empty where its operation is not known."""
    known = OPERATIONS.get(sdk_type.token) or MORE_OPERATIONS.get(sdk_type.token)
    operations = known or derived_operations(sdk_type)
    if not operations:
        return {}
    walk = Walk(sdk_type, is_known=known is not None)
    members: Json = {}
    required: list[str] = []
    for operation in operations:
        for name, described in sdk_type.inputs.items():
            if (sdk_type.token, name) in NOT_SENT or name in NEVER_SENT or name in members:
                continue
            shape = shape_at(request_path(name, operation), operation)
            if shape is None:
                continue
            if rule := walk.property(described["type"], shape, "", name):
                members[name] = rule | STRICTER.get((sdk_type.token, name), {})
            if (
                known
                and operation is operations[0]
                and request_path(name, operation) in input_shape(operation).required_members
                and request_path(name, operation) != operation.name_member
                and walk.is_needed("", name)
            ):
                required.append(name)
    titles = ", ".join(map(str, operations))
    return {
        "rule": {"members": members, **({"required": required} if required else {})},
        "definitions": walk.definitions,
        "bridged": True,
        "source": f"AWS's model of {titles}, botocore {installed_version('botocore')}",
    }


def shape_at(path: str | None, operation: Operation) -> Shape | None:
    """The model at a path of an operation's request."""
    shape = input_shape(operation) if path else None
    for step in (path or "").split("."):
        if shape is None or shape.type_name != "structure" or step not in shape.members:
            return None
        shape = shape.members[step]
    return shape


@cache
def operation_names(service: str) -> list[str]:
    """A service's operations; none if botocore has no such service."""
    return list(service_model(service).operation_names) if service in available() else []


@cache
def available() -> list[str]:
    """The services of botocore."""
    return list(botocore.session.get_session().get_available_services())


def services_of(module: str) -> list[str]:
    """The services that a module of the SDK may mean."""
    if module in SERVICES:
        return SERVICES[module]
    return [each for each in available() if normalized(each) == normalized(module)]


def derived_operations(sdk_type: SdkType) -> tuple[Operation, ...]:
    """The operation that creates a type, if one fits: the same noun, and most of the inputs."""
    _, path, name = sdk_type.token.split(":")
    for operation, share in candidates(path.partition("/")[0], name):
        if input_shape(operation) is None:
            continue
        sent = [each for each in sdk_type.inputs if each not in NEVER_SENT]
        fitting = [each for each in sent if request_path(each, operation)]
        if len(fitting) >= share * len(sent):
            return (operation,)
    return ()


def candidates(module: str, name: str) -> Iterator[tuple[Operation, float]]:
    """The operations whose noun is the type's name; then those whose noun ends with it, shortest first.

    With each the share of the inputs that must be members of its request.
    """
    noun = normalized(name)
    for service in services_of(module):
        names = operation_names(service)
        by_noun = {
            each: normalized(each.removeprefix(verb))
            for verb in VERBS
            for each in names
            if each.startswith(verb)
        }
        exact = [each for each, found in by_noun.items() if found == noun]
        ending = [each for each, found in by_noun.items() if found.endswith(noun) and found != noun]
        # `cloudwatch.EventRule` is PutRule of `events`.
        of_service = [
            each
            for each, found in by_noun.items()
            if len(found) > 3 and noun == normalized(service).removesuffix("s") + found
        ]
        for each in (*exact, *of_service, *sorted(ending, key=len)):
            yield Operation(service, each), 0.25 if each in exact else 0.5


class Walk:
    """Walks an SDK's type and a request's shape side by side."""

    def __init__(self, sdk_type: SdkType, is_known: bool) -> None:
        self.sdk_type = sdk_type
        self.is_known = is_known
        """Whether the operation is in a table, and not derived."""
        self.definitions: Json = {}

    def is_needed(self, owner: str, name: str) -> bool:
        """Whether the program must give a member that the service requires: no text says otherwise."""
        text = self.sdk_type.text(owner, name)
        return bool(text) and not MAY_BE_LEFT_OUT.search(text)

    def property(self, kind: Any, shape: Shape, owner: str, name: str) -> Json:
        """The rule of a property, with the values that its documentation names."""
        rule = self.rule(kind, shape)
        words = self.sdk_type.words(owner, name)
        inner = rule
        while "item" in inner and "ref" not in inner["item"]:
            inner["item"] = inner = with_accepted(dict(inner["item"]), words)
        return with_accepted(rule, words) if "item" not in rule else rule

    def rule(self, kind: Any, shape: Shape) -> Json:
        """The rule of a value of this kind under a shape; empty where they do not fit."""
        if isinstance(kind, str):
            return self.scalar(kind, shape)
        constructor, argument = kind
        if constructor == "list" and shape.type_name == "list":
            item = self.rule(argument, shape.member)
            count = bounds("count", shape) if constructor == "list" else {}
            return {**count, **({"item": item} if item else {})}
        if constructor == "list" and shape.type_name == "structure":
            item = self.rule(argument, shape)
            return {"item": item} if item else {}
        if constructor == "object":
            inner = shape.member if shape.type_name == "list" else shape
            return self.object(argument, inner) if inner.type_name == "structure" else {}
        if constructor == "map":
            return self.map(argument, shape)
        return {}

    def scalar(self, kind: str, shape: Shape) -> Json:
        """The rule of a text or a number."""
        if kind == "string" and shape.type_name == "string":
            rule = bounds("length", shape)
            if shape.enum and shape.name not in OPEN_ENUMERATIONS:
                rule["enum"] = list(shape.enum)
                if not self.is_known:
                    rule["fold"] = True
            if self.is_known and (pattern := shape.metadata.get("pattern")):
                rule |= pattern_rule(pattern)
            return rule
        numbers = ("integer", "long", "float", "double")
        if kind in ("integer", "number") and shape.type_name in numbers:
            return bounds("range", shape)
        return {}

    def map(self, argument: Any, shape: Shape) -> Json:
        """The rule of a map. AWS may take a list of keys and values for it."""
        if shape.type_name == "map":
            key, value = shape.key, shape.value
        elif shape.type_name == "list" and has_key_value_members(shape):
            first, second = sorted(shape.member.members, key=str.lower)
            key, value = shape.member.members[first], shape.member.members[second]
        else:
            return {}
        return {"key": self.scalar("string", key), "value": self.rule(argument, value)}

    def object(self, type_: str, shape: Shape) -> Json:
        """The rule of an object, by name: types refer to themselves."""
        name = f"{type_}|{shape.name}"
        if name not in self.definitions:
            rule: Json = {}
            self.definitions[name] = rule
            members: Json = {}
            required = []
            for wire, described in self.sdk_type.types[type_].items():
                if found := matching_member(wire, shape.members):
                    if inner := self.property(described["type"], shape.members[found], type_, wire):
                        members[wire] = inner
                    needed = self.is_known and found in shape.required_members
                    if needed and self.is_needed(type_, wire):
                        required.append(wire)
            rule |= {"members": members, **({"required": required} if required else {})}
        return {"ref": name}


def bounds(name: str, shape: Shape) -> Json:
    """The bounds of a number or a length; empty where the shape has none."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    return {} if low is None and high is None else {name: [low, high]}
