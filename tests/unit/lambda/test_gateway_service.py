"""How long an answer may take, and what is answered if its capture cannot be kept in that time."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gateway import service as module
from gateway.captures import Captures
from gateway.core import Answer, Request
from gateway.service import Service

REQUEST = Request(method="POST", path="/predict", headers={}, body=b"{}", id="r")


def service(write: Any, predict_seconds: float = 0) -> Service:
    """A gateway with sync captures, whose endpoint takes this long."""

    def answer(_: Request) -> Answer:
        time.sleep(predict_seconds)
        return Answer(200, {}, b'{"probability": 0.5}', capture={"instances": []})

    handler = SimpleNamespace(answer=answer)
    settings = SimpleNamespace(captures="sync")
    return Service(cast(Any, settings), cast(Any, handler), Captures(write))


def test_an_answer_waits_for_its_capture_in_the_lake() -> None:
    kept: list[str] = []
    answer = service(lambda name, data: kept.append(name)).answer(REQUEST)
    assert answer.status == 200
    assert len(kept) == 1


def test_the_endpoint_and_the_lake_share_the_time_that_the_front_end_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.6)
    hang = threading.Event()
    started = time.monotonic()
    answer = service(lambda name, data: hang.wait(30), predict_seconds=0.4).answer(REQUEST)
    assert 0.6 <= time.monotonic() - started < 0.9
    assert answer.status == 503
    assert "retry-after" in answer.headers
    assert b"probability" not in answer.body
    assert answer.cause == "lake: TimeoutError"
    hang.set()
