"""The addresses below ``/aws`` at which AWS's own clients find the services.

All services share one address. The signature of a request names the service that it is for.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from urllib.parse import parse_qsl, unquote

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from rehearsal.aws import (
    account_settings,
    application_autoscaling,
    authorization,
    codebuild,
    credentials,
    ecr,
    errors,
    iam,
    lambda_functions,
    lambda_urls,
    query_protocol,
    resource_groups_tagging,
    s3_proxy,
    sagemaker,
    sagemaker_runtime,
    secrets_manager,
    sts,
)
from rehearsal.aws.calls import Call, Operation
from rehearsal.aws.query_protocol import Query
from rehearsal.core.records import Refusal
from rehearsal.provider.context import Context

METHODS = ["DELETE", "GET", "HEAD", "POST", "PUT"]
TARGETS: dict[str, Operation] = {
    "AmazonEC2ContainerRegistry_V20150921.DescribeImages": ecr.describe_images,
    "AnyScaleFrontendService.DeregisterScalableTarget": application_autoscaling.deregister_scalable_target,
    "AnyScaleFrontendService.DescribeScalableTargets": application_autoscaling.describe_scalable_targets,
    "CodeBuild_20161006.BatchGetBuilds": codebuild.batch_get_builds,
    "CodeBuild_20161006.StartBuild": codebuild.start_build,
    "ResourceGroupsTaggingAPI_20170126.GetResources": resource_groups_tagging.get_resources,
    "ServiceQuotasV20190624.ListAWSDefaultServiceQuotas": account_settings.list_service_quotas,
    "ServiceQuotasV20190624.ListServiceQuotas": account_settings.list_service_quotas,
    "SageMaker.DeleteEndpoint": sagemaker.delete_endpoint,
    "SageMaker.DescribeEndpoint": sagemaker.describe_endpoint,
    "SageMaker.DescribeEndpointConfig": sagemaker.describe_endpoint_config,
    "secretsmanager.DescribeSecret": secrets_manager.describe_secret,
    "secretsmanager.GetSecretValue": secrets_manager.get_secret_value,
}
"""The operations of the JSON protocol, by the ``x-amz-target`` header."""
QUERIES: dict[str, Query] = {
    "iam:GetRole": iam.get_role,
    "iam:ListRolePolicies": iam.list_role_policies,
    "iam:ListRoleTags": iam.list_role_tags,
    "iam:ListRoles": iam.list_roles,
    "iam:SimulatePrincipalPolicy": account_settings.simulate_principal_policy,
    "sts:GetCallerIdentity": sts.get_caller_identity,
    f"sts:{sts.WEB_IDENTITY}": sts.assume_role_with_web_identity,
}
"""The operations of the query protocol, by service and ``Action``."""
PATHS: tuple[tuple[str, Callable[[Call, Request, str], Awaitable[Response]]], ...] = (
    (r"/endpoints/([^/]+)/invocations", sagemaker_runtime.invoke_endpoint),
    (r"/2015-03-31/functions/([^/]+)/invocations", lambda_functions.invoke),
    (r"/2016-08-19/(account-settings)/?", account_settings.get_account_settings),
    (r"/(listRegions)", account_settings.list_regions),
)
"""The operations that are known by their address, and are given the name in it."""


def routes(context: Context) -> list[BaseRoute]:
    """Everything below ``/aws``. Opens the endpoints of before a restart again."""
    lambda_urls.reopen(context)
    s3 = s3_proxy.StorageProxy(context)

    return [
        Route("/_logs/codebuild/{id:path}", partial(_build_log, context)),
        Route("/{path:path}", partial(_answer, context, s3), methods=METHODS),
    ]


async def _build_log(context: Context, request: Request) -> Response:
    """The page that the log link of a build leads to."""
    file = codebuild.log_file(context, request.path_params["id"])
    if not file.exists():
        return PlainTextResponse("no such build", 404)
    return PlainTextResponse(file.read_text())


async def _answer(context: Context, s3: s3_proxy.StorageProxy, request: Request) -> Response:
    """Any request. A refusal has the words and the form of the service."""
    service = "s3"
    try:
        if await _is_web_identity(request):
            call = Call(context, None, context.account.aws_region, {})
            return await _dispatch(request, service := "sts", "/", call)
        signature = credentials.signature(request)
        service = signature.service
        path = f"/{request.path_params['path']}"
        caller = credentials.caller(context, signature.key)
        if service == "s3":
            return await s3.answer(request, path, caller)
        return await _dispatch(request, service, path, Call(context, caller, signature.region, {}))
    except Refusal as refused:
        return errors.response(refused, service)


async def _is_web_identity(request: Request) -> bool:
    """Whether this is the one request without a signature."""
    if request.method != "POST" or "authorization" in request.headers:
        return False
    kind = request.headers.get("content-type", "")
    if not kind.startswith("application/x-www-form-urlencoded"):
        return False
    return dict(parse_qsl((await request.body()).decode())).get("Action") == sts.WEB_IDENTITY


async def _dispatch(request: Request, service: str, path: str, call: Call) -> Response:
    """The answer of the operation that a request is for: by its header, its form or its address.

    What is not rehearsed is still refused in AWS's words to a caller who may not do it.
    """
    if target := request.headers.get("x-amz-target"):
        called = replace(call, body=await request.json())
        operation = TARGETS.get(target)
        if operation is None:
            authorization.require(call, service, target.rpartition(".")[2], called.body)
            raise Refusal("NotRehearsed", f"the rehearsal does not answer {target}")
        answer = await anyio.to_thread.run_sync(operation, called)
        return JSONResponse(answer, media_type="application/x-amz-json-1.1")
    if service in query_protocol.NAMESPACES:
        form = dict(parse_qsl((await request.body()).decode()))
        action = form.get("Action", "")
        query = QUERIES.get(f"{service}:{action}")
        if query is None:
            authorization.require(call, service, action, authorization.form_parameters(form))
            raise Refusal("NotRehearsed", f"the rehearsal does not answer {service}:{action}")
        result = await anyio.to_thread.run_sync(query, replace(call, body=form))
        text = query_protocol.response(service, action, result)
        return Response(text, media_type="text/xml")
    for pattern, invoke in PATHS:
        if found := re.fullmatch(pattern, path):
            return await invoke(call, request, unquote(found[1]))
    body = await request.json() if await request.body() else {}
    parameters = {**request.query_params, **body}
    if named := authorization.operation_at(service, request.method, path):
        authorization.require(call, service, named[0], parameters | named[1])
    raise Refusal(
        "NotRehearsed", f"the rehearsal does not answer {request.method} {path} of {service}"
    )
