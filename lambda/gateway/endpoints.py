"""The model endpoints, called with each cloud's own client.

The three functions differ in the client and in the form of a failure. `_with_retries` decides once what
follows from a failure.
"""

from __future__ import annotations

import asyncio
import calendar
import json
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gateway.http import Refusal
from gateway.http_client import HttpClient, NoAnswer, NoConnection
from gateway.predictor import EndpointUnavailable, ModelRefused
from gateway.settings import Settings
from gateway.tokens import Token, Tokens

CONNECT_SECONDS = 2
READ_SECONDS = 20
"""A serverless endpoint with no running instance may take this long."""
ATTEMPTS = 3
PAUSE_SECONDS = 0.2
"""Doubles with each attempt."""
LAST_RETRY_SECONDS = 5
"""No retry starts later. With the two limits above the endpoint has answered, or has not, within 27 s: before
`ANSWER_SECONDS` of `gateway.service`, which a capture that is written before the answer shares."""
LARGEST_REQUEST = {"sagemaker": 4_000_000, "vertex": 1_500_000, "azureml": 1_500_000}
"""Bytes. Of SageMaker it is the limit of serverless endpoints, as the gateway does not know which kind it calls.
https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html
https://cloud.google.com/vertex-ai/docs/predictions/get-online-predictions
https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas"""
MAX_REASON = 300
"""Characters of the model server's own reason that a caller gets."""

SEND_FEWER = "Send fewer instances at a time."

Invoke = Callable[[str, bytes], Awaitable[bytes]]
"""Sends a body to a target and returns the answer. Raises `Transient`, `EndpointUnavailable`, `ModelRefused`."""


class Transient(Exception):
    """A failure after which a retry may succeed."""


def client(settings: Settings) -> Callable[[str, bytes], Awaitable[object]]:
    """A function that returns a model's answer to a body."""
    match settings.endpoint_kind:
        case "sagemaker":
            invoke = sagemaker(settings)
        case "vertex":
            invoke = vertex()
        case _:
            invoke = azure_ml(settings)
    targets = {name: model.target for name, model in settings.models.items()}
    most = LARGEST_REQUEST[settings.endpoint_kind]

    async def ask(model: str, body: bytes) -> object:
        if len(body) > most:
            message = f"The request to the model's endpoint may have {most} bytes, and has {len(body)}. {SEND_FEWER}"
            raise Refusal(413, "too_large", message)
        answer = await _with_retries(invoke, targets[model], body)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise EndpointUnavailable("the answer is not JSON") from error

    return ask


async def _with_retries(invoke: Invoke, target: str, body: bytes) -> bytes:
    started = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await invoke(target, body)
        except Transient as error:
            pause = random.uniform(0.5, 1) * PAUSE_SECONDS * 2**attempt  # noqa: S311 - only spreads retries
            late = time.monotonic() + pause - started > LAST_RETRY_SECONDS
            if attempt == ATTEMPTS or late:
                raise EndpointUnavailable(f"{error} (attempt {attempt})") from error
            await asyncio.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _error_for(status: int, detail: str, content: bytes | str = b"") -> Exception:
    """The error for a failed status: a refusal by the model, a temporary failure, or a permanent one."""
    if status == 413:
        message = f"The request is too large for the model's endpoint. {SEND_FEWER}"
        return Refusal(413, "too_large", message, cause=f"413: {detail}")
    if status in (400, 415, 422):
        return ModelRefused(f"{status}: {detail}", *_reason(content))
    if status in (408, 429) or status >= 500:
        return Transient(f"{status}: {detail}")
    return EndpointUnavailable(f"{status}: {detail}")


def _reason(content: bytes | str) -> tuple[str, str]:
    """The model server's reason and version, if it is the model server that refused, and not a front end."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return "", ""
    match found:
        case {"error": str(reason), "model_version": str(version)}:
            return reason[:MAX_REASON], version
    return "", ""


def sagemaker(settings: Settings) -> Invoke:
    """Call a SageMaker endpoint (InvokeEndpoint). The target is the endpoint's name."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

    limits = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1},
        max_pool_connections=settings.max_concurrency,
    )
    runtime = boto3.client("sagemaker-runtime", config=limits)
    threads = ThreadPoolExecutor(settings.max_concurrency, "predict")

    def failure(response: Any) -> Exception:
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
        code = str(response["Error"].get("Code"))
        if code == "ModelError":
            status = int(response.get("OriginalStatusCode", 500))
            return _error_for(status, "ModelError", str(response.get("OriginalMessage")))
        status = int(response["ResponseMetadata"]["HTTPStatusCode"])
        if status in (408, 429) or status >= 500 or "Throttling" in code:
            return Transient(f"{status}: {code}")
        # This includes a missing endpoint, for which SageMaker returns a ValidationError with the status 400.
        return EndpointUnavailable(f"{status}: {code}")

    def call(name: str, body: bytes) -> bytes:
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=name, ContentType="application/json", Body=body
            )
            return bytes(answer["Body"].read())
        except ClientError as error:
            raise failure(error.response) from error
        except ReadTimeoutError as error:
            raise EndpointUnavailable("no answer in time") from error
        except BotoCoreError as error:
            raise Transient(type(error).__name__) from error

    async def invoke(name: str, body: bytes) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(threads, call, name, body)

    return invoke


def vertex() -> Invoke:
    """Call a Vertex AI endpoint (rawPredict: it returns the container's own answer)."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])

    def fetch() -> Token:
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
        # Without a zone, and in UTC; a token that names no end is fetched again after an hour.
        expiry = credentials.expiry
        expires = calendar.timegm(expiry.utctimetuple()) if expiry else time.time() + 3600
        return Token(str(credentials.token), expires)

    return _over_http(Tokens(fetch), GoogleAuthError)


def azure_ml(settings: Settings) -> Invoke:
    """Call an Azure ML online endpoint, with a token of the app's managed identity."""
    from azure.core.exceptions import AzureError
    from azure.identity import ManagedIdentityCredential

    # Retries are made here: the credential's own ten retries take longer than a caller waits.
    client_id = settings.azure_client_id or None
    credential = ManagedIdentityCredential(client_id=client_id, retry_total=1)

    def fetch() -> Token:
        found = credential.get_token("https://ml.azure.com/.default")
        return Token(found.token, found.expires_on)

    return _over_http(Tokens(fetch), AzureError)


def _over_http(tokens: Tokens, no_token: type[Exception]) -> Invoke:
    """Post to a URL with a token."""
    http = HttpClient(CONNECT_SECONDS, READ_SECONDS)

    async def invoke(url: str, body: bytes) -> bytes:
        try:
            async with asyncio.timeout(READ_SECONDS):
                token = await tokens.get()
        except (no_token, TimeoutError) as error:
            raise Transient(f"token: {type(error).__name__}") from error
        try:
            answer = await http.post(url, body, {"authorization": f"Bearer {token}"})
        except NoAnswer as error:
            raise EndpointUnavailable("no answer in time") from error
        except NoConnection as error:
            raise Transient(f"no connection: {error}") from error
        if answer.status == 200:
            return answer.body
        if answer.status == 401:
            tokens.forget()
            raise Transient("401: the token is not accepted")
        # Azure ML returns 424 when the model's container failed, with the container's status in a header
        # (https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints).
        status = int(answer.headers.get("ms-azureml-model-error-statuscode") or answer.status)
        raise _error_for(status, _status_name(status), answer.body)

    return invoke


def _status_name(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
