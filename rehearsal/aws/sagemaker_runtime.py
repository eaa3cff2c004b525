"""SageMaker Runtime: a request to an endpoint, forwarded to its container.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.aws import sagemaker
from rehearsal.aws.calls import Call
from rehearsal.core.records import Json


async def invoke_endpoint(call: Call, request: Request, name: str) -> Response:
    """The container's answer; status 424 when that is an error."""
    endpoint = sagemaker.called_endpoint(call, "sagemaker:InvokeEndpoint", name)
    key = sagemaker.container_key(endpoint.id)
    answer = await call.context.containers.forward(key, request, "/invocations")
    if answer.status_code < 400:
        return answer
    text = bytes(answer.body).decode(errors="replace")
    error = _model_error(answer.status_code, text)
    return JSONResponse(error, 424, {"x-amzn-errortype": "ModelError"})


def _model_error(status: int, text: str) -> Json:
    side = "client" if status < 500 else "server"
    return {
        "OriginalStatusCode": status,
        "OriginalMessage": text,
        "Message": f"Received {side} error ({status}) from primary with message {json.dumps(text)}.",
    }
