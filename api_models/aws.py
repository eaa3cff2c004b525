"""AWS: botocore's models. They state types, required members, lengths, ranges, patterns and enumerations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape

from api_models.matching import (
    Json,
    NotChecked,
    matching_member,
    pattern_problems,
    problems_among,
    set_path,
)
from api_models.resource import Resource


@dataclass(frozen=True, eq=False)
class Operation:
    """An API operation, and where a resource's inputs go in its request if their names do not say it."""

    service: str
    name: str
    name_member: str = ""
    """The member that is the resource's physical name, if the provider generates it."""
    parent_member: str = ""
    """The member that holds the inputs which the operation itself does not have."""
    renames: Mapping[str, str] = field(default_factory=dict)
    filled: Mapping[str, Any] = field(default_factory=dict)
    """Required members that the provider fills from elsewhere: a file's content, a bucket's name."""
    sent_with: str = ""
    """The input without which the provider does not send the request at all."""

    def __str__(self) -> str:
        return f"{self.service}:{self.name}"


OPERATIONS: dict[str, tuple[Operation, ...]] = {
    "aws:appautoscaling/policy:Policy": (
        Operation("application-autoscaling", "PutScalingPolicy", name_member="PolicyName"),
    ),
    "aws:appautoscaling/target:Target": (
        Operation("application-autoscaling", "RegisterScalableTarget"),
    ),
    "aws:cloudwatch/logGroup:LogGroup": (
        Operation("logs", "CreateLogGroup", name_member="logGroupName"),
        Operation("logs", "PutRetentionPolicy", name_member="logGroupName"),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        Operation("cloudwatch", "PutMetricAlarm", name_member="AlarmName"),
    ),
    "aws:codebuild/project:Project": (
        Operation(
            "codebuild",
            "CreateProject",
            name_member="name",
            renames={"buildTimeout": "timeoutInMinutes"},
        ),
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": (
        Operation(
            "ecr",
            "PutLifecyclePolicy",
            renames={"policy": "lifecyclePolicyText", "repository": "repositoryName"},
        ),
    ),
    "aws:ecr/repository:Repository": (
        Operation("ecr", "CreateRepository", name_member="repositoryName"),
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": (
        Operation("iam", "CreateOpenIDConnectProvider", renames={"clientIdLists": "ClientIDList"}),
    ),
    "aws:iam/role:Role": (
        Operation(
            "iam",
            "CreateRole",
            name_member="RoleName",
            renames={"assumeRolePolicy": "AssumeRolePolicyDocument"},
        ),
    ),
    "aws:iam/rolePolicy:RolePolicy": (
        Operation(
            "iam",
            "PutRolePolicy",
            name_member="PolicyName",
            renames={"policy": "PolicyDocument", "role": "RoleName"},
        ),
    ),
    "aws:lambda/alias:Alias": (Operation("lambda", "CreateAlias"),),
    "aws:lambda/function:Function": (
        Operation(
            "lambda",
            "CreateFunction",
            name_member="FunctionName",
            filled={"Code": {"ZipFile": b""}},
        ),
        # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/function.go
        Operation(
            "lambda",
            "PutFunctionConcurrency",
            name_member="FunctionName",
            sent_with="reservedConcurrentExecutions",
        ),
    ),
    "aws:lambda/functionUrl:FunctionUrl": (
        Operation("lambda", "CreateFunctionUrlConfig", renames={"authorizationType": "AuthType"}),
    ),
    "aws:lambda/permission:Permission": (
        Operation(
            "lambda",
            "AddPermission",
            name_member="StatementId",
            renames={"function": "FunctionName"},
        ),
    ),
    "aws:s3/bucket:Bucket": (
        Operation("s3", "CreateBucket", name_member="Bucket"),
        Operation(
            "s3", "PutBucketTagging", name_member="Bucket", renames={"tags": "Tagging.TagSet"}
        ),
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        Operation("s3", "PutBucketLifecycleConfiguration", parent_member="LifecycleConfiguration"),
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": (
        Operation("s3", "PutObject", filled={"Body": b""}),
        Operation(  # sent with the object, as a header: key=value&…
            "s3",
            "PutObjectTagging",
            renames={"tags": "Tagging.TagSet"},
            filled={"Bucket": "bucket", "Key": "key"},
        ),
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": (
        Operation("s3", "PutBucketOwnershipControls", parent_member="OwnershipControls"),
    ),
    "aws:s3/bucketPolicy:BucketPolicy": (Operation("s3", "PutBucketPolicy"),),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        Operation("s3", "PutPublicAccessBlock", parent_member="PublicAccessBlockConfiguration"),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        Operation("s3", "PutBucketEncryption", parent_member="ServerSideEncryptionConfiguration"),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": (Operation("s3", "PutBucketVersioning"),),
    "aws:sagemaker/endpoint:Endpoint": (
        Operation("sagemaker", "CreateEndpoint", renames={"name": "EndpointName"}),
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": (
        Operation("sagemaker", "CreateEndpointConfig", name_member="EndpointConfigName"),
    ),
    "aws:sagemaker/model:Model": (Operation("sagemaker", "CreateModel", name_member="ModelName"),),
    "aws:secretsmanager/secret:Secret": (
        Operation("secretsmanager", "CreateSecret", name_member="Name"),
        Operation("secretsmanager", "DeleteSecret", name_member="SecretId"),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": (
        Operation("secretsmanager", "PutSecretValue"),
    ),
}
NOT_COVERED: dict[str, str] = {}

# Inputs that are not part of a request: they control the provider, or name a file that it reads.
NOT_SENT = {
    ("aws:ecr/repository:Repository", "forceDelete"),
    ("aws:lambda/function:Function", "code"),
    ("aws:s3/bucket:Bucket", "forceDestroy"),
    ("aws:s3/bucketObjectv2:BucketObjectv2", "source"),
}


def title(type_: str) -> str:
    """The operations that a type is compared with."""
    return ", ".join(map(str, OPERATIONS[type_]))


@cache
def service_model(service: str) -> Any:
    """The model of a service. A session reads its file again each time."""
    return botocore.session.get_session().get_service_model(service)


@cache
def input_shape(operation: Operation) -> Any:
    """The model of an operation's input."""
    return service_model(operation.service).operation_model(operation.name).input_shape


def problems(resource: Resource) -> Iterator[str]:
    """What AWS would refuse of a resource's inputs."""
    return problems_among(findings(resource))


def findings(resource: Resource) -> Iterator[str]:
    """The problems, and the paths that are not checked."""
    left = dict(resource.inputs)
    for name in resource.inputs:
        if (resource.type, name) in NOT_SENT:
            yield NotChecked(name)
            del left[name]
    for operation in OPERATIONS[resource.type]:
        if operation.sent_with and operation.sent_with not in left:
            continue
        request = dict(operation.filled)
        if operation.name_member:
            request[operation.name_member] = resource.id
        for name in list(left):
            if path := request_path(name, operation):
                set_path(request, path, left.pop(name))
        yield from value_findings(request, input_shape(operation), operation.name)
    for name in left:
        yield f"{name} belongs to none of {title(resource.type)}"


def request_path(name: str, operation: Operation) -> str | None:
    """Where an input goes in an operation's request; None if it has no place there."""
    if name in operation.renames:
        return operation.renames[name]
    if name == "name" and operation.name_member:
        return operation.name_member
    members = input_shape(operation).members
    if found := matching_member(name, members):
        return found
    parent = operation.parent_member
    if parent and (found := matching_member(name, members[parent].members)):
        return f"{parent}.{found}"
    return None


def value_findings(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """The findings of a value under its shape."""
    match shape.type_name:
        case "structure":
            yield from structure_findings(value, shape, path)
        case "list":
            is_map = isinstance(value, Mapping) and has_key_value_members(shape)
            items = key_value_list(value, shape) if is_map else value
            if not isinstance(items, list):
                yield f"{path}: a list is needed, not {value!r}"
                return
            yield from bound_problems(len(items), shape, path)
            for index, item in enumerate(items):
                yield from value_findings(item, shape.member, f"{path}[{index}]")
        case "map":
            if not isinstance(value, Mapping):
                yield f"{path}: a mapping is needed, not {value!r}"
                return
            yield from bound_problems(len(value), shape, path)
            for key, item in value.items():
                yield from value_findings(key, shape.key, f"{path}.{key}")
                yield from value_findings(item, shape.value, f"{path}.{key}")
        case "string":
            if not isinstance(value, str):
                yield f"{path}: a string is needed, not {value!r}"
                return
            yield from bound_problems(len(value), shape, path)
            if shape.enum and value not in shape.enum:
                yield f"{path}: {value!r} is not one of {', '.join(shape.enum[:8])} …"
            if pattern := shape.metadata.get("pattern"):
                yield from pattern_problems(pattern, value, path)
        case "integer" | "long" | "float" | "double":
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{path}: a number is needed, not {value!r}"
                return
            yield from bound_problems(value, shape, path)
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: true or false is needed, not {value!r}"
        case _ if not isinstance(value, bytes):  # bytes come from `Operation.filled` only
            yield NotChecked(path)


def structure_findings(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """The findings of a mapping under a structure. A list of one mapping is a block of Terraform."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        yield f"{path}: a mapping is needed, not {value!r}"
        return
    found: Json = {}
    for name, item in value.items():
        if (key := matching_member(name, shape.members)) is None:
            yield f"{path}: has no {name}; there are {', '.join(list(shape.members)[:8])} …"
        elif item is not None:
            found[key] = item
    for name in shape.required_members:
        if name not in found:
            yield f"{path}: {name} is required"
    for name, item in found.items():
        member = shape.members[name]
        # Where Terraform allows one block, AWS may take a list of them.
        is_block = member.type_name == "list" and isinstance(item, Mapping)
        listed = [item] if is_block and not has_key_value_members(member) else item
        yield from value_findings(listed, member, f"{path}.{name}")


def has_key_value_members(shape: Shape) -> bool:
    """Whether a list represents a mapping: its members have a Key (or Name) and a Value."""
    if shape.member.type_name != "structure":
        return False
    return {each.lower() for each in shape.member.members} in (
        {"key", "value"},
        {"name", "value"},
    )


def key_value_list(value: Mapping[str, Any], shape: Shape) -> list[Json]:
    """A mapping as AWS's list of keys and values."""
    key, second = sorted(shape.member.members, key=str.lower)
    return [{key: name, second: item} for name, item in value.items()]


def bound_problems(number: float, shape: Shape, path: str) -> Iterator[str]:
    """A problem when a number, or a length, is outside of the shape's bounds."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is None or number >= low) and (high is None or number <= high):
        return
    if low is None:
        allowed = f"at most {high}"
    elif high is None:
        allowed = f"at least {low}"
    else:
        allowed = f"within {low} to {high}"
    yield f"{path}: {number} is not {allowed}"
