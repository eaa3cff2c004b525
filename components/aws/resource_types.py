"""The resource types that the platform registers on AWS: ids, searches and permissions, as data.

Ids: the page of each type at https://www.pulumi.com/registry/packages/aws/api-docs/, "Import".
Permissions: the calls that the provider makes; the names of the actions are in
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from components.resource_type import (
    DYNAMIC,
    Facts,
    ResourceType,
    TaggedArn,
    access,
    compute,
    data,
)

TAGGING = ("ListTagsForResource", "TagResource")

# A changed build context is a new object, and the provider deletes the former one with all its versions: it
# lists the versions whose key begins with the object's key, and deletes each by its id. The delivery allows
# this below the builds zone only, so that everything else in the lake can be restored.
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/s3/delete.go
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
DELETE_VERSION, LIST_VERSIONS = "s3:DeleteObjectVersion", "s3:ListBucketVersions"


def _actions(service: str, *operations: str) -> tuple[str, ...]:
    return tuple(f"{service}:{operation}" for operation in operations)


def _oidc_provider_arn(facts: Facts) -> str:
    host = facts["url"].removeprefix("https://").rstrip("/")
    return f"arn:{facts['partition']}:iam::{facts['account']}:oidc-provider/{host}"


RESOURCE_TYPES: dict[str, ResourceType] = {
    "aws:appautoscaling/policy:Policy": ResourceType(
        deploy=compute(
            *_actions(
                "application-autoscaling",
                "DeleteScalingPolicy",
                "DescribeScalingPolicies",
                "PutScalingPolicy",
            )
        ),
    ),
    "aws:appautoscaling/target:Target": ResourceType(
        creation=("application-autoscaling:UntagResource",),
        import_id="{serviceNamespace}/{resourceId}/{scalableDimension}",
        deploy=compute(
            *_actions(
                "application-autoscaling",
                "DeregisterScalableTarget",
                "DescribeScalableTargets",
                "RegisterScalableTarget",
                *TAGGING,
            ),
            # The service asks for it with the caller's permissions, too.
            # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html
            "sagemaker:UpdateEndpointWeightsAndCapacities",
        ),
    ),
    "aws:cloudwatch/logGroup:LogGroup": ResourceType(
        creation=("logs:UntagResource",),
        import_id="{name}",
        search=TaggedArn("logs:[^:]*:[^:]*:log-group:([^:]+)"),
        deploy=compute(
            *_actions(
                "logs",
                "CreateLogGroup",
                "DeleteLogGroup",
                "DescribeLogGroups",
                "PutRetentionPolicy",
                *TAGGING,
            )
        ),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ResourceType(
        creation=("cloudwatch:UntagResource",),
        import_id="{name}",
        search=TaggedArn("cloudwatch:[^:]*:[^:]*:alarm:(.+)"),
        deploy=compute(
            *_actions("cloudwatch", "DeleteAlarms", "DescribeAlarms", "PutMetricAlarm", *TAGGING)
        ),
    ),
    "aws:codebuild/project:Project": ResourceType(
        # The documentation still imports it by name, which the provider refuses since it identifies
        # resources by ARN: https://github.com/hashicorp/terraform-provider-aws/issues/44940
        import_id="arn:{partition}:codebuild:{region}:{account}:project/{name}",
        search=TaggedArn("codebuild:[^:]*:[^:]*:project/(.+)"),
        deploy=compute(
            *_actions(
                "codebuild", "BatchGetProjects", "CreateProject", "DeleteProject", "UpdateProject"
            )
        ),
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": ResourceType(
        creation=_actions("ecr", "PutLifecyclePolicy", "DeleteLifecyclePolicy"),
        import_id="{repository}",
        deploy=data("ecr:GetLifecyclePolicy"),
    ),
    "aws:ecr/repository:Repository": ResourceType(
        creation=_actions(
            "ecr",
            "CreateRepository",
            "DeleteRepository",
            "PutImageScanningConfiguration",
            "PutImageTagMutability",
            "TagResource",
            "UntagResource",
        ),
        import_id="{name}",
        precious="registry",
        search=TaggedArn("ecr:[^:]*:[^:]*:repository/(.+)"),
        deploy=data(*_actions("ecr", "DescribeRepositories", "ListTagsForResource")),
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": ResourceType(
        creation=_actions(
            "iam",
            "CreateOpenIDConnectProvider",
            "DeleteOpenIDConnectProvider",
            "TagOpenIDConnectProvider",
        ),
        import_id=_oidc_provider_arn,
        deploy=access("iam:GetOpenIDConnectProvider"),
    ),
    "aws:iam/role:Role": ResourceType(
        creation=_actions(
            "iam",
            "CreateRole",
            "DeleteRole",
            "ListInstanceProfilesForRole",
            "PassRole",
            "TagRole",
            "UntagRole",
            "UpdateAssumeRolePolicy",
        ),
        import_id="{name}",
        deploy=access(
            *_actions(
                "iam", "GetRole", "ListAttachedRolePolicies", "ListRolePolicies", "ListRoleTags"
            )
        ),
    ),
    "aws:iam/rolePolicy:RolePolicy": ResourceType(
        creation=_actions("iam", "PutRolePolicy", "DeleteRolePolicy"),
        import_id="{role}:{name}",
        deploy=access("iam:GetRolePolicy"),
    ),
    "aws:lambda/alias:Alias": ResourceType(
        import_id="{functionName}/{name}",
        keeps_import_id=False,  # afterwards it is the alias' ARN
        deploy=compute(
            *_actions("lambda", "CreateAlias", "DeleteAlias", "GetAlias", "UpdateAlias")
        ),
    ),
    "aws:lambda/function:Function": ResourceType(
        creation=("lambda:UntagResource",),
        import_id="{name}",
        search=TaggedArn("lambda:[^:]*:[^:]*:function:([^:]+)"),
        deploy=compute(
            *_actions(
                "lambda",
                "CreateFunction",
                "DeleteFunction",
                "DeleteFunctionConcurrency",
                "GetFunction",
                "GetFunctionCodeSigningConfig",
                "GetFunctionConfiguration",
                "ListTags",
                "ListVersionsByFunction",
                "PublishVersion",
                "PutFunctionConcurrency",
                "TagResource",
                "UpdateFunctionCode",
                "UpdateFunctionConfiguration",
            )
        ),
    ),
    "aws:lambda/functionUrl:FunctionUrl": ResourceType(
        import_id="{functionName}/{qualifier}",
        deploy=compute(
            *_actions(
                "lambda",
                "CreateFunctionUrlConfig",
                "DeleteFunctionUrlConfig",
                "GetFunctionUrlConfig",
                "UpdateFunctionUrlConfig",
            )
        ),
    ),
    "aws:lambda/permission:Permission": ResourceType(
        import_id="{function}:{qualifier}/{statementId}",
        keeps_import_id=False,  # afterwards it is the statement's id
        # Who may call the gateway: part of the gateway, and re-created with it.
        deploy=compute(*_actions("lambda", "AddPermission", "GetPolicy", "RemovePermission")),
    ),
    "aws:s3/bucket:Bucket": ResourceType(
        creation=_actions("s3", "CreateBucket", "DeleteBucket", "PutBucketTagging"),
        import_id="{bucket}",
        precious="lake",
        search=TaggedArn("s3:::([^/]+)"),
        # The provider reads all of a bucket's settings, set or not.
        deploy=data(
            *_actions(
                "s3",
                "GetAccelerateConfiguration",
                "GetBucketAcl",
                "GetBucketCORS",
                "GetBucketLocation",
                "GetBucketLogging",
                "GetBucketObjectLockConfiguration",
                "GetBucketRequestPayment",
                "GetBucketTagging",
                "GetBucketWebsite",
                "GetReplicationConfiguration",
                "ListBucket",
                "ListTagsForResource",
            )
        ),
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ResourceType(
        creation=_actions("s3", "PutLifecycleConfiguration"),
        import_id="{bucket}",
        deploy=data("s3:GetLifecycleConfiguration"),
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": ResourceType(
        import_id="{bucket}/{key}",
        deploy=compute(
            *_actions("s3", "GetObject", "GetObjectTagging", "PutObject", "PutObjectTagging"),
            # Not DeleteObject, which hides an object of a versioned bucket: the provider never calls it.
            DELETE_VERSION,
            LIST_VERSIONS,
        ),
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ResourceType(
        creation=_actions("s3", "PutBucketOwnershipControls"),
        import_id="{bucket}",
        deploy=access("s3:GetBucketOwnershipControls"),
    ),
    "aws:s3/bucketPolicy:BucketPolicy": ResourceType(
        creation=_actions("s3", "PutBucketPolicy", "DeleteBucketPolicy"),
        import_id="{bucket}",
        deploy=access("s3:GetBucketPolicy"),
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ResourceType(
        creation=_actions("s3", "PutBucketPublicAccessBlock"),
        import_id="{bucket}",
        deploy=access("s3:GetBucketPublicAccessBlock"),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": ResourceType(
        creation=_actions("s3", "PutEncryptionConfiguration"),
        import_id="{bucket}",
        deploy=data("s3:GetEncryptionConfiguration"),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": ResourceType(
        creation=_actions("s3", "PutBucketVersioning"),
        import_id="{bucket}",
        deploy=data("s3:GetBucketVersioning"),
    ),
    "aws:sagemaker/endpoint:Endpoint": ResourceType(
        import_id="{name}",
        precious="endpoint",
        deploy=compute(
            *_actions(
                "sagemaker",
                "CreateEndpoint",
                "DeleteEndpoint",
                "DescribeEndpoint",
                "UpdateEndpoint",
            )
        ),
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": ResourceType(
        import_id="{name}",
        search=TaggedArn("sagemaker:[^:]*:[^:]*:endpoint-config/(.+)"),
        deploy=compute(
            *_actions(
                "sagemaker",
                "CreateEndpointConfig",
                "DeleteEndpointConfig",
                "DescribeEndpointConfig",
            )
        ),
    ),
    "aws:sagemaker/model:Model": ResourceType(
        creation=("sagemaker:DeleteTags",),
        import_id="{name}",
        search=TaggedArn("sagemaker:[^:]*:[^:]*:model/(.+)"),
        deploy=compute(
            *_actions(
                "sagemaker",
                "AddTags",
                "CreateModel",
                "DeleteModel",
                "DescribeModel",
                "ListTags",
            )
        ),
    ),
    "aws:secretsmanager/secret:Secret": ResourceType(
        creation=_actions(
            "secretsmanager",
            "CreateSecret",
            "DeleteSecret",
            "TagResource",
            "UntagResource",
            "UpdateSecret",
        ),
        # No import id: its ARN ends in six characters that AWS chooses.
        precious="vault",
        search=TaggedArn("secretsmanager:[^:]*:[^:]*:secret:(.+)-.{6}"),
        deploy=data(*_actions("secretsmanager", "DescribeSecret", "GetResourcePolicy")),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": ResourceType(
        # No import id: AWS chooses the version's.
        secret_paths=("secretString", "secretBinary"),
        secret_output="secretString",  # noqa: S106  # the output's name
        deploy=data(
            *_actions(
                "secretsmanager", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"
            )
        ),
    ),
    f"{DYNAMIC}AwsBuiltImage": ResourceType(
        import_id="{repository}:{tag}",
        importable=False,
        deploy=compute(
            *_actions("codebuild", "BatchGetBuilds", "StartBuild"), "ecr:DescribeImages"
        ),
    ),
    f"{DYNAMIC}AwsScalingDeregistration": ResourceType(
        import_id="{endpoint}",
        importable=False,
        deploy=compute(
            *_actions(
                "application-autoscaling", "DeregisterScalableTarget", "DescribeScalableTargets"
            ),
            *_actions("sagemaker", "DescribeEndpoint", "DescribeEndpointConfig"),
        ),
    ),
    f"{DYNAMIC}AwsServedModel": ResourceType(
        import_id="{endpoint}",
        importable=False,
        deploy=compute(
            *_actions("sagemaker", "DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel")
        ),
    ),
}
