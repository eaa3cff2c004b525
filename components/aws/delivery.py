"""Delivery on AWS: a role that GitHub Actions assumes by its own token, and what it may do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.data_lake import DataLake
from components.aws.foundation import Foundation
from components.aws.model_endpoint import ENDPOINT_LOGS
from components.aws.policies import Statement, allow, policy
from components.aws.resource_types import DELETE_VERSION, LIST_VERSIONS, RESOURCE_TYPES
from components.resource_type import DeployPermissions
from config import github

AUDIENCE = "sts.amazonaws.com"
PERMISSIONS = DeployPermissions.of(RESOURCE_TYPES).permissions
SESSION_SECONDS = 2 * 60 * 60
"""A job cannot renew its session. A build and a new endpoint may take 85 minutes, and a job ends after two hours."""
SCALING_SERVICE = "sagemaker.application-autoscaling.amazonaws.com"
SCALING_ROLE = f"{SCALING_SERVICE}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"

NO_RESOURCE = frozenset(
    {
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingPolicies",
    }
)
"""Lists that AWS cannot limit to a resource; their answers are no secret."""
ACCOUNT_LIMITS = frozenset(
    {
        "account:ListRegions",
        "lambda:GetAccountSettings",
        "servicequotas:ListAWSDefaultServiceQuotas",
        "servicequotas:ListServiceQuotas",
    }
)
"""What `make check-account` asks before a release; they have no resource either."""


class Delivery(contracts.Delivery):
    """A role that only jobs of one repository's branch or environment may assume."""

    def __init__(
        self, name: str, args: contracts.DeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:Delivery", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)

        host = github.ISSUER.removeprefix("https://")
        if args.existing_provider:
            self.provider = pulumi.Output.format(
                "arn:{}:iam::{}:oidc-provider/{}", foundation.partition, foundation.account, host
            )
        else:
            # No thumbprint: AWS trusts GitHub's certificate by its own list of authorities.
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html
            self.provider = aws.iam.OpenIdConnectProvider(
                f"{name}-github",
                url=github.ISSUER,
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
            max_session_duration=SESSION_SECONDS,
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
    """One statement a service, each on the platform's own resources of that service."""
    names, bucket, arn = f"{args.prefix}-*", DataLake.of(args.lake).bucket.arn, foundation.arn
    account = pulumi.Output.format("arn:{}:iam::{}", foundation.partition, foundation.account)
    resources: dict[str, list[pulumi.Input[str]]] = {
        # A target tracking policy has alarms, which Application Auto Scaling names after the target.
        "cloudwatch": [
            arn("cloudwatch", f"alarm:{names}"),
            arn("cloudwatch", f"alarm:TargetTracking-endpoint/{names}"),
        ],
        "codebuild": [arn("codebuild", f"project/{names}")],
        "ecr": [arn("ecr", f"repository/{names}")],
        "iam": [
            pulumi.Output.format("{}:role/{}", account, names),
            pulumi.Output.format("{}:oidc-provider/{}", account, github.ISSUER.partition("//")[2]),
        ],
        "lambda": [arn("lambda", f"function:{names}")],
        # DescribeLogGroups needs the second form: it takes a prefix, no group.
        "logs": [
            arn("logs", f"log-group:{names}"),
            arn("logs", f"log-group:{ENDPOINT_LOGS}{names}"),
            arn("logs", "log-group::log-stream:"),
        ],
        "sagemaker": [
            arn("sagemaker", f"{kind}/{names}") for kind in ("model", "endpoint-config", "endpoint")
        ],
        "secretsmanager": [arn("secretsmanager", f"secret:{names}")],
        # AWS chooses a target's id.
        "application-autoscaling": [arn("application-autoscaling", "scalable-target/*")],
        "s3": [
            bucket,
            *(pulumi.Output.format("{}/{}/*", bucket, zone.value) for zone in args.zones),
        ],
    }
    separate = {DELETE_VERSION, LIST_VERSIONS, *NO_RESOURCE}
    narrow = [each for each in PERMISSIONS if each not in separate]
    for service, actions in groupby(narrow, key=lambda action: action.partition(":")[0]):
        yield allow(list(actions), *resources[service])
    yield allow(
        [DELETE_VERSION], pulumi.Output.format("{}/{}/*", bucket, contracts.Zone.BUILDS.value)
    )
    contexts = {"StringLike": {"s3:prefix": f"{contracts.Zone.BUILDS}/*"}}
    yield allow([LIST_VERSIONS], bucket, condition=contexts)
    yield allow(sorted(NO_RESOURCE | ACCOUNT_LIMITS), "*")
    # The first scalable target of an account creates the role with which the service scales.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html
    yield allow(
        ["iam:CreateServiceLinkedRole"],
        pulumi.Output.format("{}:role/aws-service-role/{}", account, SCALING_ROLE),
        condition={"StringEquals": {"iam:AWSServiceName": SCALING_SERVICE}},
    )
    services = ["codebuild.amazonaws.com", "lambda.amazonaws.com", "sagemaker.amazonaws.com"]
    yield allow(
        ["iam:PassRole"],
        *(identity.principal for identity in args.identities),
        condition={"StringEquals": {"iam:PassedToService": services}},
    )
