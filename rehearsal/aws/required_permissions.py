"""The calls of AWS's APIs that pulumi-aws makes for each type, and so the permissions that its credentials need.

They are checked where the program's settings name credentials (`aws:accessKey`), as those of a delivery's session. Of a type
that is not listed, only the deployer may change anything: the rehearsal does not know what it needs.

A file after ``TF`` is in https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service. That a
resource which is created with tags needs the permission to tag, too, is a rule of the services:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rehearsal.aws import authorization, credentials, permissions
from rehearsal.aws.calls import Call
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context

TAGGING = ("AddTags", "TagResource", "TagRole", "PutBucketTagging", "PutObjectTagging")
"""Made only for a resource with tags."""
WITH_TAGS = ("AddTags", "Create", "PutMetricAlarm", "Register", "Tag", "UpdateProject")
"""How the operations begin whose request has the tags in it."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The operations of a service for one type, in words separated by spaces."""

    service: str
    names: Mapping[str, str]
    """Parts of the resource's ARN (`authorization`), each with the input that has it."""
    create: str
    read: str
    update: str = ""
    """Where no input in `changes` is among the changed ones."""
    changes: Mapping[str, str] = field(default_factory=dict)
    """By input: the operations that change it, in place of those of `update`."""
    delete: str
    others: Mapping[str, str] = field(default_factory=dict)
    """What a service does with the caller's permissions: actions with their service, on these parts of ARNs."""


def _bucket(read: str, write: str = "", create: str = "", delete: str = "") -> Calls:
    return Calls(
        service="s3",
        names={"BucketName": "bucket"},
        create=create or write,
        read=read,
        update=write,
        delete=delete or write,
    )


CALLS: dict[str, Calls] = {
    # TF: appautoscaling/target.go, policy.go
    # https://docs.aws.amazon.com/autoscaling/application/userguide/security_permission_validation.html
    "aws:appautoscaling/target:Target": Calls(
        service="application-autoscaling",
        names={},
        create="RegisterScalableTarget TagResource",
        read="DescribeScalableTargets ListTagsForResource",
        update="RegisterScalableTarget",
        changes={"tags": "TagResource"},
        delete="DeregisterScalableTarget",
        others={
            "create": "sagemaker:DescribeEndpoint sagemaker:UpdateEndpointWeightsAndCapacities",
            "update": "sagemaker:DescribeEndpoint sagemaker:UpdateEndpointWeightsAndCapacities",
        },
    ),
    "aws:appautoscaling/policy:Policy": Calls(
        service="application-autoscaling",
        names={},
        create="PutScalingPolicy",
        read="DescribeScalingPolicies",
        update="PutScalingPolicy",
        delete="DeleteScalingPolicy",
        others={
            "create": "cloudwatch:PutMetricAlarm cloudwatch:DescribeAlarms",
            "update": "cloudwatch:PutMetricAlarm cloudwatch:DescribeAlarms",
            "delete": "cloudwatch:DeleteAlarms",
        },
    ),
    # TF: logs/group.go
    "aws:cloudwatch/logGroup:LogGroup": Calls(
        service="logs",
        names={"LogGroupName": "name"},
        create="CreateLogGroup TagResource PutRetentionPolicy",
        read="DescribeLogGroups ListTagsForResource",
        update="PutRetentionPolicy",
        changes={"tags": "TagResource"},
        delete="DeleteLogGroup",
    ),
    # TF: cloudwatch/metric_alarm.go
    "aws:cloudwatch/metricAlarm:MetricAlarm": Calls(
        service="monitoring",
        names={"AlarmName": "name"},
        create="PutMetricAlarm TagResource",
        read="DescribeAlarms ListTagsForResource",
        update="PutMetricAlarm",
        changes={"tags": "TagResource"},
        delete="DeleteAlarms",
    ),
    # TF: codebuild/project.go
    "aws:codebuild/project:Project": Calls(
        service="codebuild",
        names={"ProjectName": "name"},
        create="CreateProject",
        read="BatchGetProjects",
        update="UpdateProject",
        delete="DeleteProject",
    ),
    # TF: ecr/repository.go, lifecycle_policy.go
    "aws:ecr/repository:Repository": Calls(
        service="ecr",
        names={"RepositoryName": "name"},
        create="CreateRepository TagResource",
        read="DescribeRepositories ListTagsForResource",
        update="PutImageTagMutability PutImageScanningConfiguration",
        changes={"tags": "TagResource"},
        delete="DeleteRepository",
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Calls(
        service="ecr",
        names={"RepositoryName": "repository"},
        create="PutLifecyclePolicy",
        read="GetLifecyclePolicy",
        update="PutLifecyclePolicy",
        delete="DeleteLifecyclePolicy",
    ),
    # TF: iam/openid_connect_provider.go, role.go, role_policy.go
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Calls(
        service="iam",
        names={"OidcProviderName": "url"},
        create="CreateOpenIDConnectProvider",
        read="GetOpenIDConnectProvider",
        update="UpdateOpenIDConnectProviderThumbprint",
        changes={"tags": "TagOpenIDConnectProvider"},
        delete="DeleteOpenIDConnectProvider",
    ),
    "aws:iam/role:Role": Calls(
        service="iam",
        names={"RoleName": "name"},
        create="CreateRole",
        read="GetRole ListRolePolicies ListAttachedRolePolicies",
        update="UpdateAssumeRolePolicy",
        changes={"tags": "TagRole"},
        delete="DeleteRole",
    ),
    "aws:iam/rolePolicy:RolePolicy": Calls(
        service="iam",
        names={"RoleName": "role"},
        create="PutRolePolicy",
        read="GetRolePolicy",
        update="PutRolePolicy",
        delete="DeleteRolePolicy",
    ),
    # TF: lambda/alias.go, function.go, function_url.go, permission.go
    "aws:lambda/alias:Alias": Calls(
        service="lambda",
        names={"FunctionName": "functionName"},
        create="CreateAlias",
        read="GetAlias",
        update="UpdateAlias",
        delete="DeleteAlias",
    ),
    "aws:lambda/function:Function": Calls(
        service="lambda",
        names={"FunctionName": "name"},
        create="CreateFunction TagResource PutFunctionConcurrency",
        read="GetFunction GetFunctionCodeSigningConfig ListVersionsByFunction",
        update="UpdateFunctionConfiguration PublishVersion",
        changes={
            "code": "UpdateFunctionCode PublishVersion",
            "reservedConcurrentExecutions": "PutFunctionConcurrency",
            "tags": "TagResource",
        },
        delete="DeleteFunction",
    ),
    "aws:lambda/functionUrl:FunctionUrl": Calls(
        service="lambda",
        names={"FunctionName": "functionName"},
        create="CreateFunctionUrlConfig AddPermission",
        read="GetFunctionUrlConfig",
        update="UpdateFunctionUrlConfig",
        delete="DeleteFunctionUrlConfig",
    ),
    "aws:lambda/permission:Permission": Calls(
        service="lambda",
        names={"FunctionName": "function"},
        create="AddPermission",
        read="GetPolicy",
        delete="RemovePermission",
    ),
    # TF: s3/bucket.go and a file for each setting
    "aws:s3/bucket:Bucket": _bucket(
        "ListBucket GetBucketLocation GetBucketTagging GetBucketAcl GetBucketCORS GetBucketWebsite"
        " GetAccelerateConfiguration GetBucketRequestPayment GetBucketLogging GetReplicationConfiguration"
        " GetBucketObjectLockConfiguration GetBucketVersioning GetLifecycleConfiguration"
        " GetEncryptionConfiguration GetBucketPolicy",
        "PutBucketTagging",
        "CreateBucket PutBucketTagging",
        "DeleteBucket",
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _bucket(
        "GetLifecycleConfiguration", "PutLifecycleConfiguration"
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _bucket(
        "GetBucketOwnershipControls", "PutBucketOwnershipControls"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _bucket(
        "GetBucketPolicy", "PutBucketPolicy", delete="DeleteBucketPolicy"
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _bucket(
        "GetBucketPublicAccessBlock", "PutBucketPublicAccessBlock"
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _bucket(
        "GetEncryptionConfiguration", "PutEncryptionConfiguration"
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _bucket(
        "GetBucketVersioning", "PutBucketVersioning"
    ),
    # TF: s3/object.go, delete.go: with all versions, which a list by prefix finds
    "aws:s3/bucketObjectv2:BucketObjectv2": Calls(
        service="s3",
        names={"BucketName": "bucket", "ObjectName": "key"},
        create="PutObject PutObjectTagging",
        read="GetObject GetObjectTagging",
        update="PutObject",
        delete="ListBucketVersions DeleteObjectVersion",
    ),
    # TF: sagemaker/endpoint.go, endpoint_configuration.go, model.go
    "aws:sagemaker/endpoint:Endpoint": Calls(
        service="sagemaker",
        names={"EndpointName": "name", "EndpointConfigName": "endpointConfigName"},
        create="CreateEndpoint AddTags",
        read="DescribeEndpoint ListTags",
        update="UpdateEndpoint",
        changes={"tags": "AddTags"},
        delete="DeleteEndpoint",
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": Calls(
        service="sagemaker",
        names={"EndpointConfigName": "name"},
        create="CreateEndpointConfig AddTags",
        read="DescribeEndpointConfig ListTags",
        update="AddTags",
        delete="DeleteEndpointConfig",
    ),
    "aws:sagemaker/model:Model": Calls(
        service="sagemaker",
        names={"ModelName": "name"},
        create="CreateModel AddTags",
        read="DescribeModel ListTags",
        update="AddTags",
        delete="DeleteModel",
    ),
    # TF: secretsmanager/secret.go, secret_version.go
    "aws:secretsmanager/secret:Secret": Calls(
        service="secretsmanager",
        names={"SecretId": "name"},
        create="CreateSecret TagResource",
        read="DescribeSecret GetResourcePolicy",
        update="UpdateSecret",
        changes={"tags": "TagResource"},
        delete="DeleteSecret",
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Calls(
        service="secretsmanager",
        names={"SecretId": "secretId"},
        create="PutSecretValue",
        read="GetSecretValue",
        update="UpdateSecretVersionStage",
        delete="UpdateSecretVersionStage",
    ),
}


def require_for_step(
    context: Context, config: Json, step: str, token: str, inputs: Json, existing: Record | None
) -> None:
    """Raise AWS's refusal unless the credentials of the provider's settings allow what a step calls."""
    session = context.kv.get(credentials.SESSIONS, str(config.get("accessKey")))
    if session is None:
        # A real stack's settings may name a key that no rehearsal can know: that is the deployer's.
        return
    caller = context.get(permissions.ROLE, session["role"])
    if caller is None or session["expires"] <= time.time():
        raise Refusal("ExpiredToken", "The security token included in the request is expired")
    calls = CALLS.get(token)
    if calls is None:
        raise Refusal("NotRehearsed", f"the rehearsal does not know which calls a {token} makes")
    region = str(inputs.get("region") or config.get("region") or context.account.aws_region)
    call = Call(context, caller, region, {})
    olds = existing.inputs if existing else {}
    for operation in dict.fromkeys(_operations(calls, step, inputs, olds)):
        authorization.require(call, calls.service, operation, _parameters(calls, operation, inputs))
    for action in calls.others.get(step, "").split():
        service, _, operation = action.partition(":")
        authorization.require(call, service, operation, _scaled(inputs))


def _operations(calls: Calls, step: str, inputs: Json, olds: Json) -> Iterator[str]:
    """The operations of a step; a step that writes reads afterwards."""
    if step == "update":
        changed = {
            name for name in inputs.keys() | olds.keys() if inputs.get(name) != olds.get(name)
        }
        changed -= {"tagsAll", "__defaults"}
        for name in changed:
            yield from calls.changes.get(name, calls.update).split()
    else:
        written = {"create": calls.create, "read": "", "delete": calls.delete}[step].split()
        yield from (each for each in written if inputs.get("tags") or each not in TAGGING)
    if step != "delete":
        yield from calls.read.split()


def _parameters(calls: Calls, operation: str, inputs: Json) -> Json:
    """The parameters of a request, as far as its permissions depend on them."""
    tags = inputs.get("tags") if operation.startswith(WITH_TAGS) else None
    given = {
        f"{name[0].upper()}{name[1:]}": value for name, value in inputs.items() if name != "tags"
    }
    named = {part: str(inputs.get(name)) for part, name in calls.names.items()}
    if url := named.get("OidcProviderName"):
        named["OidcProviderName"] = url.removeprefix("https://").rstrip("/")
    if operation == "ListBucketVersions":
        named["Prefix"] = str(inputs.get("key"))
    # Where the service's parameter begins with a small letter.
    passed = {"serviceRole": inputs["serviceRole"]} if "serviceRole" in inputs else {}
    return {**given, **passed, **named, **({"Tags": tags} if tags else {})}


def _scaled(inputs: Json) -> Json:
    """What Application Auto Scaling asks of the services behind a target: of the endpoint, and of an alarm for it."""
    target = str(inputs.get("resourceId"))
    return {
        "EndpointName": target.split("/")[1],
        "AlarmName": f"TargetTracking-{target}-AlarmHigh-0",
    }
