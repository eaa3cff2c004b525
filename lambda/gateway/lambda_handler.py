"""The gateway as an AWS Lambda function behind a function URL (payload format 2.0)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
from collections.abc import Mapping
from typing import Any

from gateway.extension import AfterAnswerExtension
from gateway.http import Answer, Request
from gateway.logs import log
from gateway.service import Service

LONGEST_RESPONSE = 6_291_556
"""Bytes of a response in JSON: "6 MB" of https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, as Lambda's own
error message has it."""


def _extension() -> AfterAnswerExtension | None:
    try:
        return AfterAnswerExtension(os.environ["AWS_LAMBDA_RUNTIME_API"], service.captures.drain)
    except (KeyError, OSError) as error:
        log("WARNING", "captures are written before each answer", cause=str(error))
        return None


def response(answer: Answer) -> dict[str, Any]:
    """The answer in the form that a function URL takes."""
    is_binary = answer.headers["content-type"] == "application/octet-stream"
    return {
        "statusCode": answer.status,
        "headers": dict(answer.headers),
        "body": base64.b64encode(answer.body).decode() if is_binary else answer.body.decode(),
        "isBase64Encoded": is_binary,
    }


def sendable(answer: Answer) -> bool:
    """Whether Lambda takes the response with this answer."""
    # JSON makes up to six bytes of one.
    if len(answer.body) < LONGEST_RESPONSE // 8:
        return True
    return len(json.dumps(response(answer))) <= LONGEST_RESPONSE


service = Service.start(os.environ, sendable)
# One loop for all invocations of the process, as the clients belong to a loop.
runner = asyncio.Runner()
extension = _extension()


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """One invocation, one request."""
    try:
        answer = runner.run(service.answer(request(event, context.aws_request_id)))
    finally:
        if extension:
            extension.answered()
        else:
            service.captures.drain()
    return response(answer)


def request(event: Mapping[str, Any], request_id: str) -> Request:
    """The HTTP request of a function URL's event
    (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html)."""
    text = event.get("body") or ""
    try:
        body = (
            base64.b64decode(text)
            if event.get("isBase64Encoded")
            else text.encode("utf-8", "surrogatepass")
        )
    except binascii.Error:
        body = b""
    return Request(
        method=event["requestContext"]["http"]["method"],
        path=event["rawPath"],
        headers=event["headers"],
        body=body,
        id=request_id,
    )
