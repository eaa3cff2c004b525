"""The processes of one function: their number, and which of them takes the next invocation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.runtime.functions.sandbox import Sandbox

PROCESSES = 4
"""At most, for one function. On 2 cores, more cold starts at once are slower than waiting."""


class NoSuchFunction(Exception):
    """There is no function of this key, or no more."""


class TooManyRequests(Exception):
    """The reserved concurrency is in use (TooManyRequestsException, 429)."""

    code = "TooManyRequestsException"


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
        """The function's answer. Blocks until it exists, not until the process is idle again."""
        with self._changed:
            if self._function is None:
                raise NoSuchFunction("the function was deleted")
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
        """Use another function from now on; None: the function is deleted."""
        with self._changed:
            self._function = function
            former = [sandbox for _, sandbox in self._idle]
            self._idle.clear()
        for sandbox in former:
            self._stop(sandbox)

    def wait(self, seconds: float) -> None:
        """Wait until no process exists any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, seconds)

    def retire(self, idle_seconds: float) -> None:
        """Stop the processes that were idle for that long."""
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
                    raise NoSuchFunction("the function was deleted")
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
        usable = sandbox is not None and sandbox.freeze()
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
