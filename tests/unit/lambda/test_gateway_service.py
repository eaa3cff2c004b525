"""How long an answer may take, and what is answered if its capture cannot be kept in that time."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gateway import endpoints, page
from gateway import service as module
from gateway.captures import Captures
from gateway.http import Answer, Request
from gateway.service import Service

from .test_gateway_settings import GOOD

REQUEST = Request(method="POST", path="/predict", headers={}, body=b"{}", id="r")


def service(write: Any, predict_seconds: float = 0, captures: str = "sync") -> Service:
    """A gateway whose endpoint takes this long."""

    async def answer(_: Request) -> Answer:
        await asyncio.sleep(predict_seconds)
        return Answer(200, {}, b'{"probability": 0.5}', capture={"model": "m", "instances": []})

    handler = SimpleNamespace(answer=answer)
    settings = SimpleNamespace(captures=captures)
    return Service(cast(Any, settings), cast(Any, handler), Captures(write), cast(Any, None))


def test_an_answer_waits_for_its_capture_in_the_lake() -> None:
    kept: list[str] = []
    answer = answered(service(lambda name, data: kept.append(name)))
    assert answer.status == 200
    assert len(kept) == 1


def test_the_endpoint_and_the_lake_share_the_time_that_the_front_end_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.6)
    hang = threading.Event()
    started = time.monotonic()
    answer = answered(service(lambda name, data: hang.wait(30), predict_seconds=0.4))
    assert 0.6 <= time.monotonic() - started < 0.9
    assert answer.status == 503
    assert "retry-after" in answer.headers
    assert b"probability" not in answer.body
    assert answer.cause == "lake: TimeoutError"
    hang.set()


def test_an_answer_that_does_not_come_in_time_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract, key and endpoint have limits of their own, and a roll asks several times: the sum has one, too."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    started = time.monotonic()
    answer = answered(service(lambda name, data: None, predict_seconds=3))
    assert time.monotonic() - started < 1
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.cause == "no answer within 0.2 s"


def failing(error: Exception) -> Service:
    async def answer(_: Request) -> Answer:
        raise error

    handler = SimpleNamespace(answer=answer)
    captures = Captures(lambda name, data: None)
    return Service(cast(Any, None), cast(Any, handler), captures, cast(Any, None))


def answered(gateway: Service, request: Request = REQUEST) -> Answer:
    return asyncio.run(gateway.answer(request))


def test_a_capture_has_the_request_when_it_came_and_how_long_its_answer_took() -> None:
    written: list[bytes] = []
    gateway = service(lambda name, data: written.append(data), 0.05, "background")
    before = datetime.now(UTC)
    answered(gateway)
    assert written == [], "not before the answer"
    gateway.captures.drain()
    capture = json.loads(written[0])
    assert before <= datetime.fromisoformat(capture["received_at"]) <= datetime.now(UTC)
    assert capture["request_id"] == "r"
    assert capture["instances"] == []
    assert 50 <= capture["latency_ms"] < 500
    assert round(capture["latency_ms"], 1) == capture["latency_ms"]


def test_an_answer_without_a_prediction_leaves_no_capture() -> None:
    async def answer(_: Request) -> Answer:
        return Answer(404, {}, b"", cause="not_found")

    written: list[str] = []
    captures = Captures(lambda name, data: written.append(name))
    settings, handler = SimpleNamespace(captures="sync"), SimpleNamespace(answer=answer)
    gateway = Service(cast(Any, settings), cast(Any, handler), captures, cast(Any, None))
    answered(gateway)
    gateway.captures.drain()
    assert written == []


def test_a_request_is_one_line_of_the_log_without_its_body_or_a_long_path(
    capsys: pytest.CaptureFixture[str],
) -> None:
    request = replace(REQUEST, method="M" * 50, path="/" + "p" * 500, body=b"secret")
    answered(service(lambda name, data: None), request)
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found.pop("latency_ms") < 500
    assert found == {
        "severity": "INFO",
        "message": "request",
        "method": "M" * 10,
        "path": "/" + "p" * 99,
        "status": 200,
        "request_id": "r",
    }


def test_a_defect_of_the_gateway_is_a_503_whose_cause_only_the_log_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = answered(failing(ZeroDivisionError("internal words")))
    assert (answer.status, answer.headers["x-request-id"]) == (503, "r")
    assert b"internal words" not in answer.body
    found = json.loads(capsys.readouterr().out)
    assert (found["severity"], found["status"]) == ("ERROR", 503)
    assert found["cause"] == "ZeroDivisionError: internal words"


@pytest.mark.parametrize("access", ["key", "public"])
def test_the_gateway_is_made_of_its_settings(access: str, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[object] = []

    def place(*given: str) -> Any:
        places.append(given)
        return lambda *_: b""

    monkeypatch.setattr("gateway.endpoints.client", lambda settings: settings.models)
    monkeypatch.setattr("gateway.lakes.writer", place)
    monkeypatch.setattr("gateway.lakes.reader", place)
    environ = {**GOOD, "ACCESS": access, "API_KEY": "x" * 16, "AZURE_CLIENT_ID": "client"}
    del environ["API_KEY_SECRET_ARN"]
    found = Service.start({**environ, "CODE_VERSION": "c0de", "MAX_CONCURRENCY": "7"})
    assert places == [("s3://lake/models", "client"), ("s3://lake/captures", "client")]
    handler = found.handler
    assert (handler.max_body_bytes, handler.code_version) == (256 * 1024, "c0de")
    assert handler.predictor.models == {"flight-delay": "ab" * 32}
    assert cast(Any, handler.predictor.ask) == found.settings.models
    assert handler.predictor.contracts is found.contracts

    async def admitted() -> list[bool]:
        return [await handler.admits("x" * 16), await handler.admits("y")]

    assert asyncio.run(admitted()) == [True, access == "public"]
    assert handler.key_needed == (access == "key")
    assert handler.page == page.render(key_needed=access == "key")
    assert found.captures._writers._max_workers == 7, "no prediction waits for another's capture"


def test_an_answer_takes_less_than_the_front_ends_wait_and_longer_than_the_endpoint() -> None:
    """The timeouts in components/aws/gateway.py and components/gcp/gateway.py are 30 s."""
    last = endpoints.LAST_RETRY_SECONDS + endpoints.CONNECT_SECONDS + endpoints.READ_SECONDS
    assert last < module.ANSWER_SECONDS < 29
