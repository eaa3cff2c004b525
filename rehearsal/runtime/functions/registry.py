"""The functions, their code and their environment. They are stored, so that they exist after a restart."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.core.store import KeyValues
from rehearsal.runtime.functions.pool import NoSuchFunction, Pool
from rehearsal.runtime.functions.sandbox import Sandbox
from rehearsal.runtime.processes import Processes, last_lines
from rehearsal.runtime.program_environment import confined

logger = logging.getLogger(__name__)
IDLE_SECONDS = 300.0
CLOSE_SECONDS = 3.0
FUNCTIONS = "functions"
"""The namespace of the functions."""


@dataclass(frozen=True, kw_only=True)
class Function:
    """What to run. It is stored, so that it can run again after a restart."""

    name: str
    version: str
    arn: str
    region: str
    code: bytes = field(repr=False)
    """The zip."""
    handler: str
    runtime: str
    """``python3.13``: only reported to the function, see the package's docstring."""
    env: Mapping[str, str]
    """The function's own variables."""
    platform_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What Lambda adds: credentials of the role, where AWS is."""
    timeout: int
    """Seconds."""
    memory_mb: int
    max_concurrency: int | None = None
    """Reserved concurrency; None: no limit of its own."""


class Functions:
    """Lambda functions by key; a new function under the same key takes over from the former one."""

    def __init__(self, state_dir: Path, kv: KeyValues, processes: Processes) -> None:
        self._kv = kv
        self._processes = processes
        self._folder = state_dir / "functions"
        self._logs = state_dir / "logs"
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(64, "lambda")
        threading.Thread(target=self._retire_idle, name="lambda-idle", daemon=True).start()

    def run(self, key: str, function: Function) -> None:
        """Set the function of ``key``. Running invocations finish in their processes.

        No process is started: as on Lambda, the first invocation does. Callable from any thread.
        """
        code = hashlib.sha256(function.code).hexdigest()
        _unpack(function.code, self._folder / code)
        stored = {**asdict(function), "code": code}
        if self._kv.get(FUNCTIONS, key) != stored:
            self._kv.put(FUNCTIONS, key, stored)
            with self._lock:
                if pool := self._pools.get(key):
                    pool.replace(stored)

    def stop(self, key: str) -> None:
        """Stop and forget a function; an unknown key is ignored."""
        self._kv.delete(FUNCTIONS, key)
        with self._lock:
            pool = self._pools.pop(key, None)
        if pool:
            pool.replace(None)
        used = {stored["code"] for stored in self._kv.items(FUNCTIONS).values()}
        for folder in self._folder.glob("?" * 64):
            if folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)

    async def invoke(self, key: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """The handler's result for ``event``, as soon as it exists: extensions may still be working.

        Raises `TooManyRequests`, `FunctionError`, `NoSuchFunction`.
        """
        payload = json.dumps(event).encode()
        pool = self._pool(key)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, pool.invoke, payload)
        result: dict[str, Any] = json.loads(answer)
        return result

    def logs(self, key: str, lines: int = 50) -> str:
        """The last lines of the function's log."""
        return last_lines(self._log(key), lines)

    def close(self) -> None:
        """Stop every process after its invocation; the functions stay stored."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.replace(None)
        for pool in pools:
            pool.wait(CLOSE_SECONDS)

    def _log(self, key: str) -> Path:
        return self._logs / f"lambda-{_safe(key)}.log"

    def _pool(self, key: str) -> Pool:
        with self._lock:
            if key not in self._pools:
                stored = self._kv.get(FUNCTIONS, key)
                if stored is None:
                    raise NoSuchFunction(key)
                self._pools[key] = Pool(stored, lambda found: self._start(key, found))
            return self._pools[key]

    def _start(self, key: str, function: Mapping[str, Any]) -> Sandbox:
        code, log = self._folder / function["code"], self._log(key)

        def spawn(runtime_api: str) -> subprocess.Popen[bytes]:
            scratch = self._folder / "tmp"
            scratch.mkdir(parents=True, exist_ok=True)
            return self._processes.spawn(
                [sys.executable, "-m", "awslambdaric", function["handler"]],
                key=f"lambda {key}",
                log=log,
                env=_environment(function, code, scratch, runtime_api),
                cwd=code,
            )

        return Sandbox(function, spawn, self._processes.stop)

    def _retire_idle(self) -> None:
        while True:
            time.sleep(IDLE_SECONDS / 10)
            with self._lock:
                pools = list(self._pools.values())
            for pool in pools:
                pool.retire(IDLE_SECONDS)


def _unpack(archive: bytes, folder: Path) -> None:
    """Unpack once; an existing folder is complete."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent))
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(part)
    try:
        part.rename(folder)
    except OSError:  # another thread was first
        shutil.rmtree(part)


def _safe(key: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in key)


def _environment(
    function: Mapping[str, Any], code: Path, scratch: Path, runtime_api: str
) -> dict[str, str]:
    """The environment of a function, without the variables of the deployer
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""
    own, shortened = confined(function["env"], [code], code)
    if shortened:
        logger.warning("%s: outside of its code, left out of %s", function["name"], shortened)
    return {
        **own,
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        # Not the deployer's home: boto3 would read ~/.aws there.
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
