"""The load test passes a load within its limits, and names the limit that a load exceeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from operations.delivery.gates import GateFailed
from operations.delivery.load_gate import Load, LoadGate, measure

GATE = LoadGate(users=1, seconds=1, errors=0.01, p95_ms=100, pause=0.4, timeout=30)
AT_LIMIT = Load(requests=1000, failures=10, requests_per_second=9, p50_ms=5, p95_ms=100, p99_ms=200)


def locust_entry(**changes: Any) -> dict[str, Any]:
    """What locust prints for one path."""
    return {
        "name": "/models/flight-delay/predict",
        "num_requests": 100,
        "num_failures": 2,
        "response_times": {"10": 50, "20": 44, "90": 5, "400": 1},
        "start_time": 1000.0,
        "last_request_timestamp": 1010.0,
        **changes,
    }


def test_percentiles_come_from_the_histogram_of_locust() -> None:
    load = Load.from_locust([locust_entry()])
    assert (load.p50_ms, load.p95_ms, load.p99_ms) == (10, 90, 90)
    assert load.requests_per_second == 10
    assert load.errors == 0.02
    other = Load.from_locust([locust_entry(), locust_entry(name="/b", num_failures=0)])
    assert (other.requests, other.failures) == (200, 2)
    assert {path: each.failures for path, each in other.paths.items()} == {
        "/models/flight-delay/predict": 2,
        "/b": 0,
    }


def test_a_load_at_the_limit_passes() -> None:
    GATE.check(AT_LIMIT)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"failures": 11}, r"11 of 1000 requests failed \(1.1%\); at most 1.0% may"),
        ({"p95_ms": 101.0}, "95 % of requests took up to 101 ms; at most 100 ms"),
        ({"requests": 0, "failures": 0}, "no request was answered"),
        ({"requests": 1, "failures": 0}, "only 1 requests were completed; 1 callers in 1 s make 2"),
    ],
)
def test_a_load_above_a_limit_is_refused_with_what_was_measured_and_is_allowed(
    changes: dict[str, Any], reason: str
) -> None:
    load = Load(**{**asdict(AT_LIMIT), **changes})
    with pytest.raises(GateFailed, match=reason):
        GATE.check(load)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"requests": 100, "failures": 2}, r"2 of 100 requests to /models/digits/predict failed"),
        ({"requests": 100, "p95_ms": 101.0}, "95 % of requests to /models/digits/predict took"),
        ({"requests": 10, "failures": 2}, "2 of 10 requests to /models/digits/predict failed"),
        ({"requests": 10, "p50_ms": 101.0}, "half of the requests to /models/digits/predict took"),
        ({"requests": 10, "failures": 1, "p95_ms": 500.0}, None),
        ({"requests": 100, "failures": 1}, None),
    ],
)
def test_a_model_that_is_outside_of_the_limits_is_not_hidden_by_the_others(
    changes: dict[str, Any], reason: str | None
) -> None:
    one = Load(**{**asdict(AT_LIMIT), "failures": 0, **changes})
    load = replace(AT_LIMIT, paths={"/models/digits/predict": one})
    if reason is None:
        GATE.check(load)
        return
    with pytest.raises(GateFailed, match=reason):
        GATE.check(load)


def test_a_load_without_requests_does_not_pass() -> None:
    with pytest.raises(GateFailed, match="no request"):
        GATE.check(Load.from_locust([]))


def test_the_limits_are_settings_that_a_run_can_override() -> None:
    configured = LoadGate.from_settings({"p95_ms": None})
    assert configured.p95_ms > 1
    overridden = LoadGate.from_settings({"p95_ms": 1.0})
    assert overridden == LoadGate(**{**asdict(configured), "p95_ms": 1.0})


def test_a_latency_limit_above_the_request_timeout_is_refused() -> None:
    with pytest.raises(SystemExit, match="P95_MS=30000: a request fails after 30 s"):
        LoadGate.from_settings({"p95_ms": 30_000.0})


class HangingGateway(ThreadingHTTPServer):
    """A gateway that answers its first requests, and then never again."""

    daemon_threads = True

    def __init__(self, answers: int) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.left = iter(range(answers))
        self.released = Event()
        Thread(target=self.serve_forever, daemon=True).start()


class Answers(BaseHTTPRequestHandler):
    server: HangingGateway

    def do_GET(self) -> None:
        self._send(b'{"name": "flight-delay", "example": {"carrier": "UA"}}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if next(self.server.left, None) is None:
            self.server.released.wait()
            return
        self._send(b'{"predictions": [{"late": false}]}')

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: it would be in the middle of the tests' output."""


@pytest.fixture
def hanging() -> Iterator[HangingGateway]:
    server = HangingGateway(answers=4)  # by number, not by time: a busy machine is slow
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def test_a_gateway_that_hangs_forever_does_not_pass(hanging: HangingGateway) -> None:
    url = f"http://127.0.0.1:{hanging.server_port}"
    outputs = {"gateway_url": url, "models": {"flight-delay": {"version": "1"}}}
    stack = SimpleNamespace(name="dev", environment=dict(os.environ), outputs=lambda: outputs)
    gate = LoadGate(users=2, seconds=2, errors=0.01, p95_ms=1000, pause=0.3, timeout=2)
    load = measure(stack, gate)  # type: ignore[arg-type]
    assert load.failures >= 2, f"each caller's last request has failed: {load}"
    with pytest.raises(GateFailed, match=r"[2-9] of \d+ requests failed"):
        gate.check(load)
