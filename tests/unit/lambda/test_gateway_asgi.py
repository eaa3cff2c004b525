"""The gateway as a web server: a real process on a real port, with a fake endpoint."""

from __future__ import annotations

import asyncio
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
from types import SimpleNamespace
from typing import Any, cast

import pytest
from gateway import asgi
from gateway.http import Answer, Request
from gateway.http_protocol import HttpProtocol
from gateway.service import Service
from model_server import serve as model_server

from .fake_cloud import ReceivedRequest, Reply, fake_cloud
from .gateway_models import DOCUMENTS, FLIGHT, KEY, LAKE, PREDICTIONS, VERSIONS, good

LAMBDA = Path(__file__).parents[3] / "lambda"


@dataclass
class Server:
    port: int
    process: subprocess.Popen[str]
    may_answer: threading.Event
    """While it is cleared, the endpoint keeps its callers waiting, but those of the healthy model."""
    healthy: str = ""
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each prediction that reaches the endpoint."""
    objects: dict[str, bytes] = field(default_factory=dict)
    may_write: threading.Event = field(default_factory=threading.Event)
    """While it is cleared, the lake keeps the gateway waiting."""
    writing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each write that must wait."""
    written: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each object."""

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
        if not server.may_write.is_set():
            server.writing.release()
            server.may_write.wait(9)
        time.sleep(0.1)
        server.objects[request.path] = request.body
        server.written.release()
        return Reply(body=b"")
    if request.method == "GET":
        return Reply(body=LAKE[request.path.removeprefix("/lake/models/")])
    server.arrived.release()
    content = json.loads(request.body)
    if content["model"] != server.healthy:
        server.may_answer.wait(20)
    return Reply(body=good(content["model"], content["instances"]))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@contextmanager
def serving(*models: str, **settings: str) -> Iterator[Server]:
    """A gateway of these models, or of flight-delay, with these settings beside the usual ones."""
    models = models or ("flight-delay",)
    port = free_port()
    found: Server
    with fake_cloud(lambda request: answer(found, request)) as endpoint:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(LAMBDA),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "ENDPOINT_KIND": "sagemaker",
            "MODELS": json.dumps({name: [VERSIONS[name], "flights"] for name in models}),
            "MODELS_URI": "s3://lake/models",
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
        found.may_write.set()
        try:
            deadline = time.monotonic() + 20
            while True:
                with suppress(ConnectionError):
                    # Its contracts are read: until then a body may be as long as an image of any model.
                    if found.request("GET", "/v2/health/ready")[0] == 200:
                        break
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.05)
            yield found
        finally:
            process.kill()
            process.wait()


def test_a_prediction_comes_with_its_length_and_request_id(server: Server) -> None:
    status, headers, body = server.request()
    assert status == 200
    assert json.loads(body)["predictions"] == [PREDICTIONS["flight-delay"]]
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


def test_a_model_that_hangs_leaves_the_others_their_places() -> None:
    with serving("flight-delay", "digits", MAX_CONCURRENCY="4") as server:
        server.healthy = "digits"
        hung, healthy = ("/models/flight-delay/predict", "/models/digits/predict")
        digit = json.dumps({"instances": [DOCUMENTS["digits"]["example"]]}).encode()
        server.may_answer.clear()
        with ThreadPoolExecutor(2) as callers:
            waiting = [callers.submit(server.request, "POST", hung) for _ in range(2)]
            assert all(server.arrived.acquire(timeout=20) for _ in waiting)
            status, headers, body = server.request("POST", hung)
            assert (status, headers["retry-after"]) == (503, "1")
            assert b"2 predictions of flight-delay are being made already" in body
            assert server.request("POST", healthy, digit)[0] == 200
            server.may_answer.set()
            assert [each.result()[0] for each in waiting] == [200, 200]


def test_a_stranger_is_refused_before_the_body(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        head = (
            "POST /predict HTTP/1.1\r\nhost: x\r\nx-api-key: guess\r\n"
            "content-type: application/json\r\ncontent-length: 1000000000\r\n\r\n"
        )
        link.sendall(head.encode())
        assert link.recv(1000).startswith(b"HTTP/1.1 401")
    # The connection is of use after a body that nobody has read.
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    for key, status in (("guess", 401), (KEY, 200)):
        sent = json.dumps({"instances": [FLIGHT]})
        headers = {"content-type": "application/json", "x-api-key": key}
        connection.request("POST", "/predict", sent, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


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
    assert ended.stderr.startswith("The gateway cannot start. ENDPOINT_KIND must be one of")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        ("vertex", ["boto3", "azure"]),
        ("azureml", ["boto3", "google.auth"]),
        ("sagemaker", ["azure", "google.auth", "requests", "httptools"]),
    ],
)
def test_only_the_client_of_the_chosen_cloud_is_imported(kind: str, others: list[str]) -> None:
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
        "ENDPOINT_KIND": kind,
        "MODELS": json.dumps({"flight-delay": ["ab" * 32, "https://127.0.0.1:1/x"]}),
        "MODELS_URI": "s3://lake/models",
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


def test_a_killed_gateway_loses_what_it_answered_in_its_last_two_writes() -> None:
    """The bound of `CAPTURES=background`; its time, and its limits, are in test_gateway_captures.py."""
    with serving(MAX_CONCURRENCY="4") as server:
        requests: list[str] = []

        def ask() -> None:
            status, headers, _ = server.request()
            assert status == 200
            requests.append(headers["x-request-id"])

        ask()
        assert server.written.acquire(timeout=20)
        server.may_write.clear()
        ask()
        assert server.writing.acquire(timeout=20)
        for _ in range(3):
            ask()
        server.process.kill()
        server.process.wait()
        kept = b"".join(server.objects.values()).decode()
        server.may_write.set()
    assert [each for each in requests if each in kept] == requests[:1]


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


class Conversation:
    """What a server and the gateway's app say to each other: https://asgi.readthedocs.io/en/latest/specs/www.html"""

    def __init__(self, *received: dict[str, Any], answer: Any = None, **limits: int) -> None:
        self.received, self.sent = list(received), list[Any]()
        self.requests: list[Request] = []
        self.captures: list[str] = []

        async def answered(request: Request) -> Answer:
            self.requests.append(request)
            return answer or Answer(201, {"x-header": "v"}, b"body")

        self.limit = 8

        async def wanted_body(request: Request) -> tuple[str, int]:
            assert request.body == b""
            return ("m", self.limit) if request.method == "POST" else ("", 0)

        models = dict.fromkeys("mno"[: limits.pop("models", 1)])
        settings = SimpleNamespace(**{"max_concurrency": 2, "models": models, **limits})
        handler = SimpleNamespace(wanted_body=wanted_body)
        captures = SimpleNamespace(
            start=lambda: self.captures.append("start"),
            close=lambda seconds: self.captures.append(f"close {seconds}"),
        )
        contracts = SimpleNamespace(
            start=lambda: self.captures.append("read contracts"),
            close=lambda: self.captures.append("read no more"),
        )
        self.app = asgi.App(
            cast(
                Any,
                SimpleNamespace(
                    settings=settings,
                    handler=handler,
                    captures=captures,
                    contracts=contracts,
                    answer=answered,
                ),
            )
        )

    def run(self, method: str = "POST", kind: str = "http") -> list[Any]:
        headers = [(b"a", b"1"), (b"b", b"\xe9"), (b"a", b"2")]
        scope = {"type": kind, "method": method, "path": "/p", "headers": headers}

        async def receive() -> dict[str, Any]:
            if not self.received:
                await asyncio.sleep(30)
            return self.received.pop(0)

        async def send(message: Any) -> None:
            self.sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        return self.sent

    def refusal(self) -> tuple[int, str]:
        start, body = self.run()
        return start["status"], json.loads(body["body"])["error"]["code"]


def part(body: bytes | None, more: bool | None = None) -> dict[str, Any]:
    found = {"type": "http.request", "body": body, "more_body": more}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(("method", "body"), [("POST", b"12345678"), ("GET", b"")])
def test_a_request_is_passed_on_in_one_piece_and_its_answer_returned(
    method: str, body: bytes
) -> None:
    conversation = Conversation(part(b"1234", True), part(b"5678"))
    assert conversation.run(method) == [
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"x-header", b"v"), (b"content-length", b"4")],
        },
        {"type": "http.response.body", "body": b"body"},
    ]
    (request,) = conversation.requests
    assert (request.method, request.path, request.body) == (method, "/p", body)
    assert request.headers == {"a": "1,2", "b": "é"}
    assert len(request.id) == 36


@pytest.mark.parametrize("parts", [[part(None)], [part(b""), part(b"more")], [part(b"", False)]])
def test_the_body_ends_with_the_part_after_which_no_more_come(parts: list[dict[str, Any]]) -> None:
    conversation = Conversation(*parts)
    conversation.run()
    assert conversation.requests[0].body == b""


def test_no_more_of_a_body_is_read_than_shows_that_it_is_too_large() -> None:
    conversation = Conversation(*[part(b"1234", True)] * 9)
    conversation.run()
    assert conversation.requests[0].body == b"1234" * 3
    assert len(conversation.received) == 6


def test_a_body_of_images_is_read_as_far_as_the_largest_that_a_contract_allows() -> None:
    conversation = Conversation(*[part(b"1234", True)] * 9)
    conversation.limit = 20
    conversation.run()
    assert conversation.requests[0].body == b"1234" * 6


def test_a_caller_that_is_gone_gets_no_answer() -> None:
    conversation = Conversation(part(b"half", True), {"type": "http.disconnect"})
    assert conversation.run() == []
    assert conversation.requests == []


def test_a_body_that_does_not_come_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#name-408-request-timeout"""
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.05)
    assert Conversation(part(b"half", True)).refusal() == (408, "timeout")


def test_no_more_predictions_than_the_limit_are_made_at_a_time() -> None:
    free = Conversation(part(b""), max_concurrency=1)
    assert free.run()[0]["status"] == 201
    assert free.app._predicting.total() == 0
    full = Conversation(part(b""), max_concurrency=1)
    full.app._predicting["m"] = 1
    assert full.refusal() == (503, "unavailable")
    assert (b"retry-after", b"1") in full.sent[0]["headers"]
    assert full.app._predicting == {"m": 1}


def test_a_failed_prediction_is_not_counted_for_ever() -> None:
    conversation = Conversation(part(b""))
    handler = conversation.app._service.handler
    conversation.app._service = cast(Any, SimpleNamespace(handler=handler, answer=None))
    with pytest.raises(TypeError):
        conversation.run()
    assert conversation.app._predicting.total() == 0


@pytest.mark.parametrize(
    ("models", "limit", "running", "status"),
    [
        *((1, 4, {"m": 3}, 201), (1, 4, {"m": 4}, 503)),
        *((2, 4, {"m": 1, "n": 2}, 201), (2, 4, {"m": 2}, 503), (2, 4, {"n": 2, "o": 2}, 503)),
        *((2, 1, {}, 201), (2, 1, {"n": 1}, 503)),
    ],
)
def test_one_of_several_models_has_half_of_the_predictions_at_a_time(
    models: int, limit: int, running: dict[str, int], status: int
) -> None:
    conversation = Conversation(part(b""), models=models, max_concurrency=limit)
    conversation.app._predicting.update(running)
    assert conversation.run()[0]["status"] == status
    assert +conversation.app._predicting == running


def test_bodies_that_are_being_read_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "READING_BYTES", 5)
    conversation = Conversation(part(b"1234", True), part(b"56", True), part(b"7"))
    assert conversation.refusal() == (503, "unavailable")
    assert conversation.app._reading == 0
    gone = Conversation(part(b"1234", True), {"type": "http.disconnect"})
    gone.run()
    assert gone.app._reading == 0


def test_captures_are_written_from_the_start_to_the_shutdown_of_the_server() -> None:
    """https://asgi.readthedocs.io/en/latest/specs/lifespan.html"""
    conversation = Conversation({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert conversation.run(kind="lifespan") == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
    assert conversation.captures == [
        "start",
        "read contracts",
        "read no more",
        f"close {asgi.FLUSH_SECONDS}",
    ]
    assert conversation.received == []


def test_the_server_is_quiet_hides_what_it_is_and_outlasts_the_front_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}
    settings = SimpleNamespace(host="h", port=1, max_concurrency=1, models={"m": None})
    monkeypatch.setattr(Service, "start", lambda environ: SimpleNamespace(settings=settings))
    monkeypatch.setattr("uvicorn.run", lambda app, **options: given.update(options))
    asgi.main()
    assert given == {
        "host": "h",
        "port": 1,
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "http": HttpProtocol,
        "ws": "none",
        "timeout_keep_alive": model_server.KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": asgi.SHUTDOWN_SECONDS,
    }


def test_what_runs_at_the_end_is_over_before_cloud_run_stops_the_process() -> None:
    """https://cloud.google.com/run/docs/container-contract#instance-shutdown"""
    assert asgi.SHUTDOWN_SECONDS + asgi.FLUSH_SECONDS < 10
