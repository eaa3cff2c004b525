"""Each cloud's own client against an endpoint that answers, throttles, fails or hangs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gateway import endpoints
from gateway.http import Refusal
from gateway.predictor import EndpointUnavailable, ModelRefused
from gateway.settings import Settings

from .fake_cloud import FakeCloud, ReceivedRequest, Reply, fake_cloud

GOOD = Reply(body={"predictions": [{"probability": 0.5, "late": True}], "model_version": "v"})
ERRORS = {
    "sagemaker": lambda status: Reply(
        424 if status < 500 else status,
        {"OriginalStatusCode": status, "Message": "no"},
        {"x-amzn-errortype": "ModelError"},
    ),
    "vertex": lambda status: Reply(status),
    "azureml": lambda status: Reply(
        424, headers={"ms-azureml-model-error-statuscode": str(status)}
    ),
}


@dataclass
class Endpoint:
    """One cloud's client and its fake endpoint, which returns the ``replies`` first, and then good answers."""

    kind: str
    replies: list[Reply] = field(default_factory=list)
    delay: float = 0
    cloud: FakeCloud | None = None
    ask: Callable[[str, bytes], Awaitable[object]] | None = None

    def predict(self, instances: list[dict[str, Any]]) -> object:
        return self.predict_all([instances])[0]

    def predict_all(self, batches: list[list[dict[str, Any]]]) -> list[object]:
        """The answers to requests one after another, by the same client."""

        async def answers() -> list[object]:
            assert self.ask
            bodies = [json.dumps({"instances": each}).encode() for each in batches]
            return [await self.ask("flight-delay", body) for body in bodies]

        return asyncio.run(answers())

    def answer(self, request: ReceivedRequest) -> Reply:
        if "token" in request.path:
            return Reply(
                body={
                    "access_token": "token-1",
                    "token_type": "Bearer",
                    "expires_in": 3600,
                    "expires_on": str(int(time.time()) + 3600),
                    "resource": "x",
                }
            )
        time.sleep(self.delay)
        return self.replies.pop(0) if self.replies else GOOD

    @property
    def calls(self) -> list[ReceivedRequest]:
        assert self.cloud
        return [each for each in self.cloud.requests if "token" not in each.path]


def google_credentials(folder: Path, url: str) -> str:
    """A service account whose tokens come from ``url``."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "p",
        "client_email": "gateway@p.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "token_uri": f"{url}/token",
    }
    file = folder / "credentials.json"
    file.write_text(json.dumps(account))
    return str(file)


@pytest.fixture(params=["sagemaker", "vertex", "azureml"])
def endpoint(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Endpoint]:
    monkeypatch.setattr(endpoints, "READ_SECONDS", 0.5)
    monkeypatch.setattr(endpoints, "PAUSE_SECONDS", 0.01)
    found = Endpoint(request.param)
    with fake_cloud(found.answer) as found.cloud:
        url = found.cloud.url
        environ = {
            "ENDPOINT_KIND": request.param,
            "MODELS_URI": "s3://lake/models",
            "CAPTURE_URI": "s3://lake/captures",
            "ACCESS": "public",
        }
        target = f"{url}/score"
        match request.param:
            case "sagemaker":
                target = "flights"
                monkeypatch.setenv("AWS_ENDPOINT_URL", url)
                monkeypatch.setenv("AWS_REGION", "eu-west-1")
                monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
                monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
                monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
            case "vertex":
                target = f"{url}/v1/endpoints/1:rawPredict"
                credentials = google_credentials(tmp_path, url)
                monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", credentials)
                # Otherwise google-auth requests the account's regions from Google, in a thread.
                monkeypatch.setattr(
                    "google.auth.credentials.CredentialsWithRegionalAccessBoundary"
                    "._is_regional_access_boundary_lookup_required",
                    lambda self: False,
                )
            case _:
                environ["AZURE_CLIENT_ID"] = "11111111-2222-4333-8444-555555555555"
                monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/token")
                monkeypatch.setenv("IDENTITY_HEADER", "header")
        environ["MODELS"] = json.dumps({"flight-delay": ["ab" * 32, target]})
        found.ask = endpoints.client(Settings.read(environ))
        yield found


def test_the_answer_of_the_container_is_returned(endpoint: Endpoint) -> None:
    assert endpoint.predict([{"carrier": "UA"}]) == GOOD.body
    (call,) = endpoint.calls
    assert json.loads(call.body) == {"instances": [{"carrier": "UA"}]}
    assert call.headers["content-type"] == "application/json"
    kind = "AWS4-HMAC-SHA256" if endpoint.kind == "sagemaker" else "Bearer token-1"
    assert call.headers["authorization"].startswith(kind)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_temporary_failure_is_retried(endpoint: Endpoint, status: int) -> None:
    endpoint.replies = [Reply(status), Reply(status)]
    assert endpoint.predict([{}]) == GOOD.body
    assert len(endpoint.calls) == 3


def test_a_permanent_failure_is_an_error_after_the_last_attempt(endpoint: Endpoint) -> None:
    endpoint.replies = [Reply(503)] * 10
    with pytest.raises(EndpointUnavailable, match="attempt 3"):
        endpoint.predict([{}])
    assert len(endpoint.calls) == endpoints.ATTEMPTS


def test_a_refusal_by_the_model_is_recognized_and_not_retried(endpoint: Endpoint) -> None:
    endpoint.replies = [ERRORS[endpoint.kind](422)]
    with pytest.raises(ModelRefused):
        endpoint.predict([{}])
    assert len(endpoint.calls) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_missing_permission_or_endpoint_is_not_retried(endpoint: Endpoint, status: int) -> None:
    endpoint.replies = [Reply(status)]
    with pytest.raises(EndpointUnavailable, match=rf"{status}: \w"):  # the reason is in the log
        endpoint.predict([{}])
    assert len(endpoint.calls) == 1


def test_an_endpoint_that_hangs_is_an_error_in_time(endpoint: Endpoint) -> None:
    endpoint.delay = 1.5
    started = time.monotonic()
    with pytest.raises(EndpointUnavailable, match="in time"):
        endpoint.predict([{}])
    assert time.monotonic() - started < 1.4


def test_an_answer_that_is_not_json_is_a_failure_of_the_endpoint(endpoint: Endpoint) -> None:
    endpoint.replies = [Reply(body=b"<html>")]
    with pytest.raises(EndpointUnavailable, match="not JSON"):
        endpoint.predict([{}])


def test_a_redirect_is_not_followed_with_the_token(endpoint: Endpoint) -> None:
    if endpoint.kind == "sagemaker":
        pytest.skip("signed for one host")
    endpoint.replies = [Reply(302, headers={"location": "http://127.0.0.1:1/"})]
    with pytest.raises(EndpointUnavailable, match="302"):
        endpoint.predict([{}])


def test_a_throttled_sagemaker_endpoint_is_retried_although_its_status_is_400(
    endpoint: Endpoint,
) -> None:
    if endpoint.kind != "sagemaker":
        pytest.skip("only SageMaker reports it in this way")
    throttled = Reply(400, {"message": "x"}, {"x-amzn-errortype": "ThrottlingException"})
    missing = Reply(400, {"message": "not found"}, {"x-amzn-errortype": "ValidationError"})
    endpoint.replies = [throttled]
    assert endpoint.predict([{}]) == GOOD.body
    endpoint.replies = [missing]
    with pytest.raises(EndpointUnavailable, match="ValidationError"):
        endpoint.predict([{}])


def test_a_request_that_the_service_does_not_take_is_a_413_and_is_not_sent(
    endpoint: Endpoint,
) -> None:
    most = endpoints.LARGEST_REQUEST[cast(Any, endpoint.kind)]
    frame = len(json.dumps({"instances": [{"text": ""}]}))
    with pytest.raises(Refusal, match=f"may have {most} bytes") as refused:
        endpoint.predict([{"text": "x" * (most - frame + 1)}])
    assert (refused.value.status, refused.value.code) == (413, "too_large")
    assert endpoint.calls == []


def test_a_request_that_the_service_finds_too_large_is_a_413(endpoint: Endpoint) -> None:
    """Not a 422: the fields are valid, and fewer instances at a time help."""
    endpoint.replies = [ERRORS[endpoint.kind](413)]
    with pytest.raises(Refusal, match="Send fewer instances") as refused:
        endpoint.predict([{}])
    assert (refused.value.status, refused.value.code) == (413, "too_large")
    assert refused.value.cause.startswith("413: ")


@pytest.mark.parametrize("status", [400, 415, 422])
def test_what_the_model_says_of_the_input_is_a_refusal(status: int) -> None:
    assert isinstance(endpoints._error_for(status, ""), ModelRefused)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_or_failing_model_is_tried_again(status: int) -> None:
    assert isinstance(endpoints._error_for(status, ""), endpoints.Transient)


@pytest.mark.parametrize("status", [302, 401, 403, 404, 424, 499])
def test_any_other_status_is_an_error_that_another_attempt_does_not_mend(status: int) -> None:
    assert isinstance(endpoints._error_for(status, ""), EndpointUnavailable)


class FailingEndpoint:
    """An endpoint that fails, each time after some seconds, and a clock that only it and the pauses move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.seconds, self.now = seconds, 1000.0
        self.pauses: list[float] = []
        self.attempts = 0
        monkeypatch.setattr(endpoints, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(endpoints, "asyncio", SimpleNamespace(sleep=self.sleep))

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def __call__(self, target: str, body: bytes) -> bytes:
        self.attempts += 1
        self.now += self.seconds
        raise endpoints.Transient("busy")


@pytest.mark.parametrize(("share", "pauses"), [(0, [0.2, 0.4]), (1, [0.4, 0.8])])
def test_pauses_double_and_are_spread_over_half_of_their_length(
    share: float, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html: callers that failed together do not return together."""
    endpoint = FailingEndpoint(monkeypatch, seconds=0)
    uniform = lambda low, high: low + share * (high - low)  # noqa: E731
    monkeypatch.setattr(endpoints, "random", SimpleNamespace(uniform=uniform))
    with pytest.raises(EndpointUnavailable, match=r"busy \(attempt 3\)"):
        asyncio.run(endpoints._with_retries(endpoint, "flights", b""))
    assert endpoint.pauses == pytest.approx(pauses)


@pytest.mark.parametrize(("seconds", "attempts"), [(4.5, 2), (4.7, 1), (1.8, 3), (2.0, 2)])
def test_no_attempt_starts_more_than_five_seconds_after_the_first(
    seconds: float, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = FailingEndpoint(monkeypatch, seconds)
    monkeypatch.setattr(endpoints, "random", SimpleNamespace(uniform=lambda low, high: high))
    with pytest.raises(EndpointUnavailable, match=f"attempt {attempts}"):
        asyncio.run(endpoints._with_retries(endpoint, "flights", b""))
    assert endpoint.attempts == attempts


SETTINGS = cast(Settings, SimpleNamespace(max_concurrency=7, azure_client_id="client"))


def test_a_sagemaker_client_makes_one_attempt_over_as_many_connections_as_predictions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    monkeypatch.setattr("boto3.client", lambda service, config: made.append((service, config)))
    endpoints.sagemaker(SETTINGS)
    ((service, config),) = made
    assert service == "sagemaker-runtime"
    assert (config.connect_timeout, config.read_timeout) == (2, 20)
    assert config.retries == {"total_max_attempts": 1}
    assert config.max_pool_connections == 7


def test_a_client_over_http_asks_for_a_token_of_its_own_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[Any]()

    def default(scopes: list[str]) -> tuple[None, str]:
        asked.extend(scopes)
        return None, "project"

    class Credential:
        def __init__(self, **options: object) -> None:
            asked.append(options)

        def get_token(self, scope: str) -> SimpleNamespace:
            asked.append(scope)
            return SimpleNamespace(token="a-token", expires_on=time.time() + 3600)

    monkeypatch.setattr("google.auth.default", default)
    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", Credential)
    endpoints.vertex()
    assert asked == ["https://www.googleapis.com/auth/cloud-platform"]
    asked.clear()
    with fake_cloud(lambda _: GOOD) as cloud:
        asyncio.run(endpoints.azure_ml(SETTINGS)(cloud.url, b"body"))
        (call,) = cloud.requests
    assert asked == [{"client_id": "client", "retry_total": 1}, "https://ml.azure.com/.default"]
    assert (call.body, call.headers["authorization"]) == (b"body", "Bearer a-token")


def test_a_token_is_fetched_once_for_many_requests(endpoint: Endpoint) -> None:
    if endpoint.kind == "sagemaker":
        pytest.skip("signed, without a token")
    endpoint.predict_all([[{}]] * 3)
    assert endpoint.cloud
    assert len(endpoint.calls) == 3
    assert len(endpoint.cloud.requests) - len(endpoint.calls) == 1


def test_a_token_that_is_not_accepted_any_more_is_fetched_again(endpoint: Endpoint) -> None:
    if endpoint.kind == "sagemaker":
        pytest.skip("signed, without a token")
    endpoint.replies = [Reply(401)]
    assert endpoint.predict([{}]) == GOOD.body
    assert len(endpoint.calls) == 2


def test_the_reason_of_a_refusing_model_server_comes_with_its_version(endpoint: Endpoint) -> None:
    reason = {"error": "instances[0].image: no image", "model_version": "cd" * 32}
    by_kind = {
        "sagemaker": Reply(
            424,
            {"OriginalStatusCode": 400, "OriginalMessage": json.dumps(reason), "Message": "no"},
            {"x-amzn-errortype": "ModelError"},
        ),
        "azureml": Reply(424, reason, {"ms-azureml-model-error-statuscode": "400"}),
    }
    endpoint.replies = [by_kind.get(endpoint.kind, Reply(400, reason))]
    with pytest.raises(ModelRefused) as refused:
        endpoint.predict([{}])
    assert refused.value.reason == "instances[0].image: no image"
    assert refused.value.version == "cd" * 32


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"error": {"code": 400}}', b'{"error": "no"}', b"[" * 9999]
)
def test_words_of_something_else_than_the_model_server_are_not_passed_on(content: bytes) -> None:
    refused = endpoints._error_for(400, "Bad Request", content)
    assert isinstance(refused, ModelRefused)
    assert (refused.reason, refused.version) == ("", "")


def test_an_app_without_a_client_id_uses_its_only_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        "azure.identity.ManagedIdentityCredential", lambda **options: asked.append(options)
    )
    endpoints.azure_ml(cast(Settings, SimpleNamespace(azure_client_id="")))
    assert asked == [{"client_id": None, "retry_total": 1}]


def test_a_missing_endpoint_is_unavailable(endpoint: Endpoint) -> None:
    assert endpoint.cloud
    endpoint.cloud.stop()
    started = time.monotonic()
    with pytest.raises(EndpointUnavailable):
        endpoint.predict([{}])
    assert time.monotonic() - started < endpoints.LAST_RETRY_SECONDS
