"""Lambda's function URLs: each is an endpoint on loopback, and a request to it is an invocation."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from rehearsal.aws.lambda_functions import (
    FUNCTION,
    GUIDE,
    LATEST,
    PERMISSION,
    aliases,
    instance_key,
    policy_is_being_written,
)
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType
from rehearsal.runtime.functions.pool import TooManyRequests
from rehearsal.runtime.functions.sandbox import FunctionError

URL = "aws:lambda/functionUrl:FunctionUrl"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
PAYLOAD_BYTES = 6 * 2**20
RESPONSE_BYTES = 6_291_556
"""Of the whole response in JSON, as Lambda's error message (Function.ResponseSizeTooLarge) has it."""
TEXT = ("text/", "application/json", "application/javascript", "application/xml")
# So long the provider takes from CreateFunctionUrlConfig to its own AddPermission.
CREATE_SECONDS = 0.1
FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see:"
    " https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


class FunctionUrl(ResourceType):
    """A public address of a function, or of one of its aliases."""

    token = URL
    source = f"{GUIDE}/urls-configuration.html"
    executes = "an endpoint on loopback that invokes the function with payload format 2.0"
    references: ClassVar = {"functionName": FUNCTION}
    replace_on = frozenset({"functionName", "qualifier"})

    def check(self, context: Context, inputs: Inputs) -> None:
        if inputs.get("authorizationType") == "AWS_IAM":
            raise CheckFailure("authorizationType", "the rehearsal opens URLs of type NONE only")

    def create(self, context: Context, record: Record) -> None:
        function = context.find_referenced(FUNCTION, record.inputs["functionName"])
        name = function.id if function else record.inputs["functionName"]
        qualifier = record.inputs.get("qualifier")
        if qualifier and not any(a.inputs["name"] == qualifier for a in aliases(context, name)):
            raise Refusal(
                "ResourceNotFoundException",
                f"Function not found: {name}:{qualifier}: a URL is for an alias or for $LATEST",
            )
        record.id = f"{name}/{qualifier}" if qualifier else name
        _add_own_statements(context, name)
        record.outputs |= {
            "functionUrl": f"{open_endpoint(context, record)}/",
            "functionArn": function.outputs["arn"] if function else "",
            "urlId": hashlib.sha256(record.id.encode()).hexdigest()[:32],
        }

    def delete(self, context: Context, record: Record) -> None:
        context.endpoints.close(f"lambda-url/{record.id}")


def _add_own_statements(context: Context, function: str) -> None:
    """The provider gives a URL of type NONE both permissions itself, and does not repeat a call that is refused.

    It adds them to the function, without the alias that the URL may be for.
    https://github.com/hashicorp/terraform-provider-aws/pull/44858
    https://github.com/anomalyco/sst/issues/6923 (the refusal, under Pulumi's provider)
    """
    time.sleep(CREATE_SECONDS)
    if policy_is_being_written(context, function):
        raise Refusal(
            "ResourceConflictException",
            f"adding Lambda Function URL ({function}) permission: The function could not be updated due to a"
            " concurrent update operation.",
        )


def open_endpoint(context: Context, record: Record) -> str:
    """Open a function URL's endpoint; its address."""
    name, _, qualifier = record.id.partition("/")
    return context.endpoints.open(
        f"lambda-url/{record.id}", UrlHandler(context, name, qualifier or LATEST)
    )


def reopen(context: Context) -> None:
    """Open the endpoints of all function URLs again, after a restart of the rehearsal."""
    for record in context.all(URL):
        open_endpoint(context, record)


class UrlHandler:
    """What answers at a function URL. https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html"""

    def __init__(self, context: Context, function: str, qualifier: str) -> None:
        self.context = context
        self.function = function
        self.qualifier = qualifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """One request, one invocation."""
        if not self._is_public():
            return JSONResponse({"Message": FORBIDDEN}, 403)
        body = await request.body()
        if len(body) > PAYLOAD_BYTES:
            return JSONResponse({"Message": "Request Entity Too Large"}, 413)
        try:
            result = await self.context.functions.invoke(
                instance_key(self.function, self.qualifier), event(request, body)
            )
        except TooManyRequests:
            return JSONResponse(
                {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User"}, 429
            )
        except FunctionError:
            return JSONResponse({"Message": "Internal Server Error"}, 502)
        if len(json.dumps(result)) > RESPONSE_BYTES:
            return JSONResponse({"Message": "Internal Server Error"}, 502)
        return _response(result)

    def _is_public(self) -> bool:
        """Whether everybody has both permissions on what the URL invokes.

        https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
        """
        if self.qualifier == LATEST:  # by the statements that the provider adds
            return True
        granted = {
            (each.inputs["action"], each.inputs.get("functionUrlAuthType"))
            for each in self.context.all(PERMISSION)
            if each.inputs["principal"] == "*"
            and each.inputs["function"].rpartition(":")[2] == self.function
            and each.inputs.get("qualifier", LATEST) == self.qualifier
        }
        return ("lambda:InvokeFunctionUrl", "NONE") in granted and any(
            action == "lambda:InvokeFunction" for action, _ in granted
        )


def event(request: Request, body: bytes) -> Json:
    """A function URL's event, payload format 2.0."""
    now = time.time()
    text = _is_text(request.headers.get("content-type", ""))
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        query[name] = f"{query[name]},{value}" if name in query else value
    event: Json = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.url.path,
        "rawQueryString": request.url.query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "rehearsal",
            "domainName": headers.get("host", ""),
            "domainPrefix": "rehearsal",
            "http": {
                "method": request.method,
                "path": request.url.path,
                "protocol": f"HTTP/{request.scope.get('http_version', '1.1')}",
                "sourceIp": request.client.host if request.client else "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": bool(body) and not text,
    }
    if query:
        event["queryStringParameters"] = query
    if body:
        event["body"] = body.decode(errors="replace") if text else base64.b64encode(body).decode()
    return event


def _response(result: Any) -> Response:
    """Without a status code the whole result is the body, as JSON."""
    if not isinstance(result, dict) or "statusCode" not in result:
        return JSONResponse(result)
    text = result.get("body") or ""
    body = base64.b64decode(text) if result.get("isBase64Encoded") else text
    headers = {"content-type": "application/json", **_lower(result.get("headers") or {})}
    response = Response(body, result["statusCode"], headers)
    for cookie in result.get("cookies") or []:
        response.raw_headers.append((b"set-cookie", cookie.encode()))
    return response


def _lower(headers: Json) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in headers.items()}


def _is_text(content_type: str) -> bool:
    return content_type.startswith(TEXT) or content_type.partition(";")[0].endswith("+json")
