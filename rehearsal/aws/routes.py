"""The addresses below ``/aws`` at which AWS's own clients find the services.

All services share one address. The signature of a request names the service that it is for, and is verified.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from urllib.parse import unquote

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
from rehearsal.core.request_bodies import (
    BodyTooLarge,
    InvalidBody,
    Members,
    MissingMember,
    form,
    json_object,
    limited,
    stored,
)
from rehearsal.provider.context import Context
from rehearsal.runtime import sigv4

METHODS = ["DELETE", "GET", "HEAD", "POST", "PUT"]
BODY_BYTES = 6 * 2**20
"""Lambda's limit, which SageMaker's endpoints have as well. That the other services have it is believed.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""
OBJECT_BYTES = 5 * 2**30
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html"""
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
PATHS: tuple[tuple[str, str, Callable[[Call, Request, str], Awaitable[Response]]], ...] = (
    ("sagemaker", r"/endpoints/([^/]+)/invocations", sagemaker_runtime.invoke_endpoint),
    ("lambda", r"/2015-03-31/functions/([^/]+)/invocations", lambda_functions.invoke),
    ("lambda", r"/2016-08-19/(account-settings)/?", account_settings.get_account_settings),
    ("account", r"/(listRegions)", account_settings.list_regions),
)
"""The operations that are known by their address, and are given the name in it."""
SERVICES = {
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AnyScaleFrontendService": "application-autoscaling",
    "CodeBuild_20161006": "codebuild",
    "ResourceGroupsTaggingAPI_20170126": "tagging",
    "ServiceQuotasV20190624": "servicequotas",
    "SageMaker": "sagemaker",
    "secretsmanager": "secretsmanager",
}
"""The services of the JSON protocol, by the first part of the ``x-amz-target`` header."""
SCOPE = re.compile(r"[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")
"""The service that a signature is for: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html"""


def routes(context: Context) -> list[BaseRoute]:
    """Everything below ``/aws``. Opens the endpoints of before a restart again."""
    credentials.renew_stored(context)
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
    path = f"/{request.path_params['path']}"
    sent = sigv4.SignedRequest.of(request.scope, b"")
    service, family = _service(sent, path)
    request = limited(request, OBJECT_BYTES if service == "s3" else BODY_BYTES)
    try:
        if service != "s3":
            sent = replace(sent, body=await request.body())
        if service == "sts" and family is sigv4.QUERY and _is_web_identity(sent):
            call = Call(context, None, context.account.aws_region, {})
            return await _dispatch(request, sent, service, path, call)
        signed = sigv4.signature(sent, family)
        key, caller = credentials.caller(context, signed.key, family)
        if service == "s3":  # whoever has no key stores nothing
            sent = replace(sent, body=await stored(request))
            verified = partial(sigv4.verified, sent, signed, key, family, service)
            return await s3.answer(await anyio.to_thread.run_sync(verified), path, caller)
        sent = sigv4.verified(sent, signed, key, family, service)
        call = Call(context, caller, signed.region, {})
        return await _dispatch(request, sent, service, path, call)
    except Refusal as refused:
        return errors.response(refused, service)
    except InvalidBody as wrong:
        # https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html has the form; the code is believed.
        return errors.response(Refusal("SerializationException", str(wrong)), service)
    except BodyTooLarge:
        return errors.response(_too_large(service), service)


def _too_large(service: str) -> Refusal:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html

    Lambda's code, as a client has met it: https://github.com/apex/up/issues/722. That of the others is believed.
    """
    if service == "s3":
        text = "Your proposed upload exceeds the maximum allowed object size"
        return Refusal("EntityTooLarge", text)
    text = f"Request must be smaller than {BODY_BYTES} bytes"
    return Refusal("RequestEntityTooLargeException", text)


def _service(sent: sigv4.SignedRequest, path: str) -> tuple[str, sigv4.Family]:
    """The service that a request is for, and its family.

    Its header or its address says so. The signature's own word is taken where only that tells: between S3, whose
    objects may have any address, and the others; between IAM and STS.
    """
    scope = f"{sent.header('authorization')} {sent.parameters.get('X-Amz-Credential', '')}"
    named = found[1] if (found := SCOPE.search(scope)) else ""
    if target := sent.header("x-amz-target"):
        return SERVICES.get(target.partition(".")[0], named), sigv4.JSON
    if named == "s3":
        return named, sigv4.S3
    for service, pattern, _ in PATHS:
        if re.fullmatch(pattern, path):
            return service, sigv4.REST_JSON
    if named in query_protocol.NAMESPACES or _is_form(sent):
        return named or "sts", sigv4.QUERY
    return named or "s3", sigv4.REST_JSON if named else sigv4.S3


def _is_form(sent: sigv4.SignedRequest) -> bool:
    kind = sent.header("content-type")
    return sent.method == "POST" and kind.startswith("application/x-www-form-urlencoded")


def _is_web_identity(sent: sigv4.SignedRequest) -> bool:
    """Whether this is the one request of STS that needs no signature."""
    return _form(sent).get("Action") == sts.WEB_IDENTITY


def _form(sent: sigv4.SignedRequest) -> dict[str, str]:
    """The parameters of the query protocol. A presigned URL has them in its query."""
    return Members(sent.parameters | form(sent.content))


async def _dispatch(
    request: Request, sent: sigv4.SignedRequest, service: str, path: str, call: Call
) -> Response:
    """The answer of the operation that a request is for: by its header, its form or its address.

    What is not rehearsed is still refused in AWS's words to a caller who may not do it.
    """
    if target := sent.header("x-amz-target"):
        called = replace(call, body=json_object(sent.content))
        operation = TARGETS.get(target)
        if operation is None:
            authorization.require(call, service, target.rpartition(".")[2], called.body)
            raise Refusal("NotRehearsed", f"the rehearsal does not answer {target}")
        try:
            answer = await anyio.to_thread.run_sync(operation, called)
        except MissingMember as missing:
            raise Refusal("ValidationException", f"'{missing.name}' must not be null") from None
        return JSONResponse(answer, media_type="application/x-amz-json-1.1")
    if service in query_protocol.NAMESPACES:
        fields = _form(sent)
        action = fields.get("Action", "")
        query = QUERIES.get(f"{service}:{action}")
        if query is None:
            authorization.require(call, service, action, authorization.form_parameters(fields))
            raise Refusal("NotRehearsed", f"the rehearsal does not answer {service}:{action}")
        try:
            result = await anyio.to_thread.run_sync(query, replace(call, body=fields))
        except MissingMember as missing:
            text = (
                f"1 validation error detected: Value null at '{missing.name}': it must not be null"
            )
            raise Refusal("ValidationError", text) from None
        text = query_protocol.response(service, action, result)
        return Response(text, media_type="text/xml")
    for _, pattern, invoke in PATHS:
        if found := re.fullmatch(pattern, path):
            return await invoke(call, request, unquote(found[1]))
    body = json_object(sent.content)
    parameters = {**request.query_params, **body}
    if named := authorization.operation_at(service, request.method, path):
        authorization.require(call, service, named[0], parameters | named[1])
    raise Refusal(
        "NotRehearsed", f"the rehearsal does not answer {request.method} {path} of {service}"
    )
