"""A plan of AWS as a CloudFormation template, which cfn-lint reads.

Most names are the same in both: `memorySize` is `MemorySize`. `CONVERSIONS` has the rest. A resource that is a part of
another one in CloudFormation (a bucket's versioning) is written into that one. What CloudFormation has no place for is
returned as `NotJudged`, with the reason: nothing is left out silently. A wrong name in the table is no danger: cfn-lint
refuses a property that does not exist.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-template-resource-type-ref.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from api_models.matching import Json, set_path
from api_models.resource import Plan, Resource
from policy import request_models


@dataclass(frozen=True)
class NotJudged:
    """A resource, or one of its inputs, that a judge does not see."""

    type: str
    what: str
    """The input; empty for the whole resource."""
    reason: str


@dataclass(frozen=True, eq=False)
class Conversion:
    """The CloudFormation type of a resource, and where its inputs go if their names do not say it."""

    type: str
    name: str = ""
    """The property that is the physical name. If the program leaves it to Pulumi, it is the resource's id."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """By path, without the numbers of list items. The target is inside the same resource, or the same list item."""
    part_of: str = ""
    """The input that names the resource whose properties these are in CloudFormation."""
    lists: frozenset[str] = frozenset()
    """Inputs of one block where CloudFormation has a list."""
    single: frozenset[str] = frozenset()
    """Inputs that are a list where CloudFormation has one block."""
    documents: frozenset[str] = frozenset()
    """Inputs that are JSON text where CloudFormation has an object."""
    added: Mapping[str, Any] = field(default_factory=dict)
    """Required properties that the provider fills from elsewhere."""
    not_judged: Mapping[str, str] = field(default_factory=dict)
    """Inputs without a place in CloudFormation, and the reason."""


CONTROLS_THE_PROVIDER = "it controls the provider, and is part of no request"
BUCKET = "AWS::S3::Bucket"
CONVERSIONS: Mapping[str, Conversion] = {
    "aws:appautoscaling/policy:Policy": Conversion(
        "AWS::ApplicationAutoScaling::ScalingPolicy", "PolicyName"
    ),
    "aws:appautoscaling/target:Target": Conversion(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        not_judged={"tags": "CloudFormation has no tags of a scalable target"},
    ),
    "aws:cloudwatch/logGroup:LogGroup": Conversion("AWS::Logs::LogGroup", "LogGroupName"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Conversion("AWS::CloudWatch::Alarm", "AlarmName"),
    "aws:codebuild/project:Project": Conversion(
        "AWS::CodeBuild::Project",
        "Name",
        {
            "buildTimeout": "TimeoutInMinutes",
            "logsConfig.cloudwatchLogs": "LogsConfig.CloudWatchLogs",
            "source.buildspec": "Source.BuildSpec",
        },
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Conversion(
        "AWS::ECR::Repository",
        renames={"policy": "LifecyclePolicy.LifecyclePolicyText"},
        part_of="repository",
    ),
    "aws:ecr/repository:Repository": Conversion(
        "AWS::ECR::Repository",
        "RepositoryName",
        {"encryptionConfigurations": "EncryptionConfiguration", "forceDelete": "EmptyOnDelete"},
        single=frozenset({"encryptionConfigurations"}),
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Conversion(
        "AWS::IAM::OIDCProvider", renames={"clientIdLists": "ClientIdList"}
    ),
    "aws:iam/role:Role": Conversion(
        "AWS::IAM::Role",
        "RoleName",
        {"assumeRolePolicy": "AssumeRolePolicyDocument"},
        documents=frozenset({"assumeRolePolicy"}),
    ),
    "aws:iam/rolePolicy:RolePolicy": Conversion(
        "AWS::IAM::RolePolicy",
        "PolicyName",
        {"policy": "PolicyDocument", "role": "RoleName"},
        documents=frozenset({"policy"}),
    ),
    "aws:kms/key:Key": Conversion(
        "AWS::KMS::Key",
        renames={"deletionWindowInDays": "PendingWindowInDays", "policy": "KeyPolicy"},
        documents=frozenset({"policy"}),
    ),
    "aws:lambda/alias:Alias": Conversion("AWS::Lambda::Alias"),
    "aws:lambda/function:Function": Conversion(
        "AWS::Lambda::Function",
        "FunctionName",
        added={"Code": {"S3Bucket": "sent-by-the-provider", "S3Key": "code.zip"}},
        not_judged={
            "code": "the provider sends the archive itself",
            "publish": "CloudFormation has a resource for each version",
        },
    ),
    "aws:lambda/functionUrl:FunctionUrl": Conversion(
        "AWS::Lambda::Url",
        renames={"authorizationType": "AuthType", "functionName": "TargetFunctionArn"},
    ),
    "aws:lambda/permission:Permission": Conversion(
        "AWS::Lambda::Permission",
        renames={"function": "FunctionName"},
        not_judged={
            "qualifier": "CloudFormation has it inside the function's name",
            "statementId": "CloudFormation makes it up",
        },
    ),
    "aws:s3/bucket:Bucket": Conversion(
        BUCKET, "BucketName", not_judged={"forceDestroy": CONTROLS_THE_PROVIDER}
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Conversion(
        BUCKET,
        renames={
            "rules": "LifecycleConfiguration.Rules",
            "rules.expiration.days": "ExpirationInDays",
            "rules.expiration.expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker",
            "rules.filter.prefix": "Prefix",
        },
        part_of="bucket",
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": Conversion(
        BUCKET,
        renames={"rule": "OwnershipControls.Rules"},
        part_of="bucket",
        lists=frozenset({"rule"}),
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Conversion(
        "AWS::S3::BucketPolicy",
        renames={"policy": "PolicyDocument"},
        documents=frozenset({"policy"}),
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Conversion(
        BUCKET,
        renames={
            name: f"PublicAccessBlockConfiguration.{name[0].upper()}{name[1:]}"
            for name in (
                "blockPublicAcls",
                "blockPublicPolicy",
                "ignorePublicAcls",
                "restrictPublicBuckets",
            )
        },
        part_of="bucket",
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Conversion(
        BUCKET,
        renames={
            "rules": "BucketEncryption.ServerSideEncryptionConfiguration",
            "rules.applyServerSideEncryptionByDefault": "ServerSideEncryptionByDefault",
            "rules.applyServerSideEncryptionByDefault.sseAlgorithm": "ServerSideEncryptionByDefault.SSEAlgorithm",
        },
        part_of="bucket",
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Conversion(BUCKET, part_of="bucket"),
    "aws:sagemaker/endpoint:Endpoint": Conversion("AWS::SageMaker::Endpoint", "EndpointName"),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": Conversion(
        "AWS::SageMaker::EndpointConfig",
        "EndpointConfigName",
        {"productionVariants.serverlessConfig.memorySizeInMb": "ServerlessConfig.MemorySizeInMB"},
    ),
    "aws:sagemaker/model:Model": Conversion("AWS::SageMaker::Model", "ModelName"),
    "aws:secretsmanager/secret:Secret": Conversion(
        "AWS::SecretsManager::Secret",
        "Name",
        not_judged={"recoveryWindowInDays": "it is part of the request that deletes the secret"},
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Conversion(
        "AWS::SecretsManager::Secret", part_of="secretId"
    ),
}
NOT_CONVERTED: Mapping[str, str] = {
    **request_models.DYNAMIC_NOT_COVERED,
    "aws:s3/bucketObjectv2:BucketObjectv2": "CloudFormation has no objects of a bucket",
}
"""Types that CloudFormation does not have, and the reason."""
# Maps whose keys the user chooses. CloudFormation has a list of pairs in place of some.
MAPS = frozenset({"variables"})
PAIRS: Mapping[str, str] = {"tags": "Key", "dimensions": "Name"}


class NotConverted(Exception):
    """Something would be left out of the judgement; the message names it."""


def template(plan: Plan) -> tuple[Json, list[NotJudged]]:
    """The template, and what it does not have. Raises NotConverted for a type that is in no table."""
    unknown = sorted({each.type for each in plan} - {*CONVERSIONS, *NOT_CONVERTED})
    if unknown:
        raise NotConverted(
            f"policy/cloudformation.py cannot convert {', '.join(unknown)}: add each type to"
            " CONVERSIONS, or to NOT_CONVERTED with the reason"
        )
    resources: dict[str, Json] = {}
    not_judged = [
        NotJudged(each.type, "", NOT_CONVERTED[each.type])
        for each in plan
        if each.type in NOT_CONVERTED
    ]
    converted = [each for each in plan if each.type in CONVERSIONS]
    owners = [each for each in converted if not CONVERSIONS[each.type].part_of]
    for each in owners:
        name = logical_id(each)
        if name in resources:
            raise NotConverted(f"two resources have the logical id {name}")
        resources[name] = {
            "Type": CONVERSIONS[each.type].type,
            "Properties": properties(each),
        }
    for each in converted:
        conversion = CONVERSIONS[each.type]
        not_judged += [
            NotJudged(each.type, name, reason)
            for name, reason in conversion.not_judged.items()
            if name in each.inputs
        ]
        if conversion.part_of:
            whole = resources[logical_id(owner(each, owners))]["Properties"]
            whole.update(properties(each))
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}, not_judged


def owner(part: Resource, owners: Plan) -> Resource:
    """The resource that a part belongs to. Raises NotConverted if the plan does not have it."""
    conversion = CONVERSIONS[part.type]
    for each in owners:
        named = (each.id, each.inputs.get("name"), each.inputs.get("bucket"))
        if CONVERSIONS[each.type].type == conversion.type and part.get(conversion.part_of) in named:
            return each
    raise NotConverted(f"{part.name} is part of a {conversion.type} that the plan does not have")


def logical_id(resource: Resource) -> str:
    """`TriplaneLakeBucket` of `triplane-lake-bucket`: letters and digits only."""
    return "".join(
        word[0].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", resource.name) if word
    )


def properties(resource: Resource) -> Json:
    """The inputs as CloudFormation names and nests them."""
    conversion = CONVERSIONS[resource.type]
    result: Json = dict(conversion.added)
    skipped = {conversion.part_of, *conversion.not_judged}
    inputs = {name: value for name, value in resource.inputs.items() if name not in skipped}
    if conversion.name:
        result[conversion.name] = inputs.pop("name", resource.id)
    for place, value in placed(inputs, conversion):
        set_path(result, place, value)
    return result


def placed(
    inputs: Mapping[str, Any], conversion: Conversion, path: str = "", prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Every value with its place. A block inside is taken apart, because its members may go to another place."""
    for name, value in inputs.items():
        here = f"{path}{name}"
        place = conversion.renames.get(here) or f"{prefix}{name[0].upper()}{name[1:]}"
        if here in conversion.single and isinstance(value, list) and len(value) == 1:
            value = value[0]
        elif here in conversion.lists:
            value = [value]
        if here in conversion.documents and isinstance(value, str):
            yield place, parsed(value)
        elif name in PAIRS and isinstance(value, Mapping):
            yield place, [{PAIRS[name]: key, "Value": value[key]} for key in value]
        elif isinstance(value, Mapping) and value and name not in MAPS:
            yield from placed(value, conversion, f"{here}.", f"{place}.")
        elif isinstance(value, list):
            yield place, [item(each, conversion, f"{here}.") for each in value]
        else:
            yield place, value


def item(value: Any, conversion: Conversion, path: str) -> Any:
    """An item of a list: a block by itself, or a plain value."""
    if not isinstance(value, Mapping):
        return value
    result: Json = {}
    for place, inner in placed(value, conversion, path):
        set_path(result, place, inner)
    return result


def parsed(text: str) -> Any:
    """The object of a JSON text. Raises NotConverted if it is none: cfn-lint would pass a text over."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise NotConverted(f"{text[:60]!r} is no JSON: {error}") from None
