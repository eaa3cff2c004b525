"""The gateway as a Lambda function: an event is a request, and captures are written after the answer."""

from __future__ import annotations

import base64
import importlib
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from gateway import extension
from gateway.extension import AfterAnswerExtension
from gateway.http import Answer

from .fake_cloud import ReceivedRequest, Reply, fake_cloud
from .test_gateway_settings import GOOD

CONTEXT = SimpleNamespace(aws_request_id="r-1")


class RuntimeApi:
    """Lambda's API for extensions: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html"""

    def __init__(self) -> None:
        self.invocations = threading.Semaphore(0)
        self.waiting = threading.Semaphore(0)
        """Released when the extension asks for the next event: then Lambda may freeze it."""
        self.next_status = 200

    def answer(self, request: ReceivedRequest) -> Reply:
        if request.path == "/2020-01-01/extension/register":
            return Reply(200, headers={"Lambda-Extension-Identifier": "me"})
        assert request.headers["lambda-extension-identifier"] == "me"
        self.waiting.release()
        self.invocations.acquire(timeout=10)
        return Reply(self.next_status)


def test_the_work_is_done_after_each_answer_and_before_the_next_event_is_asked_for() -> None:
    api, work = RuntimeApi(), threading.Semaphore(0)
    with fake_cloud(api.answer) as cloud:
        after = AfterAnswerExtension(cloud.url.removeprefix("http://"), work.release)
        for _ in range(2):
            assert api.waiting.acquire(timeout=5)
            api.invocations.release()
            assert not work.acquire(timeout=0.2), "before the answer"
            after.answered()
            assert work.acquire(timeout=5)
        assert api.waiting.acquire(timeout=5)
        threads = [each for each in threading.enumerate() if each.name == extension.NAME]
        assert threads
        assert all(each.daemon for each in threads), "a process that ends does not wait for events"
        register, *nexts = cloud.requests
        assert (register.method, register.body) == ("POST", b'{"events": ["INVOKE"]}')
        assert register.headers["lambda-extension-name"] == "captures"
        assert {(each.method, each.path) for each in nexts} == {
            ("GET", "/2020-01-01/extension/event/next")
        }
        api.invocations.release()


def test_an_extension_that_is_not_registered_is_an_error_with_the_reason() -> None:
    with (
        fake_cloud(lambda _: Reply(403, {"reason": "no"})) as cloud,
        pytest.raises(OSError, match=r"not registered: 403 .*no"),
    ):
        AfterAnswerExtension(cloud.url.removeprefix("http://"), lambda: None)


def test_an_extension_that_gets_no_events_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that goes on would let every invocation run into its timeout."""
    ended, codes = threading.Event(), list[int]()
    ends = SimpleNamespace(_exit=lambda code: (codes.append(code), ended.set()))
    monkeypatch.setattr(extension, "os", ends)
    api = RuntimeApi()
    api.next_status = 500
    api.invocations.release()
    with fake_cloud(api.answer) as cloud:
        AfterAnswerExtension(cloud.url.removeprefix("http://"), lambda: None)
        assert ended.wait(5)
    assert codes == [1]
    assert "event/next returned 500" in capsys.readouterr().out


@pytest.fixture(scope="module")
def function() -> ModuleType:
    """The module as Lambda imports it, where there is no Extensions API."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**GOOD, "AWS_DEFAULT_REGION": "eu-west-1"}.items():
            patch.setenv(name, value)
        patch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
        return importlib.import_module("gateway.lambda_handler")


def event(body: str | None, encoded: bool = False) -> dict[str, Any]:
    return {
        "requestContext": {"http": {"method": "POST"}},
        "rawPath": "/predict",
        "headers": {"x-api-key": "k"},
        "isBase64Encoded": encoded,
        **({} if body is None else {"body": body}),
    }


# https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
@pytest.mark.parametrize(
    ("given", "body"),
    [
        (event('{"a": "é"}'), '{"a": "é"}'.encode()),
        (event(base64.b64encode(b"\xff").decode(), encoded=True), b"\xff"),
        (event("a", encoded=True), b""),
        (event("\ud800"), b"\xed\xa0\x80"),
        (event(None), b""),
    ],
)
def test_a_function_urls_event_is_a_request(
    given: dict[str, Any], body: bytes, function: ModuleType
) -> None:
    found = function.request(given, "r-1")
    assert (found.method, found.path, found.id) == ("POST", "/predict", "r-1")
    assert found.headers == {"x-api-key": "k"}
    assert found.body == body


def test_a_body_without_a_flag_is_text(function: ModuleType) -> None:
    given = event("e30=")
    del given["isBase64Encoded"]
    assert function.request(given, "r-1").body == b"e30="


def served(function: ModuleType, monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    """What happens after each answer."""
    after: list[str] = []
    captures = SimpleNamespace(drain=lambda: after.append("drained"))

    async def answered(request: object) -> Answer:
        found: Answer = answer(request)
        return found

    monkeypatch.setattr(function, "service", SimpleNamespace(answer=answered, captures=captures))
    return after


def test_an_answer_is_returned_as_a_function_url_wants_it(
    function: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Answer(201, {"content-type": "text/plain"}, "é".encode())
    after = served(function, monkeypatch, lambda _: answer)
    assert function.extension is None
    assert function.handler(event("{}"), CONTEXT) == {
        "statusCode": 201,
        "headers": {"content-type": "text/plain"},
        "body": "é",
        "isBase64Encoded": False,
    }
    assert after == ["drained"], "without an extension captures are written before the answer"


def test_binary_tensors_are_returned_in_base64(
    function: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload"""
    answer = Answer(200, {"content-type": "application/octet-stream"}, b"{}\xff\x00")
    served(function, monkeypatch, lambda _: answer)
    found = function.handler(event("{}"), CONTEXT)
    assert found["isBase64Encoded"] is True
    assert base64.b64decode(found["body"]) == answer.body


def test_an_answer_is_sendable_if_lambda_takes_the_response_with_it(function: ModuleType) -> None:
    """The limit is that of the response in JSON: a quote in the body is two bytes there."""
    most = function.LONGEST_RESPONSE
    json_type = {"content-type": "application/json"}
    assert function.sendable(Answer(200, json_type, b"a" * (most - 200)))
    assert not function.sendable(Answer(200, json_type, b"a" * most))
    assert function.sendable(Answer(200, json_type, b'"' * (most // 2 - 100)))
    assert not function.sendable(Answer(200, json_type, b'"' * (most // 2)))
    tensors = {"content-type": "application/octet-stream"}
    assert function.sendable(Answer(200, tensors, b"\xff" * (most // 4 * 3 - 200)))
    assert not function.sendable(Answer(200, tensors, b"\xff" * (most // 4 * 3)))
    assert function.service.handler.sendable is function.sendable


def test_captures_are_left_to_the_extension_also_after_a_failed_invocation(
    function: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    after = served(function, monkeypatch, fail)
    answered = SimpleNamespace(answered=lambda: after.append("answered"))
    monkeypatch.setattr(function, "extension", answered)
    with pytest.raises(MemoryError):
        function.handler(event("{}"), CONTEXT)
    assert after == ["answered"]


def test_the_function_registers_its_extension_with_lambdas_api(
    function: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = RuntimeApi()
    with fake_cloud(api.answer) as cloud:
        monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", cloud.url.removeprefix("http://"))
        after = served(function, monkeypatch, None)
        found = function._extension()
        assert isinstance(found, AfterAnswerExtension)
        api.invocations.release()
        found.answered()
        for _ in range(2):
            assert api.waiting.acquire(timeout=5)
        assert after == ["drained"]
        api.invocations.release()
