"""The model endpoint, asked by each cloud's own means.

The three siblings differ in the client and in how a failure looks; what follows from a failure is
decided once, in `_retrying`.
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
"""A serverless endpoint that starts from nothing takes this long."""
ATTEMPTS = 3
PAUSE_SECONDS = 0.2
"""Doubled at each attempt."""
LAST_RETRY_SECONDS = 5
"""No retry starts later: with the two above, an answer comes within 30 s, the time a Lambda function
or an impatient caller gives."""

Ask = Callable[[bytes], bytes]


class Transient(Exception):
    """It may work the next time."""


def client(settings: Settings) -> Callable[[list[dict[str, Any]]], object]:
    """A function that gets the model's answer for instances; safe to call from several threads."""
    kind, target = settings.endpoint
    match kind:
        case "SAGEMAKER_ENDPOINT":
            ask = sagemaker(target, settings)
        case "VERTEX_PREDICT_URL":
            ask = vertex(target, settings)
        case _:
            ask = azure_ml(target, settings)

    def predict(instances: list[dict[str, Any]]) -> object:
        answer = _retrying(ask, json.dumps({"instances": instances}).encode())
        try:
            return json.loads(answer)
        except ValueError as error:
            raise EndpointUnavailable("the answer is not JSON") from error

    return predict


def _retrying(ask: Ask, body: bytes) -> bytes:
    started = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return ask(body)
        except Transient as error:
            pause = random.uniform(0.5, 1) * PAUSE_SECONDS * 2**attempt  # noqa: S311 - only spreads retries
            late = time.monotonic() + pause - started > LAST_RETRY_SECONDS
            if attempt == ATTEMPTS or late:
                raise EndpointUnavailable(f"{error} (attempt {attempt})") from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _judge(status: int, detail: str) -> Exception:
    """What a failed status means: the model's own refusal, a passing trouble, or a lasting one."""
    if status in (400, 413, 415, 422):
        return ModelRefused(f"{status}: {detail}")
    if status in (408, 429) or status >= 500:
        return Transient(f"{status}: {detail}")
    return EndpointUnavailable(f"{status}: {detail}")


def sagemaker(name: str, settings: Settings) -> Ask:
    """Ask a SageMaker endpoint (InvokeEndpoint)."""
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
            return _judge(int(response.get("OriginalStatusCode", 500)), "ModelError")
        status = int(response["ResponseMetadata"]["HTTPStatusCode"])
        if status in (408, 429) or status >= 500 or "Throttling" in code:
            return Transient(f"{status}: {code}")
        # Also a missing endpoint, which SageMaker calls a ValidationError with the status 400.
        return EndpointUnavailable(f"{status}: {code}")

    def ask(body: bytes) -> bytes:
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

    return ask


def vertex(url: str, settings: Settings) -> Ask:
    """Ask a Vertex AI endpoint (rawPredict: the container's own answer comes through)."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    _pool(session, settings.max_concurrency)

    def ask(body: bytes) -> bytes:
        try:
            return _post(session, url, body, {})
        except GoogleAuthError as error:
            raise Transient(f"token: {type(error).__name__}") from error

    return ask


def azure_ml(url: str, settings: Settings) -> Ask:
    """Ask an Azure ML online endpoint, with the token of the app's managed identity."""
    import requests
    from azure.core.exceptions import AzureError
    from azure.identity import ManagedIdentityCredential

    # Retried here; its own ten retries alone would take longer than a caller waits.
    client_id = settings.azure_client_id or None
    credential = ManagedIdentityCredential(client_id=client_id, retry_total=1)
    session = requests.Session()
    _pool(session, settings.max_concurrency)

    def ask(body: bytes) -> bytes:
        try:
            # Kept in memory by the credential until shortly before it expires.
            token = credential.get_token("https://ml.azure.com/.default").token
        except AzureError as error:
            raise Transient(f"token: {type(error).__name__}") from error
        return _post(session, url, body, {"authorization": f"Bearer {token}"})

    return ask


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
    # Azure ML says 424 when the model's container failed, and the container's status in a header
    # (https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints).
    status = int(answer.headers.get("ms-azureml-model-error-statuscode") or answer.status_code)
    raise _judge(status, answer.reason or "")
