"""One process of a function, and the Runtime API and the Extensions API that it uses."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rehearsal.core.request_guard import refusal

INIT_SECONDS = 10.0
"""For the code outside the handler; Lambda then starts again, within the function's own timeout."""
STOP_SECONDS = 0.5
"""Between SIGTERM and SIGKILL, as for a function with an internal extension (Shutdown phase,
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html)."""

RUNTIME = "/2018-06-01/runtime"
EXTENSION = "/2020-01-01/extension"


class FunctionError(Exception):
    """The invocation failed inside the function; ``payload`` is what Lambda answers with
    ``X-Amz-Function-Error: Unhandled``."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        super().__init__(f"{payload.get('errorType')}: {payload.get('errorMessage')}")
        self.payload = payload


@dataclass(eq=False)
class Invocation:
    """One event, and its answer."""

    event: bytes
    deadline: float
    """As `time.time`."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    taken: set[str] = field(default_factory=set)
    """Who has received it: the runtime and each extension."""
    answer: bytes | None = None
    error: Mapping[str, Any] | None = None

    @property
    def answered(self) -> bool:
        return self.answer is not None or self.error is not None


class Sandbox:
    """One process, and the APIs that it uses."""

    def __init__(
        self,
        function: Mapping[str, Any],
        spawn: Callable[[str], subprocess.Popen[bytes]],
        stop: Callable[[subprocess.Popen[bytes], float], None],
    ) -> None:
        self.function = function
        self._stop = stop
        self._changed = threading.Condition()
        self._members = {"runtime"}
        """Who receives each event."""
        self._waiting: set[str] = set()
        """Who waits for the next event."""
        self._initialised = False
        self._init_error: Mapping[str, Any] | None = None
        self._ended = False
        self._invocation: Invocation | None = None
        self._server = Api(self)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            self._process = spawn(f"127.0.0.1:{self._server.server_port}")
        except BaseException:
            self._close()
            raise
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def alive(self) -> bool:
        return not self._ended

    def invoke(self, event: bytes) -> bytes:
        """The handler's answer. Raises `FunctionError`, also when the process cannot start."""
        timeout = self.function["timeout"]
        with self._changed:
            if not self._initialised:
                self._wait(lambda: self._ready or self._init_error, INIT_SECONDS + timeout)
                if self._init_error:
                    raise FunctionError(self._init_error)
                if not self._ready and not self._ended:
                    raise _timed_out("init", timeout)
                self._initialised = True
            invocation = Invocation(event, time.time() + timeout)
            if not self._ended:
                self._signal(signal.SIGCONT)
                self._invocation = invocation
                self._changed.notify_all()
                self._wait(lambda: invocation.answered, timeout)
            if invocation.answer is not None:
                return invocation.answer
            if invocation.error is not None:
                raise FunctionError(invocation.error)
            if self._ended:
                message = f"RequestId: {invocation.id} Error: Runtime exited"
                raise FunctionError({"errorType": "Runtime.ExitError", "errorMessage": message})
            raise _timed_out(invocation.id, timeout)

    def freeze(self) -> bool:
        """Wait until the runtime and the extensions have finished the invocation, then freeze.

        False: the process cannot be used any more, because it ended or did not finish in time.
        """
        with self._changed:
            if self._ended or self._invocation is None or not self._invocation.answered:
                return False
            self._wait(lambda: self._ready, self._invocation.deadline - time.time())
            if self._ended or not self._ready:
                return False
            self._signal(signal.SIGSTOP)
            return True

    def stop(self) -> None:
        """End the process, also a frozen one."""
        self._signal(signal.SIGCONT)
        self._stop(self._process, STOP_SECONDS)
        self._close()

    # Called by the APIs, on the server's threads.

    def register(self) -> str | None:
        """The identifier of a new extension; None when the process has finished its start."""
        with self._changed:
            if "runtime" in self._waiting or self._initialised:
                return None
            identifier = str(uuid.uuid4())
            self._members.add(identifier)
            return identifier

    def is_member(self, member: str) -> bool:
        return member in self._members

    def next(self, member: str) -> Invocation | None:
        """The next event for the runtime or an extension. Blocks; None when the process has ended."""
        with self._changed:
            self._waiting.add(member)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended or self._has_for(member))
            if self._ended or self._invocation is None:
                return None
            self._waiting.discard(member)
            self._invocation.taken.add(member)
            return self._invocation

    def answer(self, id: str, answer: bytes | None, error: Mapping[str, Any] | None) -> bool:
        """Store the runtime's answer to an invocation; False if it is not for the current one."""
        with self._changed:
            invocation = self._invocation
            if invocation is None or invocation.id != id or invocation.answered:
                return False
            invocation.answer, invocation.error = answer, error
            self._changed.notify_all()
            return True

    def fail_init(self, error: Mapping[str, Any]) -> None:
        """Store the runtime's report that the function's code could not be loaded."""
        with self._changed:
            self._init_error = error
            self._changed.notify_all()

    @property
    def _ready(self) -> bool:
        seen = self._invocation is None or self._members <= self._invocation.taken
        return seen and self._members <= self._waiting

    def _has_for(self, member: str) -> bool:
        return self._invocation is not None and member not in self._invocation.taken

    def _wait(self, done: Callable[[], object], seconds: float) -> None:
        self._changed.wait_for(lambda: self._ended or done(), seconds)

    def _watch(self) -> None:
        self._process.wait()
        self._close()

    def _close(self) -> None:
        with self._changed:
            first, self._ended = not self._ended, True
            self._changed.notify_all()
        if first:
            self._server.shutdown()
            self._server.server_close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)


def _timed_out(id: str, seconds: int) -> FunctionError:
    message = f"RequestId: {id} Error: Task timed out after {seconds}.00 seconds"
    return FunctionError({"errorType": "Sandbox.Timedout", "errorMessage": message})


class Api(ThreadingHTTPServer):
    """The Runtime API and the Extensions API of one process, on a loopback port."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Not logged: a killed process leaves broken connections."""


class Handler(BaseHTTPRequestHandler):
    """Routes of both APIs."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: unbuffered, Nagle's algorithm costs 40 ms
    server: Api

    def parse_request(self) -> bool:
        """Refuse what a page in a browser can send: an event contains the caller's key."""
        if not super().parse_request():
            return False
        headers = {name.lower(): value for name, value in self.headers.items()}
        if problem := refusal(headers, scheme="http", method=self.command):
            self.close_connection = True
            self._refuse("Forbidden", problem)
            return False
        return True

    def do_GET(self) -> None:
        sandbox = self.server.sandbox
        if self.path == f"{RUNTIME}/invocation/next":
            self._send_event(sandbox.next("runtime"))
        elif self.path == f"{EXTENSION}/event/next":
            member = self.headers.get("Lambda-Extension-Identifier", "")
            if not sandbox.is_member(member):
                self._refuse("Extension.UnknownExtensionIdentifier", "register first")
            elif invocation := sandbox.next(member):
                self._send(HTTPStatus.OK, self._extension_event(invocation))
            else:
                self.close_connection = True
        else:
            self._send(HTTPStatus.NOT_FOUND, {"errorMessage": "no such route"})

    def do_POST(self) -> None:
        sandbox = self.server.sandbox
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.path.removeprefix(RUNTIME).removeprefix(EXTENSION).split("/")[1:]:
            case ["invocation", id, "response"]:
                self._accept(sandbox.answer(id, body, None))
            case ["invocation", id, "error"]:
                self._accept(sandbox.answer(id, None, _error(body)))
            case ["init", "error"]:
                sandbox.fail_init(_error(body))
                self._accept(True)
            case ["register"]:
                self._register(sandbox, body)
            case _:
                self._send(HTTPStatus.NOT_FOUND, {"errorMessage": "no such route"})

    def _register(self, sandbox: Sandbox, body: bytes) -> None:
        if json.loads(body or b"{}").get("events", []) != ["INVOKE"]:
            message = "an internal extension may register for INVOKE only"
            self._refuse("ShutdownEventNotSupportedForInternalExtension", message)
        elif identifier := sandbox.register():
            function = sandbox.function
            known = {
                "functionName": function["name"],
                "functionVersion": function["version"],
                "handler": function["handler"],
            }
            self._send(HTTPStatus.OK, known, {"Lambda-Extension-Identifier": identifier})
        else:
            self._refuse("Extension.RegistrationClosed", "the start is over")

    def _send_event(self, invocation: Invocation | None) -> None:
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self.server.sandbox.function["arn"],
        }
        self._send(HTTPStatus.OK, invocation.event, headers)

    def _extension_event(self, invocation: Invocation) -> dict[str, Any]:
        return {
            "eventType": "INVOKE",
            "deadlineMs": int(invocation.deadline * 1000),
            "requestId": invocation.id,
            "invokedFunctionArn": self.server.sandbox.function["arn"],
        }

    def _accept(self, taken: bool) -> None:
        if taken:
            self._send(HTTPStatus.ACCEPTED, {"status": "OK"})
        else:
            self._send(HTTPStatus.BAD_REQUEST, {"errorType": "InvalidRequestID"})

    def _refuse(self, kind: str, message: str) -> None:
        self._send(HTTPStatus.FORBIDDEN, {"errorType": kind, "errorMessage": message})

    def _send(
        self, status: HTTPStatus, body: object, headers: Mapping[str, str] | None = None
    ) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Not logged: every request is part of Lambda's protocol."""


def _error(body: bytes) -> Mapping[str, Any]:
    try:
        error = json.loads(body)
    except ValueError:
        error = None
    return error if isinstance(error, dict) else {"errorType": "Runtime.Unknown"}
