"""AWS: the caller, the region, permissions, and the quotas of Lambda, SageMaker and CodeBuild."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from config.endpoints import EndpointConfig
from operations.account_check.checks import Check, Finding, missing, not_known, too_little
from operations.account_check.plan import Plan

if TYPE_CHECKING:
    from botocore.client import BaseClient

FUNCTION = "aws:lambda/function:Function"
UNRESERVED = 100
"""Executions that Lambda keeps for functions that reserve none.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
# The names that Service Quotas shows. https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
SERVERLESS = "Maximum total concurrency that can be shared across all serverless endpoints"
INSTANCES = "{machine} for endpoint usage"
SHARE = ", or let models share one (triplane:models.<name>.endpoint)"
# The project's compute type is BUILD_GENERAL1_SMALL. https://docs.aws.amazon.com/general/latest/gr/codebuild.html
BUILDS = "Concurrently running builds for Linux/Small environment"
NAME = "triplane-account-check"
# What the check itself asks about the caller's own role or user; PowerUserAccess has neither.
ASKS_OF_IAM = ("iam:GetRole", "iam:SimulatePrincipalPolicy")
QUOTAS_PAGE = "https://console.aws.amazon.com/servicequotas/home/services/{service}/quotas"


def signed_in_as(plan: Plan) -> str:
    """Who asks, in which account."""
    caller = _client("sts", plan.config.region).get_caller_identity()
    return f"AWS account {caller['Account']} as {caller['Arn']}, region {plan.config.region}"


def checks(plan: Plan) -> list[Check]:
    """All questions to an AWS account."""
    found = [
        Check(
            what=f"region {plan.config.region}",
            look=f"aws account get-region-opt-status --region-name {plan.config.region}",
            findings=lambda: _region(plan),
        ),
        Check(
            what="permissions",
            look="the IAM policy simulator, https://policysim.aws.amazon.com; this check needs"
            f" {' and '.join(ASKS_OF_IAM)}",
            findings=lambda: _permissions(plan),
        ),
        Check(
            what="SageMaker: quota of the model endpoint",
            look=QUOTAS_PAGE.format(service="sagemaker"),
            findings=lambda: _endpoint_quotas(plan),
        ),
        Check(
            what="CodeBuild: builds at a time",
            look=QUOTAS_PAGE.format(service="codebuild"),
            findings=lambda: _build_quota(plan),
        ),
    ]
    if plan.config.gateway.max_concurrency:
        found.append(
            Check(
                what="Lambda: executions to reserve",
                look="aws lambda get-account-settings",
                findings=lambda: _lambda_concurrency(plan),
            )
        )
    return found


def _client(service: str, region: str) -> BaseClient:
    # A session of its own: clients of the default one must not be created by two threads at a time.
    # https://docs.aws.amazon.com/boto3/latest/guide/session.html#multithreading-or-multiprocessing-with-sessions
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=4, read_timeout=6, retries={"total_max_attempts": 2})
    return boto3.session.Session(region_name=region).client(service, config=limits)


def _region(plan: Plan) -> Iterator[Finding]:
    """A region must be enabled. ListRegions, because AWS's own PowerUserAccess allows it.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
    """
    region = plan.config.region
    # The Account Management API has one endpoint, in us-east-1.
    pages = _client("account", "us-east-1").get_paginator("list_regions").paginate()
    states = {
        each["RegionName"]: each["RegionOptStatus"] for page in pages for each in page["Regions"]
    }
    state = states.get(region, "UNKNOWN")
    if state not in ("ENABLED", "ENABLED_BY_DEFAULT"):
        yield missing(
            f"region {region}",
            f"the account has it {state.lower()}, and a region must be enabled before its first use",
            f"aws account enable-region --region-name {region}",
        )


def _permissions(plan: Plan) -> Iterator[Finding]:
    """The caller's own policies, simulated: for any resource, and what is denied there for the platform's own names.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    region = plan.config.region
    caller = _client("sts", region).get_caller_identity()["Arn"]
    if caller.endswith(":root"):
        return  # may everything, and cannot be simulated
    iam = _client("iam", region)
    principal = _principal(iam, caller)
    denied = _denied(iam, principal, plan.permissions, [])
    arns = _own_resources(principal.split(":")[1], region, principal.split(":")[4])
    for service, actions in groupby(sorted(denied), lambda action: action.partition(":")[0]):
        names = list(actions)
        still = _denied(iam, principal, names, arns.get(service, []))
        for name in names:
            if name in still:
                denied[name] = still[name]
            else:
                del denied[name]
    if without_condition := sorted(name for name, keys in denied.items() if not keys):
        # Of an existing stack it may have them on the real names, which the simulation does not know.
        finding = not_known if plan.existing else missing
        yield finding(
            "permissions",
            f"{principal} may not: {', '.join(without_condition)}",
            "Give it these actions, for the platform's own names at least: docs/reference/aws.md",
        )
    if conditional := sorted(name for name, keys in denied.items() if keys):
        keys = ", ".join(sorted({key for name in conditional for key in denied[name]}))
        yield not_known(
            "permissions",
            f"whether {principal} may {', '.join(conditional)} depends on conditions ({keys})",
            "Look into its policies: docs/reference/aws.md lists what whoever deploys needs",
        )


def _denied(
    iam: BaseClient, principal: str, actions: list[str], resources: list[str]
) -> dict[str, list[str]]:
    """The actions that are allowed on none of the resources, each with the condition keys that were not known."""
    arguments = {"ResourceArns": resources} if resources else {}
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=principal, ActionNames=actions, **arguments
    )
    results = [each for page in pages for each in page["EvaluationResults"]]
    allowed = {each["EvalActionName"] for each in results if each["EvalDecision"] == "allowed"}
    return {
        each["EvalActionName"]: each.get("MissingContextValues") or []
        for each in results
        if each["EvalActionName"] not in allowed
    }


def _principal(iam: BaseClient, arn: str) -> str:
    """The ARN of the user or role whose policies decide: of an assumed role's session the role, with its path.

    The session's ARN lacks the path, and every role of IAM Identity Center has one. Whoever may not read the role gets
    the ARN of a role without a path, as most are.
    https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/iam/session_context_data_source.go
    """
    from botocore.exceptions import ClientError

    session = re.fullmatch(r"(arn:[^:]+):sts::(\d+):assumed-role/(.+)/[^/]+", arn)
    if not session:
        return arn
    try:
        return str(iam.get_role(RoleName=session[3])["Role"]["Arn"])
    except ClientError:
        return f"{session[1]}:iam::{session[2]}:role/{session[3]}"


def _own_resources(partition: str, region: str, account: str) -> dict[str, list[str]]:
    """Resources as the platform names them, by service: a narrow policy names such a prefix."""
    parts = {
        "application-autoscaling": ["scalable-target/0"],
        "cloudwatch": ["alarm:{}", "alarm:TargetTracking-endpoint/{}"],
        "codebuild": ["project/{}", "build/{}:0"],
        "ecr": ["repository/{}"],
        "lambda": ["function:{}"],
        "logs": ["log-group:{}", "log-group:/aws/sagemaker/Endpoints/{}", "log-group::log-stream:"],
        "sagemaker": ["model/{}", "endpoint-config/{}", "endpoint/{}"],
        "secretsmanager": ["secret:{}"],
    }
    arns = {
        service: [
            f"arn:{partition}:{service}:{region}:{account}:{each.format(NAME)}" for each in of
        ]
        for service, of in parts.items()
    }
    arns["iam"] = [
        f"arn:{partition}:iam::{account}:{each}"
        for each in (f"role/{NAME}", "oidc-provider/token.actions.githubusercontent.com")
    ]
    arns["s3"] = [f"arn:{partition}:s3:::{NAME}", f"arn:{partition}:s3:::{NAME}/builds/0"]
    return arns


def _lambda_concurrency(plan: Plan) -> list[Finding]:
    """https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html"""
    limit = _client("lambda", plan.config.region).get_account_settings()["AccountLimit"]
    own = sum(
        int(each.get("reservedConcurrentExecutions") or 0)
        for each in plan.existing_inputs(FUNCTION)
    )
    free = int(limit["UnreservedConcurrentExecutions"]) + max(0, own)
    return too_little(
        "Lambda: executions to reserve",
        plan.config.gateway.max_concurrency,
        max(0, free - UNRESERVED),
        f"gateway.max_concurrency is reserved, of the account's {limit['ConcurrentExecutions']} executions {free} are"
        f" not reserved yet, and Lambda keeps {UNRESERVED} of those",
        "triplane:gateway: {max_concurrency: 0} in the settings reserves nothing; or ask for more: aws service-quotas"
        " request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 1000",
    )


def _endpoint_quotas(plan: Plan) -> list[Finding]:
    """What the endpoints take of SageMaker's quotas. Other endpoints of the account take of the same."""
    machines: dict[str, list[EndpointConfig]] = {}
    for endpoint in plan.config.endpoints:
        machines.setdefault(endpoint.machine, []).append(endpoint)
    return [
        finding
        for machine, endpoints in machines.items()
        for finding in _endpoint_quota(machine, endpoints, plan.config.region)
    ]


def _endpoint_quota(
    machine: str, endpoints: Sequence[EndpointConfig], region: str
) -> list[Finding]:
    """What the endpoints on one kind of machine take."""
    name = SERVERLESS if machine == "serverless" else INSTANCES.format(machine=machine)
    has = _quota("sagemaker", name, region)
    page = QUOTAS_PAGE.format(service="sagemaker")
    several = f" of {len(endpoints)} endpoints" if len(endpoints) > 1 else ""
    if has is None:
        return [
            not_known(
                f"SageMaker: {machine}",
                f'Service Quotas has no "{name}" in {region}: perhaps it is not offered there',
                f"Look it up at {page}, or set another triplane:machine.aws",
            )
        ]
    if machine == "serverless":
        # Not twice, as instances are during an update: believed.
        return too_little(
            "SageMaker: serverless concurrency",
            sum(each.serverless_concurrency for each in endpoints),
            has,
            f"endpoint.serverless_concurrency{several}, of what all serverless endpoints of the account share",
            f"Lower triplane:endpoint.serverless_concurrency{SHARE if several else ''}; or ask for more at {page}",
        )
    # A new model starts with the fewest beside those that run. Another model server is a new model of each endpoint.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
    return too_little(
        f"SageMaker: instances of {machine}",
        sum(each.max_instances + each.min_instances for each in endpoints),
        has,
        f"endpoint.max_instances{several}, and beside them endpoint.min_instances while the model changes",
        f"triplane:machine: {{aws: serverless}} needs none{SHARE if several else ''}; or ask for more at {page}",
    )


def _build_quota(plan: Plan) -> list[Finding]:
    has = _quota("codebuild", BUILDS, plan.config.region)
    page = QUOTAS_PAGE.format(service="codebuild")
    if has is None:
        return [not_known("CodeBuild: builds at a time", f'no quota "{BUILDS}"', page)]
    return too_little(
        "CodeBuild: builds at a time",
        1,
        has,
        "the image is built on the small Linux machine",
        "Ask for more: aws service-quotas request-service-quota-increase --service-code codebuild --quota-code"
        f" L-9D07B6EF --desired-value 1 (a new account is often raised after a support case: {page})",
    )


def _quota(service: str, name: str, region: str) -> float | None:
    """The quota that the account has, else AWS's default; None if the region has no quota of this name.

    Service Quotas lists an applied value only where it knows one.
    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
    """
    client = _client("service-quotas", region)
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        for page in client.get_paginator(operation).paginate(ServiceCode=service):
            for quota in page["Quotas"]:
                if quota["QuotaName"] == name:
                    return float(quota["Value"])
    return None
