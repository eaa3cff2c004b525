"""Delivery on AWS: a role that GitHub Actions assumes by its own token, and what it may do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.data_lake import DataLake
from components.aws.foundation import Foundation
from components.aws.policies import Statement, allow, policy
from config import github

AUDIENCE = "sts.amazonaws.com"
TAGGED = ("ListTagsForResource", "TagResource", "UntagResource")


def _of(service: str, *operations: str) -> list[str]:
    return [f"{service}:{operation}" for operation in operations]


# A changed context is a new object, and the provider deletes the former one with all its versions: it
# lists those whose key begins as the object's, and deletes each by its id. Nowhere else, so that
# everything that is not made anew from the repository can be had back.
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/s3/delete.go
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
OF_CONTEXTS, LISTED = "s3:DeleteObjectVersion", "s3:ListBucketVersions"

# Which calls a type needs is what the provider makes; the names of the actions:
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
REACH = contracts.Reach(
    runs={
        "aws:appautoscaling/policy:Policy": _of(
            "application-autoscaling",
            "DeleteScalingPolicy",
            "DescribeScalingPolicies",
            "PutScalingPolicy",
        ),
        "aws:appautoscaling/target:Target": _of(
            "application-autoscaling",
            "DeregisterScalableTarget",
            "DescribeScalableTargets",
            "RegisterScalableTarget",
            *TAGGED,
        ),
        "aws:cloudwatch/logGroup:LogGroup": _of(
            "logs",
            "CreateLogGroup",
            "DeleteLogGroup",
            "DescribeLogGroups",
            "PutRetentionPolicy",
            *TAGGED,
        ),
        "aws:cloudwatch/metricAlarm:MetricAlarm": _of(
            "cloudwatch", "DeleteAlarms", "DescribeAlarms", "PutMetricAlarm", *TAGGED
        ),
        "aws:codebuild/project:Project": _of(
            "codebuild", "BatchGetProjects", "CreateProject", "DeleteProject", "UpdateProject"
        ),
        "aws:lambda/alias:Alias": _of(
            "lambda", "CreateAlias", "DeleteAlias", "GetAlias", "UpdateAlias"
        ),
        "aws:lambda/function:Function": _of(
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
            "UntagResource",
            "UpdateFunctionCode",
            "UpdateFunctionConfiguration",
        ),
        "aws:lambda/functionUrl:FunctionUrl": _of(
            "lambda",
            "CreateFunctionUrlConfig",
            "DeleteFunctionUrlConfig",
            "GetFunctionUrlConfig",
            "UpdateFunctionUrlConfig",
        ),
        # Who may call the front door: part of the front door, and made anew with it.
        "aws:lambda/permission:Permission": _of(
            "lambda", "AddPermission", "GetPolicy", "RemovePermission"
        ),
        # Not DeleteObject, which hides an object of a versioned bucket: the provider never calls it.
        "aws:s3/bucketObjectv2:BucketObjectv2": [
            *_of("s3", "GetObject", "GetObjectTagging", "PutObject", "PutObjectTagging"),
            OF_CONTEXTS,
            LISTED,
        ],
        "aws:sagemaker/endpoint:Endpoint": _of(
            "sagemaker", "CreateEndpoint", "DeleteEndpoint", "DescribeEndpoint", "UpdateEndpoint"
        ),
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration": _of(
            "sagemaker", "CreateEndpointConfig", "DeleteEndpointConfig", "DescribeEndpointConfig"
        ),
        "aws:sagemaker/model:Model": _of(
            "sagemaker",
            "AddTags",
            "CreateModel",
            "DeleteModel",
            "DeleteTags",
            "DescribeModel",
            "ListTags",
        ),
        "pulumi-python:dynamic/triplane:AwsBuiltImage": [
            *_of("codebuild", "BatchGetBuilds", "StartBuild"),
            "ecr:DescribeImages",
        ],
        "pulumi-python:dynamic/triplane:AwsServedModel": _of(
            "sagemaker", "DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel"
        ),
        "pulumi-python:dynamic/triplane:RandomKey": [],
    },
    holds={
        "aws:ecr/lifecyclePolicy:LifecyclePolicy": _of("ecr", "GetLifecyclePolicy"),
        "aws:ecr/repository:Repository": _of("ecr", "DescribeRepositories", "ListTagsForResource"),
        # The provider reads all of a bucket's settings, set or not.
        "aws:s3/bucket:Bucket": _of(
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
        ),
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _of(
            "s3", "GetLifecycleConfiguration"
        ),
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _of(
            "s3", "GetEncryptionConfiguration"
        ),
        "aws:s3/bucketVersioning:BucketVersioning": _of("s3", "GetBucketVersioning"),
        "aws:secretsmanager/secret:Secret": _of(
            "secretsmanager", "DescribeSecret", "GetResourcePolicy"
        ),
        "aws:secretsmanager/secretVersion:SecretVersion": _of(
            "secretsmanager", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"
        ),
    },
    grants={
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _of(
            "iam", "GetOpenIDConnectProvider"
        ),
        "aws:iam/role:Role": _of(
            "iam", "GetRole", "ListAttachedRolePolicies", "ListRolePolicies", "ListRoleTags"
        ),
        "aws:iam/rolePolicy:RolePolicy": _of("iam", "GetRolePolicy"),
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _of(
            "s3", "GetBucketOwnershipControls"
        ),
        "aws:s3/bucketPolicy:BucketPolicy": _of("s3", "GetBucketPolicy"),
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _of(
            "s3", "GetBucketPublicAccessBlock"
        ),
    },
)

NO_RESOURCE = frozenset(
    {
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingPolicies",
    }
)
"""Lists that AWS does not let one limit to a resource; what they show is no secret."""


class Delivery(contracts.Delivery):
    """A role that only jobs of one repository's branch or environment may assume."""

    def __init__(
        self, name: str, args: contracts.DeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:Delivery", name, None, opts)
        foundation = args.foundation
        assert isinstance(foundation, Foundation)
        child = pulumi.ResourceOptions(parent=self)

        host = github.GITHUB.removeprefix("https://")
        if args.existing_provider:
            self.provider = pulumi.Output.format(
                "arn:{}:iam::{}:oidc-provider/{}", foundation.partition, foundation.account, host
            )
        else:
            # No thumbprint: AWS trusts GitHub's certificate by its own list of authorities.
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html
            self.provider = aws.iam.OpenIdConnectProvider(
                f"{name}-github",
                url=github.GITHUB,
                client_id_lists=[AUDIENCE],
                tags=foundation.tags,
                opts=child,
            ).arn
        role = aws.iam.Role(
            f"{name}-role",
            assume_role_policy=policy(
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": self.provider},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {
                        "StringEquals": {f"{host}:aud": AUDIENCE, f"{host}:sub": args.subject}
                    },
                }
            ),
            max_session_duration=3600,  # seconds: the least there is
            tags=foundation.tags,
            opts=child,
        )
        aws.iam.RolePolicy(
            f"{name}-reach",
            role=role.name,
            policy=policy(*_statements(foundation, args)),
            opts=child,
        )

        self.identity = role.arn
        self.register_outputs({"identity": self.identity})


def _statements(foundation: Foundation, args: contracts.DeliveryArgs) -> Iterator[Statement]:
    """A statement a service, each on the platform's own resources of that service."""
    assert isinstance(args.lake, DataLake)
    own, bucket, arn = f"{args.prefix}-*", args.lake.bucket.arn, foundation.arn
    account = pulumi.Output.format("arn:{}:iam::{}", foundation.partition, foundation.account)
    resources: dict[str, list[pulumi.Input[str]]] = {
        "cloudwatch": [arn("cloudwatch", f"alarm:{own}")],
        "codebuild": [arn("codebuild", f"project/{own}")],
        "ecr": [arn("ecr", f"repository/{own}")],
        "iam": [
            pulumi.Output.format("{}:role/{}", account, own),
            pulumi.Output.format("{}:oidc-provider/{}", account, github.GITHUB.partition("//")[2]),
        ],
        "lambda": [arn("lambda", f"function:{own}")],
        # The second form is what DescribeLogGroups is held against: it takes a prefix, no group.
        "logs": [arn("logs", f"log-group:{own}"), arn("logs", "log-group::log-stream:")],
        "sagemaker": [
            arn("sagemaker", f"{kind}/{own}") for kind in ("model", "endpoint-config", "endpoint")
        ],
        "secretsmanager": [arn("secretsmanager", f"secret:{own}")],
        # A target's id is made by AWS.
        "application-autoscaling": [arn("application-autoscaling", "scalable-target/*")],
        "s3": [
            bucket,
            *(pulumi.Output.format("{}/{}/*", bucket, zone.value) for zone in args.zones),
        ],
    }
    apart = {OF_CONTEXTS, LISTED, *NO_RESOURCE}
    narrow = [each for each in REACH.permissions if each not in apart]
    for service, actions in groupby(narrow, key=lambda action: action.partition(":")[0]):
        yield allow(list(actions), *resources[service])
    yield allow([OF_CONTEXTS], pulumi.Output.format("{}/{}/*", bucket, contracts.Zone.BUILDS.value))
    contexts = {"StringLike": {"s3:prefix": f"{contracts.Zone.BUILDS}/*"}}
    yield allow([LISTED], bucket, condition=contexts)
    yield allow(sorted(NO_RESOURCE), "*")
    services = ["codebuild.amazonaws.com", "lambda.amazonaws.com", "sagemaker.amazonaws.com"]
    yield allow(
        ["iam:PassRole"],
        *(identity.principal for identity in args.identities),
        condition={"StringEquals": {"iam:PassedToService": services}},
    )
