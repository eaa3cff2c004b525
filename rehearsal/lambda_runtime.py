"""AWS Lambda on a laptop: functions run as local processes under AWS's own runtime client.

Each process (Lambda's "execution environment") has `awslambdaric`, the client inside Lambda's Python
runtimes, and an HTTP server of its own here that plays the two APIs which Lambda offers it:
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (2018-06-01) and
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html (2020-01-01).

As on Lambda, a process handles one invocation at a time, is kept warm, is frozen from the moment the
runtime and its internal extensions have asked for the next event until there is one, and is killed
when an invocation exceeds its timeout. Not as on Lambda: the interpreter is the rehearsal's own, the
memory size is only recorded, and above `PROCESSES` at a time invocations wait for a warm process.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rehearsal.world import World

PROCESSES = 4
"""Of one function at a time: more cold starts at once than this are slower than waiting, on 2 cores."""
INIT_SECONDS = 10.0
"""For the code outside the handler; Lambda then starts again, within the function's own timeout."""
IDLE_SECONDS = 300.0
STOP_SECONDS = 0.5
"""Between SIGTERM and SIGKILL, as for a function with an internal extension (Shutdown phase,
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html)."""
CLOSE_SECONDS = 3.0

RUNTIME = "/2018-06-01/runtime"
EXTENSION = "/2020-01-01/extension"


@dataclass(frozen=True, kw_only=True)
class Function:
    """What to run. All of it is stored, so that it runs again after a restart."""

    name: str
    version: str
    arn: str
    region: str
    code: bytes = field(repr=False)
    """The zip."""
    handler: str
    runtime: str
    """``python3.13``: told to the function, see the module's docstring."""
    env: Mapping[str, str]
    """The function's own variables."""
    platform_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What Lambda adds: credentials of the role, where AWS is."""
    timeout: int
    """Seconds."""
    memory_mb: int
    max_concurrency: int | None = None
    """Reserved concurrency; None: no limit of its own."""


class TooManyRequests(Exception):
    """The reserved concurrency is in use (TooManyRequestsException, 429)."""

    code = "TooManyRequestsException"


class FunctionError(Exception):
    """The invocation failed inside the function; ``payload`` is what Lambda answers with
    ``X-Amz-Function-Error: Unhandled``."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        super().__init__(f"{payload.get('errorType')}: {payload.get('errorMessage')}")
        self.payload = payload


class Functions:
    """Lambda functions, each behind a key; another function under the same key takes over."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(64, "lambda")
        threading.Thread(target=self._retire_idle, name="lambda-idle", daemon=True).start()

    def run(self, key: str, function: Function) -> None:
        """Make ``function`` the one behind ``key``. Invocations under way finish where they are.

        Nothing is started: as on Lambda, the first invocation does. Callable from any thread.
        """
        code = hashlib.sha256(function.code).hexdigest()
        _unpack(function.code, self._folder / code)
        stored = {**asdict(function), "code": code}
        if self._world.kv.get("functions", key) != stored:
            self._world.kv.put("functions", key, stored)
            with self._lock:
                if pool := self._pools.get(key):
                    pool.replace(stored)

    def stop(self, key: str) -> None:
        """Stop and forget. Unknown keys are fine."""
        self._world.kv.delete("functions", key)
        with self._lock:
            pool = self._pools.pop(key, None)
        if pool:
            pool.replace(None)
        used = {stored["code"] for stored in self._world.kv.items("functions").values()}
        for folder in self._folder.glob("?" * 64):
            if folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)

    async def invoke(self, key: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """The handler's result for ``event``, as soon as it is there: extensions may still be at work.

        Raises `TooManyRequests`, `FunctionError`, `KeyError` for a key that nothing runs behind.
        """
        payload = json.dumps(event).encode()
        pool = self._pool(key)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, pool.invoke, payload)
        result: dict[str, Any] = json.loads(answer)
        return result

    def logs(self, key: str, lines: int = 50) -> str:
        """The end of what the function wrote."""
        log = self._log(key)
        return (
            "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
        )

    def close(self) -> None:
        """Stop every process, once its invocation is done; the functions stay known."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.replace(None)
        for pool in pools:
            pool.wait(CLOSE_SECONDS)

    @property
    def _folder(self) -> Path:
        return self._world.state_dir / "functions"

    def _log(self, key: str) -> Path:
        return self._world.state_dir / "logs" / f"lambda-{_safe(key)}.log"

    def _pool(self, key: str) -> Pool:
        with self._lock:
            if key not in self._pools:
                stored = self._world.kv.get("functions", key)
                if stored is None:
                    raise KeyError(key)
                self._pools[key] = Pool(stored, lambda found: self._start(key, found))
            return self._pools[key]

    def _start(self, key: str, function: Mapping[str, Any]) -> Sandbox:
        code, log = self._folder / function["code"], self._log(key)

        def spawn(runtime_api: str) -> subprocess.Popen[bytes]:
            scratch = self._folder / "tmp"
            scratch.mkdir(parents=True, exist_ok=True)
            return self._world.children.spawn(
                [sys.executable, "-m", "awslambdaric", function["handler"]],
                key=f"lambda {key}",
                log=log,
                env=_environment(function, code, scratch, runtime_api),
                cwd=code,
            )

        return Sandbox(function, spawn, self._world.children.stop)

    def _retire_idle(self) -> None:
        while True:
            time.sleep(IDLE_SECONDS / 10)
            with self._lock:
                pools = list(self._pools.values())
            for pool in pools:
                pool.retire(IDLE_SECONDS)


def _unpack(archive: bytes, folder: Path) -> None:
    """Unpack once; a folder that is there is whole."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent))
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(part)
    try:
        part.rename(folder)
    except OSError:  # somebody else was first
        shutil.rmtree(part)


def _safe(key: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in key)


def _environment(
    function: Mapping[str, Any], code: Path, scratch: Path, runtime_api: str
) -> dict[str, str]:
    """What a function finds in its environment, and nothing of the engineer's own
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""
    return {
        **function["env"],
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        # A home of its own, or boto3 would read the engineer's ~/.aws.
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "_HANDLER": function["handler"],
        "LAMBDA_TASK_ROOT": str(code),
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_FUNCTION_NAME": function["name"],
        "AWS_LAMBDA_FUNCTION_VERSION": function["version"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function["memory_mb"]),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function['runtime']}",
        "AWS_REGION": function["region"],
        "AWS_DEFAULT_REGION": function["region"],
        **function["platform_env"],
    }


class Pool:
    """The processes of one function."""

    def __init__(
        self, function: Mapping[str, Any], start: Callable[[Mapping[str, Any]], Sandbox]
    ) -> None:
        self._function: Mapping[str, Any] | None = function
        self._start = start
        self._changed = threading.Condition()
        self._idle: list[tuple[float, Sandbox]] = []
        self._running = 0
        """Processes, warm ones included."""
        self._invocations = 0

    def invoke(self, event: bytes) -> bytes:
        """The function's answer. Blocks until it is there, not until the process is idle again."""
        with self._changed:
            if self._function is None:
                raise KeyError("the function was deleted")
            limit = self._function["max_concurrency"]
            if limit is not None and self._invocations >= limit:
                raise TooManyRequests(f"Rate Exceeded: {limit} invocations are under way.")
            self._invocations += 1
        sandbox = None
        try:
            sandbox = self._take()
            return sandbox.invoke(event)
        finally:
            # The concurrency is in use until the extensions are done, as on Lambda.
            threading.Thread(target=self._give_back, args=(sandbox,), daemon=True).start()

    def replace(self, function: Mapping[str, Any] | None) -> None:
        """Use another function from now on; None: no longer any."""
        with self._changed:
            self._function = function
            former = [sandbox for _, sandbox in self._idle]
            self._idle.clear()
        for sandbox in former:
            self._stop(sandbox)

    def wait(self, seconds: float) -> None:
        """Wait until no process is left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, seconds)

    def retire(self, idle_seconds: float) -> None:
        """Stop processes that were not needed for so long."""
        with self._changed:
            limit = time.monotonic() - idle_seconds
            old = [sandbox for since, sandbox in self._idle if since < limit]
            self._idle = [each for each in self._idle if each[0] >= limit]
        for sandbox in old:
            self._stop(sandbox)

    def _take(self) -> Sandbox:
        """The process that was used last, a new one, or the first that becomes free."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._idle or self._running < PROCESSES)
                if self._function is None:
                    raise KeyError("the function was deleted")
                if not self._idle:
                    self._running += 1
                    function = self._function
                    break
                _, sandbox = self._idle.pop()
                if sandbox.alive:
                    return sandbox
                self._running -= 1
        try:
            return self._start(function)
        except BaseException:
            self._ended()
            raise

    def _give_back(self, sandbox: Sandbox | None) -> None:
        usable = sandbox is not None and sandbox.settle()
        with self._changed:
            self._invocations -= 1
            keep = usable and sandbox is not None and sandbox.function is self._function
            if sandbox and keep:
                self._idle.append((time.monotonic(), sandbox))
                self._changed.notify_all()
        if sandbox and not keep:
            self._stop(sandbox)

    def _stop(self, sandbox: Sandbox) -> None:
        sandbox.stop()
        self._ended()

    def _ended(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()


@dataclass(eq=False)
class Invocation:
    """One event on its way through a process."""

    event: bytes
    deadline: float
    """As `time.time`."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    taken: set[str] = field(default_factory=set)
    """Who has seen it: the runtime and each extension."""
    answer: bytes | None = None
    error: Mapping[str, Any] | None = None

    @property
    def answered(self) -> bool:
        return self.answer is not None or self.error is not None


class Sandbox:
    """One process, and the APIs that it talks to."""

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
        """Who is to see each event."""
        self._asking: set[str] = set()
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

    def settle(self) -> bool:
        """Wait until the runtime and the extensions are done with the invocation, then freeze.

        False: the process is of no further use, because it ended or was not done in time.
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
        """End the process; a frozen one too."""
        self._signal(signal.SIGCONT)
        self._stop(self._process, STOP_SECONDS)
        self._close()

    # What the APIs call, on the server's threads.

    def register(self) -> str | None:
        """The identifier of a new extension; None when the process has finished its start."""
        with self._changed:
            if "runtime" in self._asking or self._initialised:
                return None
            identifier = str(uuid.uuid4())
            self._members.add(identifier)
            return identifier

    def knows(self, member: str) -> bool:
        return member in self._members

    def next(self, member: str) -> Invocation | None:
        """The next event for the runtime or an extension. Blocks; None when there is no more."""
        with self._changed:
            self._asking.add(member)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended or self._has_for(member))
            if self._ended or self._invocation is None:
                return None
            self._asking.discard(member)
            self._invocation.taken.add(member)
            return self._invocation

    def answer(self, id: str, answer: bytes | None, error: Mapping[str, Any] | None) -> bool:
        """Take the runtime's answer to an invocation; False when it is not for the present one."""
        with self._changed:
            invocation = self._invocation
            if invocation is None or invocation.id != id or invocation.answered:
                return False
            invocation.answer, invocation.error = answer, error
            self._changed.notify_all()
            return True

    def fail_init(self, error: Mapping[str, Any]) -> None:
        """The runtime says that the function's code could not be loaded."""
        with self._changed:
            self._init_error = error
            self._changed.notify_all()

    @property
    def _ready(self) -> bool:
        seen = self._invocation is None or self._members <= self._invocation.taken
        return seen and self._members <= self._asking

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
    """The Runtime API and the Extensions API of one process, on a loopback port of its own."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed process leaves broken connections; there is nothing to say about them."""


class Handler(BaseHTTPRequestHandler):
    """Routes of both APIs."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: unbuffered, Nagle's algorithm costs 40 ms
    server: Api

    def do_GET(self) -> None:
        sandbox = self.server.sandbox
        if self.path == f"{RUNTIME}/invocation/next":
            self._send_event(sandbox.next("runtime"))
        elif self.path == f"{EXTENSION}/event/next":
            member = self.headers.get("Lambda-Extension-Identifier", "")
            if not sandbox.knows(member):
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
        """Every request here is one of Lambda's own: not worth a line."""


def _error(body: bytes) -> Mapping[str, Any]:
    try:
        error = json.loads(body)
    except ValueError:
        error = None
    return error if isinstance(error, dict) else {"errorType": "Runtime.Unknown"}
