"""The gateway as a web server: a real process on a real port, with a fake endpoint."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from .fake_cloud import ReceivedRequest, Reply, fake_cloud

LAMBDA = Path(__file__).parents[3] / "lambda"
FLIGHT = json.loads((LAMBDA / "gateway" / "features.json").read_text())["example"]
KEY = "0123456789abcdef"


@dataclass
class Server:
    port: int
    process: subprocess.Popen[str]
    may_answer: threading.Event
    """While it is cleared, the endpoint keeps its callers waiting."""
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each prediction that reaches the endpoint."""
    objects: dict[str, bytes] = field(default_factory=dict)
    begun: list[float] = field(default_factory=list)
    """When each write to the lake began."""

    def request(
        self, method: str = "POST", path: str = "/predict", body: bytes | None = None
    ) -> tuple[int, dict[str, str], Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = json.dumps({"instances": [FLIGHT]}).encode() if body is None else body
        headers = {"content-type": "application/json", "x-api-key": KEY}
        connection.request(method, path, sent if method == "POST" else None, headers)
        response = connection.getresponse()
        data = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        return response.status, found, data


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answer(server: Server, request: ReceivedRequest) -> Reply:
    if request.method == "PUT":
        if request.path.startswith("/refused/"):
            return Reply(403)
        server.begun.append(time.monotonic())
        time.sleep(0.3)
        server.objects[request.path] = request.body
        return Reply(body=b"")
    server.arrived.release()
    server.may_answer.wait(20)
    count = len(json.loads(request.body)["instances"])
    predictions = [{"probability": 0.5, "late": True}] * count
    return Reply(body={"predictions": predictions, "model_version": "v"})


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@contextmanager
def serving(**settings: str) -> Iterator[Server]:
    """A gateway with these settings beside the usual ones."""
    port = free_port()
    found: Server
    with fake_cloud(lambda request: answer(found, request)) as endpoint:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(LAMBDA),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "SAGEMAKER_ENDPOINT": "flights",
            "CAPTURE_URI": "s3://lake/captures",
            "ACCESS": "key",
            "API_KEY": KEY,
            "MAX_BODY_BYTES": "4096",
            "MAX_CONCURRENCY": "2",
            "AWS_ENDPOINT_URL": endpoint.url,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
            **settings,
        }
        process = subprocess.Popen(
            # The image's own command; the word behind it is what earlier images were started with.
            [sys.executable, "-m", "gateway", "gateway"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found = Server(port, process, threading.Event())
        found.may_answer.set()
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    found.request("GET", "/healthz")
                    break
                except ConnectionError:
                    assert time.monotonic() < deadline, "the server did not start"
                    time.sleep(0.05)
            yield found
        finally:
            process.kill()
            process.wait()


def test_a_prediction_comes_with_its_length_and_request_id(server: Server) -> None:
    status, headers, body = server.request()
    assert status == 200
    assert json.loads(body)["predictions"] == [{"probability": 0.5, "late": True}]
    assert int(headers["content-length"]) == len(body)
    assert len(headers["x-request-id"]) == 36
    assert "server" not in headers


def test_a_full_gateway_refuses_at_once_while_probes_and_the_page_still_answer(
    server: Server,
) -> None:
    server.may_answer.clear()
    with ThreadPoolExecutor(2) as callers:
        waiting = [callers.submit(server.request) for _ in range(2)]
        assert all(server.arrived.acquire(timeout=20) for _ in waiting)
        refused = server.request()
        assert refused[0] == 503
        assert refused[1]["retry-after"] == "1"
        assert server.request("GET", "/healthz")[0] == 200
        assert server.request("GET", "/")[0] == 200
        server.may_answer.set()
        assert [each.result()[0] for each in waiting] == [200, 200]
    assert server.request()[0] == 200


def test_a_body_over_the_limit_is_refused_without_reading_it_all(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        head = (
            f"POST /predict HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n"
            "content-type: application/json\r\ncontent-length: 1000000000\r\n\r\n"
        )
        link.sendall(head.encode() + b" " * 5000)
        assert link.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_caller_that_disconnects_does_not_disturb_the_gateway(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
    assert server.request()[0] == 200


def test_bytes_that_are_not_http_get_a_400(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert b" 400 " in link.recv(1000)


def test_sigterm_finishes_the_running_request_and_writes_its_capture(server: Server) -> None:
    server.may_answer.clear()
    with ThreadPoolExecutor(1) as callers:
        waiting = callers.submit(server.request)
        assert server.arrived.acquire(timeout=20)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.process.poll() is None
        server.may_answer.set()
        status, headers, _ = waiting.result()
    assert status == 200
    # Uvicorn finishes its work, and then ends by the signal that it received.
    assert server.process.wait(10) in (0, -signal.SIGTERM)
    (name,) = server.objects
    assert headers["x-request-id"] in name
    assert server.process.stdout
    log = server.process.stdout.read()
    assert KEY not in log
    assert "Traceback" not in log
    assert FLIGHT["dest"] not in log
    (line,) = [json.loads(each) for each in log.splitlines() if '"POST"' in each]
    assert line["request_id"] == headers["x-request-id"]
    assert line["latency_ms"] > 0


def test_a_wrong_environment_gives_one_sentence_and_no_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from gateway import asgi; asgi.main()"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(LAMBDA), "ACCESS": "everybody"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "The gateway cannot start. Set exactly one of SAGEMAKER_ENDPOINT"
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("variable", "others"),
    [
        ("VERTEX_PREDICT_URL", ["boto3", "azure"]),
        ("AZUREML_SCORING_URL", ["boto3", "google.auth"]),
        ("SAGEMAKER_ENDPOINT", ["azure", "google.auth", "requests"]),
    ],
)
def test_only_the_client_of_the_chosen_cloud_is_imported(variable: str, others: list[str]) -> None:
    code = (
        "import sys\nfrom gateway import endpoints, lakes, keys, service\n"
        "from gateway.settings import Settings\nimport os\n"
        "try:\n    endpoints.client(Settings.read(os.environ))\n"
        "except Exception as error:\n    print(type(error).__name__, file=sys.stderr)\n"
        f"print([name for name in {others!r} if name in sys.modules])"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(LAMBDA),
        "ACCESS": "public",
        "CAPTURE_URI": "s3://lake/captures",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "NO_GCE_CHECK": "true",
        variable: "https://127.0.0.1:1/x",
    }
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.strip() == "[]", ended.stderr


def test_a_killed_gateway_has_kept_what_it_answered_before_its_last_write() -> None:
    """The bound of `CAPTURES=background`: what was answered since the last but one write to the lake began."""
    with serving(MAX_CONCURRENCY="4") as server:
        answered = answered_until_killed(server, seconds=2)
        kept = b"".join(server.objects.values()).decode()
    # The last write is cut off. What was answered while the one before it was prepared may be in the last.
    begun = sorted(server.begun)[-3]
    old = [request_id for request_id, at in answered.items() if at < begun]
    assert old, "the load was too short"
    assert [each for each in old if each not in kept] == []


def test_a_killed_gateway_with_sync_captures_has_kept_all_that_it_answered() -> None:
    with serving(CAPTURES="sync", MAX_CONCURRENCY="4") as server:
        answered = answered_until_killed(server, seconds=2)
        assert answered
        kept = b"".join(server.objects.values()).decode()
    assert [each for each in answered if each not in kept] == []


def answered_until_killed(server: Server, seconds: float) -> dict[str, float]:
    """Ask without a pause, kill the gateway; when each prediction was answered, by its request id."""
    answered: dict[str, float] = {}
    log = server.process.stdout
    assert log
    # A full pipe would stop the gateway.
    threading.Thread(target=log.read, daemon=True).start()

    def ask() -> None:
        with suppress(OSError, HTTPException):
            while True:
                status, headers, _ = server.request()
                if status == 200:
                    answered[headers["x-request-id"]] = time.monotonic()

    with ThreadPoolExecutor(4) as callers:
        for _ in range(4):
            callers.submit(ask)
        time.sleep(seconds)
        server.process.kill()
    return answered


def test_no_prediction_is_given_if_its_sync_capture_cannot_be_kept() -> None:
    with serving(CAPTURES="sync", CAPTURE_URI="s3://refused/captures") as server:
        status, headers, body = server.request()
    assert status == 503
    assert "retry-after" in headers
    assert b"probability" not in body
