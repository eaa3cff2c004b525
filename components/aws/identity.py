"""Identities on AWS: one IAM role a workload, its grants as inline policies."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.api_key import ApiKey
from components.aws.data_lake import DataLake
from components.aws.foundation import Foundation
from components.aws.image_registry import ImageRegistry
from components.aws.model_endpoint import ModelEndpoint
from components.aws.policies import Statement, allow, policy

SERVICES = {
    contracts.Workload.BUILD: "codebuild.amazonaws.com",
    contracts.Workload.SERVING: "sagemaker.amazonaws.com",
    contracts.Workload.GATEWAY: "lambda.amazonaws.com",
}
PULL = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
)
PUSH = (
    *PULL,
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)


class Identity(contracts.Identity):
    """A role that one AWS service may assume, on behalf of this account only, with its grants as inline policies."""

    def __init__(
        self, name: str, args: contracts.IdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:Identity", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)
        self.workload, self.label = args.workload, args.label or args.workload

        role = aws.iam.Role(
            f"{name}-role",
            path=serving_path() if args.workload is contracts.Workload.SERVING else None,
            assume_role_policy=policy(_trust(foundation, args.workload)),
            tags=foundation.tags,
            opts=child,
        )
        # A policy for each endpoint: the one of an endpoint that goes is deleted last, when nobody calls it any more.
        calls = {
            f"{name}-invoke-{grant.target.label}": _statements(grant, args.workload)
            for grant in args.grants
            if isinstance(grant.target, ModelEndpoint)
        }
        rest = [grant for grant in args.grants if not isinstance(grant.target, ModelEndpoint)]
        statements = [each for grant in rest for each in _statements(grant, args.workload)]
        grants = {f"{name}-grants": [*statements, *_service_statements(args.workload)], **calls}

        self.principal = role.arn
        self.attachments = [
            aws.iam.RolePolicy(policy_name, role=role.name, policy=policy(*allowed), opts=child)
            for policy_name, allowed in grants.items()
        ]
        self.register_outputs({"principal": self.principal})


def serving_path() -> str:
    """The path of the roles of this stack's endpoints: one pattern names all of them and no other stack's.

    With a line for each, the delivery's policy would exceed what IAM allows.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-friendly-names
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    return f"/{pulumi.get_project()}/{pulumi.get_stack()}/"


def _trust(foundation: Foundation, workload: contracts.Workload) -> Statement:
    """The service, on behalf of this account: nobody else's build or function can use the role.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return {
        "Effect": "Allow",
        "Principal": {"Service": SERVICES[workload]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": foundation.account}},
    }


def _statements(grant: contracts.Grant, workload: contracts.Workload) -> list[Statement]:
    """A grant, as the narrowest permissions on AWS."""
    match grant.target, grant.access:
        case DataLake() as lake, contracts.Access.READ:
            return _reading(lake, grant)
        case DataLake() as lake, contracts.Access.WRITE:
            inside = pulumi.Output.format("{}/{}/*", lake.bucket.arn, str(grant.zone))
            return [allow(["s3:PutObject"], inside)]
        case ImageRegistry(), contracts.Access.PULL if workload is contracts.Workload.GATEWAY:
            # The gateway is a zip here and pulls no image.
            return []
        case ImageRegistry() as registry, contracts.Access.PULL | contracts.Access.PUSH:
            actions = PUSH if grant.access is contracts.Access.PUSH else PULL
            return [
                allow(actions, registry.registry.arn),
                # GetAuthorizationToken takes no resource: the token is for the whole registry, and the
                # statement above decides what it allows.
                # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
                allow(["ecr:GetAuthorizationToken"], "*"),
            ]
        case ModelEndpoint() as endpoint, contracts.Access.INVOKE:
            return [allow(["sagemaker:InvokeEndpoint"], endpoint.arn)]
        case ApiKey() as key, contracts.Access.READ:
            return [allow(["secretsmanager:GetSecretValue"], key.secret.arn)]
    raise TypeError(f"{type(grant.target).__name__} cannot be granted for {grant.access} on AWS")


def _reading(lake: DataLake, grant: contracts.Grant) -> list[Statement]:
    """The objects of a zone, or of some folders of it; or some files in them, by their names.

    Without ListBucket a missing object reads as "access denied", which hides typing errors. Who may read some files only may
    not list the others beside them.
    """
    folders = [f"{grant.zone}/{prefix}" for prefix in grant.prefixes] or [str(grant.zone)]
    patterns = [f"{folder}/*/{file}" for folder in folders for file in grant.files]
    inside = [f"{folder}/*" for folder in folders]
    objects = [
        pulumi.Output.format("{}/{}", lake.bucket.arn, pattern) for pattern in patterns or inside
    ]
    read = allow(["s3:GetObject", "s3:GetObjectVersion"], *objects)
    if grant.files:
        return [read]
    listed = {"StringLike": {"s3:prefix": inside if len(inside) > 1 else inside[0]}}
    return [read, allow(["s3:ListBucket"], lake.bucket.arn, condition=listed)]


def _service_statements(workload: contracts.Workload) -> list[Statement]:
    """What the service itself does with the workload's role, beyond its log (`logs.create_log_group`).

    PutMetricData takes no resource, only a namespace.
    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
    """
    if workload is not contracts.Workload.SERVING:
        return []
    namespace = {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}
    return [allow(["cloudwatch:PutMetricData"], "*", condition=namespace)]
