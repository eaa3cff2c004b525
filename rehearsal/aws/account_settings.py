"""What an account allows: Service Quotas, Lambda's account settings, the regions, and a simulation of policies."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.aws import permissions
from rehearsal.aws.calls import Call
from rehearsal.aws.query_protocol import elements, page
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context

FUNCTION = "aws:lambda/function:Function"
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
REGIONS = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "ca-west-1", "sa-east-1"),
    *("mx-central-1", "eu-central-1", "eu-central-2", "eu-west-1", "eu-west-2", "eu-west-3"),
    *("eu-north-1", "eu-south-1", "eu-south-2", "il-central-1", "me-south-1", "me-central-1"),
    *("af-south-1", "ap-east-1", "ap-east-2", "ap-south-1", "ap-south-2", "ap-northeast-1"),
    *("ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3"),
    *("ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7"),
)
SERVERLESS = "Maximum total concurrency that can be shared across all serverless endpoints"
MACHINES = tuple(
    f"ml.{family}.{size}"
    for family in ("t2", "m5", "c5", "m6i", "c6i", "m7i", "c7i")
    for size in (
        "medium",
        "large",
        "xlarge",
        "2xlarge",
        "4xlarge",
        "8xlarge",
        "9xlarge",
        "12xlarge",
    )
)
"""Some of those for which Service Quotas has an entry; sizes that a family has not are among them."""


def unreserved(context: Context, without: str = "") -> int:
    """The account's executions that no function has reserved; ``without`` is a function that does not count."""
    reserved = sum(
        max(0, int(each.inputs.get("reservedConcurrentExecutions", -1)))
        for each in context.all(FUNCTION)
        if each.id != without
    )
    return context.behaviour.quotas.lambda_executions - reserved


async def get_account_settings(call: Call, request: Request, name: str) -> Response:
    """https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html"""
    call.require("lambda:GetAccountSettings")
    limit = {
        "ConcurrentExecutions": call.context.behaviour.quotas.lambda_executions,
        "UnreservedConcurrentExecutions": unreserved(call.context),
        "TotalCodeSize": 80530636800,
        "CodeSizeUnzipped": 262144000,
        "CodeSizeZipped": 52428800,
    }
    usage = {"TotalCodeSize": 0, "FunctionCount": len(call.context.all(FUNCTION))}
    return JSONResponse({"AccountLimit": limit, "AccountUsage": usage})


async def list_regions(call: Call, request: Request, name: str) -> Response:
    """All are enabled. https://docs.aws.amazon.com/accounts/latest/reference/API_ListRegions.html"""
    call.require("account:ListRegions")
    regions = [{"RegionName": each, "RegionOptStatus": "ENABLED_BY_DEFAULT"} for each in REGIONS]
    return JSONResponse({"Regions": regions})


def list_service_quotas(call: Call) -> Json:
    """https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html"""
    call.require("servicequotas:ListServiceQuotas")
    service = call.body["ServiceCode"]
    quotas = _quotas(call.context).get(service)
    if quotas is None:
        raise Refusal("NoSuchResourceException", f"The service {service} does not exist.")
    items = [
        {"ServiceCode": service, "QuotaName": name, "Value": float(value), "Adjustable": True}
        for name, value in quotas.items()
    ]
    start = int(call.body.get("NextToken") or 0)
    end = start + int(call.body.get("MaxResults") or 100)
    answer: Json = {"Quotas": items[start:end]}
    return answer | ({"NextToken": str(end)} if end < len(items) else {})


def _quotas(context: Context) -> dict[str, dict[str, int]]:
    """The quotas by service and name. Those of Lambda have an operation of their own, too."""
    allowed = context.behaviour.quotas
    machines = {f"{each} for endpoint usage": allowed.sagemaker_instances for each in MACHINES}
    return {
        "lambda": {"Concurrent executions": allowed.lambda_executions},
        "sagemaker": {**machines, SERVERLESS: allowed.sagemaker_serverless},
        "codebuild": {
            "Concurrently running builds for Linux/Small environment": allowed.codebuild_builds
        },
    }


def simulate_principal_policy(call: Call) -> str:
    """The deployer may do everything; a role what its policies allow.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    source = call.body["PolicySourceArn"]
    call.require("iam:SimulatePrincipalPolicy", source)
    role = None
    if ":role/" in source:
        role = call.context.find(permissions.ROLE, arn=source)
        if role is None:
            raise Refusal("NoSuchEntity", f"The role with ARN {source} cannot be found.")
    results = (
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": _decision(call.context, role, action, resource),
        }
        for action in _members(call.body, "ActionNames")
        for resource in _members(call.body, "ResourceArns") or ["*"]
    )
    return page(call, "EvaluationResults", (elements(each) for each in results))


def _decision(context: Context, role: Record | None, action: str, resource: str) -> str:
    try:
        permissions.require(context, role, action, resource)
    except Refusal as refused:
        return "explicitDeny" if "explicit deny" in refused.message else "implicitDeny"
    return "allowed"


def _members(form: Json, name: str) -> list[str]:
    """A list of the query protocol: ``ActionNames.member.1`` and so on."""
    found: list[str] = []
    while (key := f"{name}.member.{len(found) + 1}") in form:
        found.append(form[key])
    return found
