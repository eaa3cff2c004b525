"""The model endpoint, called with each cloud's own client.

The three functions differ in the client and in the form of a failure. `_with_retries` decides once what
follows from a failure.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

from gateway.core import EndpointUnavailable, ModelRefused
from gateway.settings import Settings

CONNECT_SECONDS = 2
READ_SECONDS = 20
"""A serverless endpoint with no running instance may take this long."""
ATTEMPTS = 3
PAUSE_SECONDS = 0.2
"""Doubles with each attempt."""
LAST_RETRY_SECONDS = 5
"""No retry starts later. With the two limits above the endpoint has answered, or has not, within 27 s: before
`ANSWER_SECONDS` of `gateway.service`, which a capture that is written before the answer shares."""

Invoke = Callable[[bytes], bytes]


class Transient(Exception):
    """A failure after which a retry may succeed."""


def client(settings: Settings) -> Callable[[list[dict[str, Any]]], object]:
    """A function that returns the model's answer for instances. Several threads may call it."""
    kind, target = settings.endpoint
    match kind:
        case "SAGEMAKER_ENDPOINT":
            invoke = sagemaker(target, settings)
        case "VERTEX_PREDICT_URL":
            invoke = vertex(target, settings)
        case _:
            invoke = azure_ml(target, settings)

    def predict(instances: list[dict[str, Any]]) -> object:
        answer = _with_retries(invoke, json.dumps({"instances": instances}).encode())
        try:
            return json.loads(answer)
        except ValueError as error:
            raise EndpointUnavailable("the answer is not JSON") from error

    return predict


def _with_retries(invoke: Invoke, body: bytes) -> bytes:
    started = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return invoke(body)
        except Transient as error:
            pause = random.uniform(0.5, 1) * PAUSE_SECONDS * 2**attempt  # noqa: S311 - only spreads retries
            late = time.monotonic() + pause - started > LAST_RETRY_SECONDS
            if attempt == ATTEMPTS or late:
                raise EndpointUnavailable(f"{error} (attempt {attempt})") from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _error_for(status: int, detail: str) -> Exception:
    """The error for a failed status: a refusal by the model, a temporary failure, or a permanent one."""
    if status in (400, 413, 415, 422):
        return ModelRefused(f"{status}: {detail}")
    if status in (408, 429) or status >= 500:
        return Transient(f"{status}: {detail}")
    return EndpointUnavailable(f"{status}: {detail}")


def sagemaker(name: str, settings: Settings) -> Invoke:
    """Call a SageMaker endpoint (InvokeEndpoint)."""
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

    def failure(response: Any) -> Exception:
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
        code = str(response["Error"].get("Code"))
        if code == "ModelError":
            return _error_for(int(response.get("OriginalStatusCode", 500)), "ModelError")
        status = int(response["ResponseMetadata"]["HTTPStatusCode"])
        if status in (408, 429) or status >= 500 or "Throttling" in code:
            return Transient(f"{status}: {code}")
        # This includes a missing endpoint, for which SageMaker returns a ValidationError with the status 400.
        return EndpointUnavailable(f"{status}: {code}")

    def invoke(body: bytes) -> bytes:
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

    return invoke


def vertex(url: str, settings: Settings) -> Invoke:
    """Call a Vertex AI endpoint (rawPredict: it returns the container's own answer)."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    _pool(session, settings.max_concurrency)

    def invoke(body: bytes) -> bytes:
        try:
            return _post(session, url, body, {})
        except GoogleAuthError as error:
            raise Transient(f"token: {type(error).__name__}") from error

    return invoke


def azure_ml(url: str, settings: Settings) -> Invoke:
    """Call an Azure ML online endpoint, with a token of the app's managed identity."""
    import requests
    from azure.core.exceptions import AzureError
    from azure.identity import ManagedIdentityCredential

    # Retries are made here: the credential's own ten retries take longer than a caller waits.
    client_id = settings.azure_client_id or None
    credential = ManagedIdentityCredential(client_id=client_id, retry_total=1)
    session = requests.Session()
    _pool(session, settings.max_concurrency)

    def invoke(body: bytes) -> bytes:
        try:
            # The credential caches the token until shortly before it expires.
            token = credential.get_token("https://ml.azure.com/.default").token
        except AzureError as error:
            raise Transient(f"token: {type(error).__name__}") from error
        return _post(session, url, body, {"authorization": f"Bearer {token}"})

    return invoke


def _pool(session: Any, connections: int) -> None:
    from requests.adapters import HTTPAdapter

    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)


def _post(session: Any, url: str, body: bytes, headers: dict[str, str]) -> bytes:
    import requests

    try:
        answer = session.post(
            url,
            data=body,
            headers={"content-type": "application/json", **headers},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
        )
    except requests.ReadTimeout as error:
        raise EndpointUnavailable("no answer in time") from error
    except requests.RequestException as error:
        raise Transient(type(error).__name__) from error
    if answer.status_code == 200:
        return bytes(answer.content)
    # Azure ML returns 424 when the model's container failed, with the container's status in a header
    # (https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints).
    status = int(answer.headers.get("ms-azureml-model-error-statuscode") or answer.status_code)
    raise _error_for(status, answer.reason or "")
