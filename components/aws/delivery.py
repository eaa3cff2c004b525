"""Delivery on AWS: a role that GitHub Actions assumes by its own token, and what it may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.api_key import ApiKey
from components.aws.data_lake import DataLake
from components.aws.dynamic import scaling_deregistration
from components.aws.foundation import Foundation
from components.aws.identity import serving_path
from components.aws.image_registry import ImageRegistry
from components.aws.model_endpoint import ENDPOINT_LOGS, names_on_instances
from components.aws.policies import Statement, allow, policy
from components.aws.resource_types import DELETE_VERSION, LIST_VERSIONS, RESOURCE_TYPES
from components.resource_type import DeployPermissions
from config import github

AUDIENCE = "sts.amazonaws.com"
HOST = github.ISSUER.removeprefix("https://")
PERMISSIONS = DeployPermissions.of(RESOURCE_TYPES).permissions
SESSION_SECONDS = 2 * 60 * 60
"""A job cannot renew its session. A build and a new endpoint may take 85 minutes, and a job ends after two hours."""
SCALING_SERVICE = "sagemaker.application-autoscaling.amazonaws.com"
SCALING_ROLE = f"{SCALING_SERVICE}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"

NO_RESOURCE = frozenset(
    {
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingPolicies",
        "logs:DescribeLogGroups",
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

# Pulumi's names have no stack in them, so names do not keep two stacks of one account apart. The tag `stack` does: all of
# these services check it. Which action has which resource and condition keys, a page a service:
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
TAGGED_SERVICES = (
    "application-autoscaling",
    "cloudwatch",
    "codebuild",
    "lambda",
    "logs",
    "sagemaker",
)
# What a call creates has its tag for the next call already (believed).
RESOURCE_TAG, REQUEST_TAG = "aws:ResourceTag/stack", "aws:RequestTag/stack"
READ_OR_DELETE = ("BatchGet", "Delete", "Describe", "Get", "List", "Remove")
"""How the operations begin that end well where there is nothing: a deletion, a refresh. What is gone has no tag. If one
were required, AWS would answer that access is denied, and not that there is nothing (believed)."""
CREATE = frozenset(
    {
        "cloudwatch:PutMetricAlarm",
        "codebuild:CreateProject",
        "lambda:CreateFunction",
        "logs:CreateLogGroup",
        "sagemaker:CreateEndpoint",
        "sagemaker:CreateEndpointConfig",
        "sagemaker:CreateModel",
    }
)
TAG = frozenset(
    {
        "application-autoscaling:TagResource",
        "cloudwatch:TagResource",
        "lambda:TagResource",
        "logs:TagResource",
        "sagemaker:AddTags",
    }
)
"""Needed to create a resource with tags, too. To remove a tag is a person's: without the tag `stack`, no pipeline could
change the resource any more."""
REGISTER_TARGET = "application-autoscaling:RegisterScalableTarget"
DELETE_SCALING = (
    "application-autoscaling:DeleteScalingPolicy",
    "application-autoscaling:DeregisterScalableTarget",
)
SCALING = (REGISTER_TARGET, *DELETE_SCALING)


class Delivery(contracts.Delivery):
    """A role that only jobs of one repository's branch or environment may assume."""

    def __init__(
        self, name: str, args: contracts.DeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:Delivery", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)

        if args.existing_provider:
            self.provider = pulumi.Output.format(
                "arn:{}:iam::{}:oidc-provider/{}", foundation.partition, foundation.account, HOST
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
                        # The branch, too: the subject of a job in an environment does not name it.
                        # AWS checks this claim of GitHub's since January 2026.
                        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
                        "StringEquals": {
                            f"{HOST}:aud": AUDIENCE,
                            f"{HOST}:sub": args.subject,
                            f"{HOST}:ref": args.ref,
                        }
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
            policy=policy(*_statements(foundation, args, role.arn)),
            opts=child,
        )

        self.identity = role.arn
        self.register_outputs({"identity": self.identity})


def _statements(
    foundation: Foundation, args: contracts.DeliveryArgs, own_role: pulumi.Output[str]
) -> Iterator[Statement]:
    """What exists before the pipeline, by its own ARN; what the pipeline creates, by the tag of the stack."""
    account = pulumi.Output.format("arn:{}:iam::{}", foundation.partition, foundation.account)
    workloads = [
        identity.principal
        for identity in args.identities
        if identity.workload is not contracts.Workload.SERVING
    ]
    # One pattern: IAM allows a role's policies 10,240 characters together, and each endpoint has a role.
    workloads.append(pulumi.Output.format("{}:role{}*", account, serving_path()))
    oidc = pulumi.Output.format("{}:oidc-provider/{}", account, HOST)
    yield allow(_actions("ecr"), ImageRegistry.of(args.registry).registry.arn)
    yield allow(_actions("iam"), *workloads, own_role, oidc)
    if args.key:
        yield allow(_actions("secretsmanager"), ApiKey.of(args.key).secret.arn)
    yield from _on_the_lake(DataLake.of(args.lake).bucket.arn, args.zones)
    yield from _on_tagged(foundation, args)
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
        *workloads,
        condition={"StringEquals": {"iam:PassedToService": services}},
    )


def _actions(*services: str) -> list[str]:
    """The pipeline's permissions on these services that AWS can limit to a resource."""
    return [
        each
        for each in PERMISSIONS
        if each.partition(":")[0] in services and each not in NO_RESOURCE
    ]


def _on_the_lake(
    bucket: pulumi.Output[str], zones: Sequence[contracts.Zone]
) -> Iterator[Statement]:
    """The bucket's settings, objects in the zones of a deployment, and all versions in the builds zone."""
    versions = (DELETE_VERSION, LIST_VERSIONS)
    yield allow(
        [each for each in _actions("s3") if each not in versions],
        bucket,
        *(pulumi.Output.format("{}/{}/*", bucket, zone.value) for zone in zones),
    )
    builds = contracts.Zone.BUILDS
    yield allow([DELETE_VERSION], pulumi.Output.format("{}/{}/*", bucket, builds.value))
    yield allow([LIST_VERSIONS], bucket, condition={"StringLike": {"s3:prefix": f"{builds}/*"}})


def _on_tagged(foundation: Foundation, args: contracts.DeliveryArgs) -> Iterator[Statement]:
    """What has the stack's tag, or gets it when it is created."""
    names, arn = f"{args.prefix}-*", foundation.arn
    # AWS chooses a target's id.
    targets = arn("application-autoscaling", "scalable-target/*")
    resources = [
        targets,
        arn("cloudwatch", f"alarm:{names}"),
        arn("codebuild", f"project/{names}"),
        arn("lambda", f"function:{names}"),
        arn("logs", f"log-group:{names}"),
        arn("logs", f"log-group:{ENDPOINT_LOGS}{names}"),
        *(arn("sagemaker", f"{kind}/{names}") for kind in ("model", "endpoint-config", "endpoint")),
    ]
    is_own = {RESOURCE_TAG: foundation.tags["stack"]}
    gets_own = {REQUEST_TAG: foundation.tags["stack"]}
    if_any = {"StringEqualsIfExists": is_own}
    actions = [each for each in _actions(*TAGGED_SERVICES) if each not in SCALING]
    harmless = [each for each in actions if _operation(each).startswith(READ_OR_DELETE)]
    changing = [each for each in actions if each not in {*harmless, *CREATE}]

    yield allow(harmless, *resources, condition=if_any)
    yield allow(
        changing,
        *resources,
        condition={"StringEquals": is_own, "StringEqualsIfExists": gets_own},
    )
    # PutMetricAlarm overwrites an alarm, which may be another stack's.
    yield allow(
        [each for each in actions if each in CREATE or each in TAG],
        *resources,
        condition={"StringEquals": gets_own, **if_any},
    )
    # A target's ARN does not say which service is scaled, and most of others' targets have no tags.
    scaling = {
        "application-autoscaling:service-namespace": scaling_deregistration.NAMESPACE,
        "application-autoscaling:scalable-dimension": scaling_deregistration.DIMENSION,
    }
    yield allow(DELETE_SCALING, targets, condition={"StringEquals": scaling, **if_any})
    yield allow(
        [REGISTER_TARGET], targets, condition={"StringEquals": scaling | gets_own, **if_any}
    )
    # The alarms of target tracking: Application Auto Scaling names them after the endpoint and does not tag them.
    alarms = f"alarm:TargetTracking-endpoint/{names_on_instances(args.prefix)}/*"
    yield allow(
        [each for each in _actions("cloudwatch") if not each.endswith("Resource")],
        arn("cloudwatch", alarms),
    )


def _operation(action: str) -> str:
    return action.partition(":")[2]
