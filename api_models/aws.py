"""AWS: botocore's models. Types, required members, lengths, ranges, patterns and enums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape

from api_models.matching import Json, NotLookedAt, complaints, matches, member, put
from policy.record import Resource


@dataclass(frozen=True, eq=False)
class Operation:
    """An API operation, and how a resource's inputs become its members where names alone do not say."""

    service: str
    name: str
    own: str = ""
    """The member that is the resource's physical name, when the provider makes it up."""
    under: str = ""
    """The member below which inputs go that the operation does not have itself."""
    renames: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    """Required members that the provider takes from elsewhere: a file's content, a bucket's name."""

    def __str__(self) -> str:
        return f"{self.service}:{self.name}"


OPERATIONS: dict[str, tuple[Operation, ...]] = {
    "aws:appautoscaling/policy:Policy": (
        Operation("application-autoscaling", "PutScalingPolicy", own="PolicyName"),
    ),
    "aws:appautoscaling/target:Target": (
        Operation("application-autoscaling", "RegisterScalableTarget"),
    ),
    "aws:cloudwatch/logGroup:LogGroup": (
        Operation("logs", "CreateLogGroup", own="logGroupName"),
        Operation("logs", "PutRetentionPolicy", own="logGroupName"),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        Operation("cloudwatch", "PutMetricAlarm", own="AlarmName"),
    ),
    "aws:codebuild/project:Project": (
        Operation(
            "codebuild",
            "CreateProject",
            own="name",
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
    "aws:ecr/repository:Repository": (Operation("ecr", "CreateRepository", own="repositoryName"),),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": (
        Operation("iam", "CreateOpenIDConnectProvider", renames={"clientIdLists": "ClientIDList"}),
    ),
    "aws:iam/role:Role": (
        Operation(
            "iam",
            "CreateRole",
            own="RoleName",
            renames={"assumeRolePolicy": "AssumeRolePolicyDocument"},
        ),
    ),
    "aws:iam/rolePolicy:RolePolicy": (
        Operation(
            "iam",
            "PutRolePolicy",
            own="PolicyName",
            renames={"policy": "PolicyDocument", "role": "RoleName"},
        ),
    ),
    "aws:lambda/alias:Alias": (Operation("lambda", "CreateAlias"),),
    "aws:lambda/function:Function": (
        Operation("lambda", "CreateFunction", own="FunctionName", given={"Code": {"ZipFile": b""}}),
        Operation("lambda", "PutFunctionConcurrency", own="FunctionName"),
    ),
    "aws:lambda/functionUrl:FunctionUrl": (
        Operation("lambda", "CreateFunctionUrlConfig", renames={"authorizationType": "AuthType"}),
    ),
    "aws:lambda/permission:Permission": (
        Operation(
            "lambda", "AddPermission", own="StatementId", renames={"function": "FunctionName"}
        ),
    ),
    "aws:s3/bucket:Bucket": (
        Operation("s3", "CreateBucket", own="Bucket"),
        Operation("s3", "PutBucketTagging", own="Bucket", renames={"tags": "Tagging.TagSet"}),
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        Operation("s3", "PutBucketLifecycleConfiguration", under="LifecycleConfiguration"),
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": (
        Operation("s3", "PutObject", given={"Body": b""}),
        Operation(  # sent with the object, as a header: key=value&…
            "s3",
            "PutObjectTagging",
            renames={"tags": "Tagging.TagSet"},
            given={"Bucket": "its", "Key": "its"},
        ),
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": (
        Operation("s3", "PutBucketOwnershipControls", under="OwnershipControls"),
    ),
    "aws:s3/bucketPolicy:BucketPolicy": (Operation("s3", "PutBucketPolicy"),),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        Operation("s3", "PutPublicAccessBlock", under="PublicAccessBlockConfiguration"),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        Operation("s3", "PutBucketEncryption", under="ServerSideEncryptionConfiguration"),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": (Operation("s3", "PutBucketVersioning"),),
    "aws:sagemaker/endpoint:Endpoint": (
        Operation("sagemaker", "CreateEndpoint", renames={"name": "EndpointName"}),
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": (
        Operation("sagemaker", "CreateEndpointConfig", own="EndpointConfigName"),
    ),
    "aws:sagemaker/model:Model": (Operation("sagemaker", "CreateModel", own="ModelName"),),
    "aws:secretsmanager/secret:Secret": (
        Operation("secretsmanager", "CreateSecret", own="Name"),
        Operation("secretsmanager", "DeleteSecret", own="SecretId"),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": (
        Operation("secretsmanager", "PutSecretValue"),
    ),
}
NOT_COVERED: dict[str, str] = {}

# Inputs that tell the provider what to do, or that it reads from a file, and that are not sent as such.
PROVIDERS_OWN = {
    ("aws:ecr/repository:Repository", "forceDelete"),
    ("aws:lambda/function:Function", "code"),
    ("aws:s3/bucket:Bucket", "forceDestroy"),
    ("aws:s3/bucketObjectv2:BucketObjectv2", "source"),
}


def title(type_: str) -> str:
    """The operations that a type maps to."""
    return ", ".join(map(str, OPERATIONS[type_]))


@cache
def shape(operation: Operation) -> Any:
    """The model of an operation's input."""
    service = botocore.session.get_session().get_service_model(operation.service)
    return service.operation_model(operation.name).input_shape


def problems(resource: Resource) -> Iterator[str]:
    """What AWS would refuse of a resource's inputs."""
    return complaints(findings(resource))


def findings(resource: Resource) -> Iterator[str]:
    """The complaints, and what is not looked at."""
    left = dict(resource.inputs)
    for name in resource.inputs:
        if (resource.type, name) in PROVIDERS_OWN:
            yield NotLookedAt(name)
            del left[name]
    for operation in OPERATIONS[resource.type]:
        request = dict(operation.given)
        if operation.own:
            request[operation.own] = resource.id
        for name in list(left):
            if path := place(name, operation):
                put(request, path, left.pop(name))
        yield from held(request, shape(operation), operation.name)
    for name in left:
        yield f"{name} belongs to none of {title(resource.type)}"


def place(name: str, operation: Operation) -> str | None:
    """Where an input goes in an operation's request; None if it has no place there."""
    if name in operation.renames:
        return operation.renames[name]
    if name == "name" and operation.own:
        return operation.own
    model = shape(operation)
    if found := member(name, model.members):
        return found
    if operation.under and (below := member(name, model.members[operation.under].members)):
        return f"{operation.under}.{below}"
    return None


def held(value: Any, model: Shape, path: str) -> Iterator[str]:
    """A value against its shape."""
    match model.type_name:
        case "structure":
            yield from structure(value, model, path)
        case "list":
            mapped = isinstance(value, Mapping) and keyed(model)
            items = pairs(value, model) if mapped else value
            if not isinstance(items, list):
                yield f"{path}: a list is needed, not {value!r}"
                return
            yield from limits(len(items), model, path)
            for index, item in enumerate(items):
                yield from held(item, model.member, f"{path}[{index}]")
        case "map":
            if not isinstance(value, Mapping):
                yield f"{path}: a mapping is needed, not {value!r}"
                return
            yield from limits(len(value), model, path)
            for key, item in value.items():
                yield from held(key, model.key, f"{path}.{key}")
                yield from held(item, model.value, f"{path}.{key}")
        case "string":
            if not isinstance(value, str):
                yield f"{path}: a text is needed, not {value!r}"
                return
            yield from limits(len(value), model, path)
            if model.enum and value not in model.enum:
                yield f"{path}: {value!r} is none of {', '.join(model.enum[:8])} …"
            if pattern := model.metadata.get("pattern"):
                yield from matches(pattern, value, path)
        case "integer" | "long" | "float" | "double":
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{path}: a number is needed, not {value!r}"
                return
            yield from limits(value, model, path)
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: true or false is needed, not {value!r}"
        case _ if not isinstance(value, bytes):  # what is `given`
            yield NotLookedAt(path)


def structure(value: Any, model: Shape, path: str) -> Iterator[str]:
    """A mapping against a structure; a list of one is Terraform's block."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        yield f"{path}: a mapping is needed, not {value!r}"
        return
    found: Json = {}
    for name, item in value.items():
        if (key := member(name, model.members)) is None:
            yield f"{path}: has no {name}; there are {', '.join(list(model.members)[:8])} …"
        elif item is not None:
            found[key] = item
    for name in model.required_members:
        if name not in found:
            yield f"{path}: {name} is required"
    for name, item in found.items():
        child = model.members[name]
        # Where Terraform allows one block, AWS may take a list of them.
        listed = child.type_name == "list" and isinstance(item, Mapping)
        yield from held([item] if listed and not keyed(child) else item, child, f"{path}.{name}")


def keyed(model: Shape) -> bool:
    """Whether a list stands for a mapping: of Key (Name) and Value."""
    if model.member.type_name != "structure":
        return False
    return {each.lower() for each in model.member.members} in (
        {"key", "value"},
        {"name", "value"},
    )


def pairs(value: Mapping[str, Any], model: Shape) -> list[Json]:
    """A mapping as AWS's list of keys and values."""
    key, second = sorted(model.member.members, key=str.lower)
    return [{key: name, second: item} for name, item in value.items()]


def limits(number: float, model: Shape, path: str) -> Iterator[str]:
    """A number, or a length, against a shape's bounds."""
    low, high = model.metadata.get("min"), model.metadata.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        yield f"{path}: {number} is not within {low} to {high}"
