"""AWS's endpoints below ``/aws``: who asks for which service is in the request's own signature.

The signature names the access key, the region and the service; that is looked at, and the signature
itself is not verified. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import http.client
import re
import uuid
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rehearsal.aws import (
    codebuild,
    ecr,
    iam,
    iam_lists,
    lambda_functions,
    lambda_urls,
    sagemaker,
    secretsmanager,
    tagging,
)
from rehearsal.aws.calls import Call, Operation
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context

SCOPE = re.compile(r"Credential=([^/,]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
TARGETS: dict[str, dict[str, Operation]] = {
    "ResourceGroupsTaggingAPI_20170126": {"GetResources": tagging.get_resources},
    "AmazonEC2ContainerRegistry_V20150921": ecr.OPERATIONS,
    "CodeBuild_20161006": codebuild.OPERATIONS,
    "SageMaker": sagemaker.OPERATIONS,
    "secretsmanager": secretsmanager.OPERATIONS,
}
STATUS = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "MissingAuthenticationToken": 403,
    "NoSuchEntity": 404,
    "NotRehearsed": 501,
    "ResourceNotFoundException": 404,
    "TooManyRequestsException": 429,
    "UnrecognizedClientException": 403,
}
OBJECT_ACTIONS = {
    "DELETE": "s3:DeleteObject",
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "POST": "s3:PutObject",
    "PUT": "s3:PutObject",
}
HOP = frozenset({"connection", "host", "keep-alive", "transfer-encoding", "content-length"})
METHODS = ["DELETE", "GET", "HEAD", "POST", "PUT"]
IDENTITY = """\
<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>\
<Arn>{arn}</Arn><UserId>{user}</UserId><Account>{account}</Account></GetCallerIdentityResult>\
<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""
STS_ERROR = """\
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>\
<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"""
S3_ERROR = "<Error><Code>{code}</Code><Message>{message}</Message></Error>"


class Signed(NamedTuple):
    """What a request's signature says."""

    key: str
    region: str
    service: str


def routes(context: Context) -> list[Route]:
    """Everything below ``/aws``; the doors of function URLs are opened again, on their old ports."""
    for record in context.all(lambda_urls.URL):
        lambda_urls.open_door(context, record)
    aws = Aws(context)
    return [
        Route("/_logs/codebuild/{id:path}", aws.build_log),
        Route("/{path:path}", aws.answer, methods=METHODS),
    ]


class Aws:
    """The front of all services."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def build_log(self, request: Request) -> Response:
        """Where a build's log link leads."""
        file = codebuild.log_file(self.context, request.path_params["id"])
        if not file.exists():
            return PlainTextResponse("no such build", 404)
        return PlainTextResponse(file.read_text())

    async def answer(self, request: Request) -> Response:
        """Any request, refused in the words and the form of the service that it is for."""
        service = "s3"
        try:
            signed = _signed(request)
            service = signed.service
            caller = iam.caller(self.context, signed.key)
            return await self._dispatch(request, signed, caller)
        except Refusal as refused:
            return _refused(refused, service)

    async def _dispatch(self, request: Request, signed: Signed, caller: Record | None) -> Response:
        path = f"/{request.path_params['path']}"
        if signed.service == "s3":
            return await self._s3(request, path, caller)
        if target := request.headers.get("x-amz-target"):
            return await self._operation(request, target, signed, caller)
        call = Call(self.context, caller, signed.region, {})
        if signed.service == "sts":
            return await self._sts(request, caller)
        if signed.service == "iam":
            form = dict(parse_qsl((await request.body()).decode()))
            asked = Call(self.context, caller, signed.region, form)
            text = await anyio.to_thread.run_sync(iam_lists.answer, asked)
            return Response(text, media_type="text/xml")
        if found := re.fullmatch(r"/endpoints/([^/]+)/invocations", path):
            return await self._invoke_endpoint(request, call, unquote(found[1]))
        if found := re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations", path):
            return await lambda_functions.invoke(call, request, unquote(found[1]))
        raise Refusal(
            "NotRehearsed",
            f"the rehearsal does not answer {request.method} {path} of {signed.service}",
        )

    async def _operation(
        self, request: Request, target: str, signed: Signed, caller: Record | None
    ) -> Response:
        prefix, _, name = target.rpartition(".")
        operation = TARGETS.get(prefix, {}).get(name)
        if operation is None:
            raise Refusal("NotRehearsed", f"the rehearsal does not answer {target}")
        body: Json = await request.json()
        call = Call(self.context, caller, signed.region, body)
        answer = await anyio.to_thread.run_sync(operation, call)
        return JSONResponse(answer, media_type="application/x-amz-json-1.1")

    async def _invoke_endpoint(self, request: Request, call: Call, name: str) -> Response:
        endpoint = sagemaker.find_endpoint(call, "sagemaker:InvokeEndpoint", name)
        workload = sagemaker.key(endpoint.id)
        answer = await self.context.containers.forward(workload, request, "/invocations")
        if answer.status_code >= 400:
            text = bytes(answer.body).decode(errors="replace")
            return JSONResponse(
                sagemaker.model_error(answer.status_code, text),
                424,
                {"x-amzn-errortype": "ModelError"},
            )
        return answer

    async def _sts(self, request: Request, caller: Record | None) -> Response:
        action = parse_qs((await request.body()).decode()).get("Action", [""])[0]
        if action != "GetCallerIdentity":
            raise Refusal("NotRehearsed", f"the rehearsal does not answer sts:{action}")
        account = self.context.account.aws_account
        if caller:
            arn = f"arn:aws:sts::{account}:assumed-role/{caller.id}/rehearsal"
            user = f"{caller.outputs['uniqueId']}:rehearsal"
        else:
            arn, user = f"arn:aws:iam::{account}:user/rehearsal", "AIDAREHEARSAL00000001"
        text = IDENTITY.format(arn=arn, user=user, account=account, request=uuid.uuid4())
        return Response(text, media_type="text/xml")

    async def _s3(self, request: Request, path: str, caller: Record | None) -> Response:
        """To the emulator, which knows nothing of permissions, once the role's are looked at."""
        bucket, _, object_key = path.removeprefix("/").partition("/")
        bucket_arn = f"arn:aws:s3:::{bucket}"
        if not object_key and request.method == "GET":
            prefix = {"s3:prefix": request.query_params.get("prefix", "")}
            iam.authorize(self.context, caller, "s3:ListBucket", bucket_arn, **prefix)
        elif object_key and "x-amz-copy-source" not in request.headers:
            action = OBJECT_ACTIONS[request.method]
            iam.authorize(self.context, caller, action, f"{bucket_arn}/{object_key}")
        elif caller:
            what = f"{request.method} {path}"
            raise Refusal("NotRehearsed", f"a workload's {what} of S3 is not rehearsed")
        return await anyio.to_thread.run_sync(
            self._emulator, request.method, request.url, dict(request.headers), await request.body()
        )

    def _emulator(self, method: str, url: object, headers: dict[str, str], body: bytes) -> Response:
        asked = urlsplit(str(url))
        path = asked.path.removeprefix("/aws") + (f"?{asked.query}" if asked.query else "")
        connection = http.client.HTTPConnection(
            urlsplit(self.context.object_stores.s3()).netloc, timeout=60
        )
        try:
            kept = {name: value for name, value in headers.items() if name not in HOP}
            connection.request(method, path, body, kept)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        response = Response(content, answer.status)
        response.raw_headers = [
            (name.lower().encode(), value.encode())
            for name, value in answer.getheaders()
            if name.lower() not in HOP or (method == "HEAD" and name.lower() == "content-length")
        ]
        if method != "HEAD":
            response.raw_headers.append((b"content-length", str(len(content)).encode()))
        return response


def _signed(request: Request) -> Signed:
    found = SCOPE.search(request.headers.get("authorization", "")) or SCOPE.search(
        f"Credential={request.query_params.get('X-Amz-Credential', '')}"
    )
    if not found:
        raise Refusal("MissingAuthenticationToken", "Request is missing Authentication Token")
    return Signed(*found.groups())


def _refused(refused: Refusal, service: str) -> Response:
    status = STATUS.get(refused.code, 400)
    code, message = refused.code, refused.message
    if service == "s3":
        code = "AccessDenied" if code == "AccessDeniedException" else code
        text = S3_ERROR.format(code=code, message=escape(message))
        return Response(text, status, media_type="application/xml")
    if service in ("sts", "iam"):
        form = STS_ERROR if service == "sts" else iam_lists.ERROR
        # These two leave out the end of what the others call it.
        code = code.removesuffix("Exception") if code == "AccessDeniedException" else code
        text = form.format(code=code, message=escape(message))
        return Response(text, status, media_type="text/xml")
    return JSONResponse(
        {"__type": code, "message": message, "Message": message},
        status,
        {"x-amzn-errortype": code},
        "application/x-amz-json-1.1",
    )
