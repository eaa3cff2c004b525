"""Functions under AWS's own runtime client: one process an invocation, warm, frozen, rolled, timed out."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import textwrap
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import pytest
from cryptography.fernet import Fernet

from rehearsal.core.store import KeyValues, Store
from rehearsal.runtime.functions.pool import NoSuchFunction, TooManyRequests
from rehearsal.runtime.functions.registry import Function, Functions
from rehearsal.runtime.functions.sandbox import FunctionError
from rehearsal.runtime.processes import Processes

pytestmark = pytest.mark.emulator

REPOSITORY = Path(__file__).parents[3]

ECHO = """
import os
loads = []
def handler(event, context):
    loads.append(event)
    return {"pid": os.getpid(), "calls": len(loads), "event": event, "request": context.aws_request_id,
            "environment": dict(os.environ), "left": context.get_remaining_time_in_millis()}
"""
SLOW = """
import os, time
def handler(event, context):
    time.sleep(event["seconds"])
    return os.getpid()
"""
# Writes to a file 0.3 s after each answer, in an internal extension.
AFTER = """
import os, threading, time
from http.client import HTTPConnection
api = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
api.request("POST", "/2020-01-01/extension/register", '{"events": ["INVOKE"]}', {"Lambda-Extension-Name": "after"})
response = api.getresponse()
response.read()
me = {"Lambda-Extension-Identifier": response.headers["Lambda-Extension-Identifier"]}
answered = threading.Semaphore(0)
def run():
    while True:
        api.request("GET", "/2020-01-01/extension/event/next", headers=me)
        api.getresponse().read()
        answered.acquire()
        time.sleep(0.3)
        with open(os.environ["WITNESS"], "a") as file:
            file.write("done\\n")
threading.Thread(target=run, daemon=True).start()
def handler(event, context):
    answered.release()
    return os.getpid()
"""


def zipped(source: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("app.py", textwrap.dedent(source))
    return out.getvalue()


def function(source: str | bytes, **changes: Any) -> Function:
    settings: dict[str, Any] = {
        "name": "f",
        "version": "1",
        "arn": "arn:aws:lambda:eu-west-1:123456789012:function:f:1",
        "region": "eu-west-1",
        "code": source if isinstance(source, bytes) else zipped(source),
        "handler": "app.handler",
        "runtime": "python3.13",
        "env": {},
        "timeout": 10,
        "memory_mb": 256,
    }
    return Function(**(settings | changes))


class Lambda:
    """`Functions` in a separate state folder, called synchronously."""

    def __init__(self, folder: Path) -> None:
        key = folder / "key"
        if not key.exists():
            key.write_bytes(Fernet.generate_key())
        self.store = Store(folder / "state.db", key.read_bytes())
        self.processes = Processes(self.store)
        self.functions = Functions(folder, KeyValues(self.store), self.processes)
        self.run = self.functions.run

    def invoke(self, event: Any = None, key: str = "k") -> Any:
        return asyncio.run(self.functions.invoke(key, event or {}))

    def later(self, event: Any) -> tuple[threading.Thread, list[Any]]:
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(self.invoke(event)))
        thread.start()
        return thread, answers

    def close(self) -> None:
        self.functions.close()
        self.processes.stop_all()
        self.store.close()


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Lambda]:
    running = Lambda(tmp_path)
    yield running
    running.close()


def eventually(look: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "not seen in time"
        time.sleep(0.02)
    return found


def under_way(aws: Lambda) -> int:
    pool = aws.functions._pools.get("k")
    return pool._invocations if pool else 0


def test_a_function_answers_in_a_separate_environment(
    aws: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINEERS_OWN", "must not be seen")
    aws.run("k", function(ECHO, env={"A": "b"}, platform_env={"AWS_ENDPOINT_URL": "http://x"}))
    answer = aws.invoke({"hello": [1, None, "é"]})
    assert answer["event"] == {"hello": [1, None, "é"]}
    assert len(answer["request"]) == 36
    assert 0 < answer["left"] <= 10_000
    environment = answer["environment"]
    assert environment["A"] == "b"
    assert environment["AWS_REGION"] == "eu-west-1"
    assert environment["AWS_ENDPOINT_URL"] == "http://x"
    assert "ENGINEERS_OWN" not in environment
    assert environment["HOME"] != os.environ.get("HOME")


def test_settings_of_a_function_load_no_code_from_outside_of_its_archive(
    aws: Lambda, tmp_path: Path
) -> None:
    outside = tmp_path / "lake"
    outside.mkdir()
    witness = tmp_path / "witness"
    (outside / "sitecustomize.py").write_text(f"open({str(witness)!r}, 'w')")
    settings = {
        "PYTHONPATH": f"lib:{outside}",
        "LD_LIBRARY_PATH": str(outside),
        "OPENSSL_CONF": f"{outside}/openssl.cnf",
        "AWS_CONFIG_FILE": f"{outside}/config",
        "NODE_OPTIONS": f"--require={outside}/any.js",
    }
    aws.run("k", function(ECHO, env=settings))
    environment = aws.invoke({})["environment"]
    assert not witness.exists()
    assert environment["PYTHONPATH"] == "lib"
    assert str(outside) not in str(environment)


def test_a_warm_process_is_used_again_and_frozen_in_between(aws: Lambda) -> None:
    aws.run("k", function(ECHO))
    first = aws.invoke()
    eventually(lambda: psutil.Process(first["pid"]).status() == psutil.STATUS_STOPPED)
    second = aws.invoke()
    assert (second["pid"], second["calls"]) == (first["pid"], 2)
    assert second["request"] != first["request"]


def test_the_answer_does_not_wait_for_the_extension_but_the_next_event_does(
    aws: Lambda, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    aws.run("k", function(AFTER, env={"WITNESS": str(witness)}, max_concurrency=1))
    pid = aws.invoke()
    assert not witness.exists(), "the answer waited for the extension"
    with pytest.raises(TooManyRequests):
        aws.invoke()
    eventually(witness.exists)
    eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    assert aws.invoke() == pid
    eventually(lambda: witness.read_text().count("done") == 2)


def test_each_running_invocation_has_a_process_up_to_the_reserved_concurrency(
    aws: Lambda,
) -> None:
    aws.run("k", function(SLOW, max_concurrency=2))
    first, second = aws.later({"seconds": 1.5}), aws.later({"seconds": 1.5})
    eventually(lambda: under_way(aws) == 2)
    with pytest.raises(TooManyRequests):
        aws.invoke({"seconds": 0})
    for thread, _ in (first, second):
        thread.join()
    assert first[1] != second[1]


def test_another_version_takes_over_while_the_running_invocation_finishes(aws: Lambda) -> None:
    aws.run("k", function(SLOW))
    thread, answers = aws.later({"seconds": 1.0})
    eventually(lambda: under_way(aws) == 1)
    aws.run("k", function("def handler(event, context):\n    return 'new'"))
    assert aws.invoke() == "new"
    thread.join()
    assert isinstance(answers[0], int)
    eventually(lambda: not psutil.pid_exists(answers[0]))


def test_an_invocation_above_the_timeout_is_killed_and_reported_as_by_lambda(aws: Lambda) -> None:
    aws.run("k", function(SLOW, timeout=1))
    warm = aws.invoke({"seconds": 0})
    eventually(lambda: psutil.Process(warm).status() == psutil.STATUS_STOPPED)
    with pytest.raises(FunctionError, match=r"Task timed out after 1\.00 seconds"):
        aws.invoke({"seconds": 30})
    eventually(lambda: not psutil.pid_exists(warm))
    assert aws.invoke({"seconds": 0}) != warm


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("def handler(event, context):\n    raise ValueError('no')", "ValueError", "no"),
        ("raise RuntimeError('wrong environment')", "RuntimeError", "wrong environment"),
        ("import os\ndef handler(event, context):\n    os._exit(3)", "Runtime.ExitError", "exited"),
        ("def other(): pass", "Runtime.HandlerNotFound", "handler"),
    ],
    ids=["raises", "fails to load", "exits", "has no handler"],
)
def test_the_error_of_a_failed_function_is_reported(
    aws: Lambda, source: str, error: str, message: str
) -> None:
    aws.run("k", function(source))
    with pytest.raises(FunctionError) as failed:
        aws.invoke()
    assert failed.value.payload["errorType"] == error
    assert message in failed.value.payload["errorMessage"]


def test_functions_exist_after_a_restart_and_not_after_stop(tmp_path: Path) -> None:
    before = Lambda(tmp_path)
    before.run("k", function(ECHO))
    before.close()
    after = Lambda(tmp_path)
    try:
        pid = after.invoke()["pid"]
        after.functions.stop("k")
        eventually(lambda: not psutil.pid_exists(pid))
        with pytest.raises(NoSuchFunction):
            after.invoke()
        assert not list((tmp_path / "functions").glob("?" * 64))
    finally:
        after.close()


def test_idle_processes_are_stopped(aws: Lambda) -> None:
    aws.run("k", function(ECHO))
    pid = aws.invoke()["pid"]
    eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    aws.functions._pools["k"].retire(60)
    assert psutil.pid_exists(pid)
    time.sleep(0.1)
    aws.functions._pools["k"].retire(0.05)
    assert not psutil.pid_exists(pid)
    assert aws.invoke()["pid"] != pid


def test_the_output_of_a_function_is_in_its_log(aws: Lambda) -> None:
    aws.run("k", function("def handler(event, context):\n    print('seen')"))
    assert aws.invoke() is None
    eventually(lambda: "seen" in aws.functions.logs("k"))


class Aws(ThreadingHTTPServer):
    """Answers for SageMaker, has an artifact in S3, and takes objects slowly."""

    block_on_close = False
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AwsHandler)
        self.objects: dict[str, bytes] = {}
        contract = (REPOSITORY / "tests" / "contracts" / "flight-delay.json").read_bytes()
        text = f"{hashlib.sha256(contract).hexdigest()}  contract.json\n".encode()
        self.artifact = {"contract.json": contract, "version.txt": text}
        self.version = hashlib.sha256(text).hexdigest()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class AwsHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Aws

    def do_GET(self) -> None:
        content = self.server.artifact[self.path.rpartition("/")[2]]
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.path == "/endpoints/flights/invocations"
        predictions = [{"probability": 0.25, "late": False} for _ in json.loads(body)["instances"]]
        version = self.server.version
        answer = json.dumps({"predictions": predictions, "model_version": version}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_PUT(self) -> None:
        chunks = self.rfile.read(int(self.headers["content-length"]))
        time.sleep(0.5)
        self.server.objects[unquote(self.path)] = chunks
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_the_gateway_answers_first_and_then_writes_its_capture(aws: Lambda) -> None:
    folder = REPOSITORY / "lambda"
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        for path in (folder / "gateway").iterdir():
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    cloud = Aws()
    aws.run(
        "k",
        function(
            code.getvalue(),
            handler="gateway.lambda_handler.handler",
            timeout=30,
            env={
                "ENDPOINT_KIND": "sagemaker",
                "MODELS": json.dumps({"flight-delay": [cloud.version, "flights"]}),
                "MODELS_URI": "s3://lake/models",
                "CAPTURE_URI": "s3://lake/captures",
                "ACCESS": "public",
            },
            platform_env={
                "AWS_ENDPOINT_URL": cloud.url,
                "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "example",
            },
        ),
    )
    example = json.loads(cloud.artifact["contract.json"])["example"]
    event = {
        "rawPath": "/predict",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST"}},
        "body": json.dumps({"instances": [example]}),
        "isBase64Encoded": False,
    }
    answers = []
    for count in (1, 2):
        answers.append(aws.invoke(event))
        assert len(cloud.objects) < count, "the answer waited for its capture"
        eventually(partial(lambda wanted: len(cloud.objects) == wanted, count))
    assert [answer["statusCode"] for answer in answers] == [200, 200]
    name, capture = list(cloud.objects.items())[-1]
    assert name.startswith("/lake/captures/model=flight-delay/dt=")
    assert f'"model_version":"{cloud.version}"'.encode() in capture
    assert json.dumps(example, separators=(",", ":")).encode() in capture
    assert "captures are written before" not in aws.functions.logs("k")
    cloud.shutdown()
