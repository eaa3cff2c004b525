"""Captures: requests with their answers, written to the lake in the background.

One object has all captures that were waiting, one line of JSON a request, at
``dt=YYYY-MM-DD/hh=HH/<time>-<request id>.json``. Athena, BigQuery and Synapse can prune these partitions.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from gateway.lakes import Write
from gateway.logs import log

MAX_WAITING = 1000
"""The captures kept in memory while the lake is slow or unavailable. More are dropped and counted."""
RETRY_SECONDS = 5.0
"""The thread's pause after a failed write."""
KEPT_SECONDS = 15 * 60
"""So long a write is tried again: the permission to write comes up to ten minutes after the gateway itself.
https://learn.microsoft.com/azure/role-based-access-control/troubleshooting
https://cloud.google.com/iam/docs/access-change-propagation"""


@dataclass(frozen=True)
class Batch:
    """Captures that are, or will be, one object. Its name stays, so that a write twice is one object."""

    name: str
    data: bytes
    count: int
    since: float


class Captures:
    """A queue in front of the lake. `put` never waits; `drain` writes all waiting captures.

    What the lake does not take stays, and is written before anything else the next time.
    """

    def __init__(
        self, write: Write, clock: Callable[[], float] = time.monotonic, writers: int = 1
    ) -> None:
        self._write, self._clock = write, clock
        self._writers = ThreadPoolExecutor(writers, "write")
        """Of `write_now`: a client of a lake has no limit for a write with all its attempts."""
        self._waiting: queue.Queue[Mapping[str, Any] | None] = queue.Queue(MAX_WAITING)
        self._unwritten: deque[Batch] = deque()
        """Oldest first. Only `drain` or the thread touches it."""
        self._worker: threading.Thread | None = None
        self.dropped = 0

    def put(self, capture: Mapping[str, Any]) -> None:
        """Add a capture. It must have ``received_at`` (ISO 8601, UTC) and ``request_id``."""
        try:
            self._waiting.put_nowait(capture)
        except queue.Full:
            self._drop(1, "the queue is full")

    def write_now(self, capture: Mapping[str, Any], seconds: float) -> None:
        """Write one capture as an object of its own, and return.

        Raises whatever the lake's client raises, and TimeoutError after ``seconds``: the object may still come then.
        """
        batch = self._batch(_folder(capture), [capture])
        writing = self._writers.submit(self._write, batch.name, batch.data)
        try:
            writing.result(max(0.0, seconds))
        finally:
            writing.cancel()

    def drain(self) -> None:
        """Write all waiting captures, and return. Failures are logged, never raised."""
        self._store(list(self._take()))

    def start(self) -> None:
        """Write captures from a separate thread, as they arrive, until `close`."""
        self._worker = threading.Thread(target=self._work, name="captures", daemon=True)
        self._worker.start()

    def close(self, timeout: float) -> None:
        """Write the waiting captures, for at most ``timeout`` seconds, and stop the thread."""
        deadline = time.monotonic() + timeout
        if self._worker:
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=timeout)
            self._worker.join(max(0.0, deadline - time.monotonic()))
        if left := self._waiting.qsize() + sum(batch.count for batch in list(self._unwritten)):
            log("ERROR", "captures lost at shutdown", waiting=left)

    def _work(self) -> None:
        while True:
            try:
                first = self._waiting.get(timeout=RETRY_SECONDS if self._unwritten else None)
            except queue.Empty:
                self._write_all()
                continue
            if first is None:
                self._write_all()
                return
            self._store([first, *self._take()])

    def _take(self) -> Iterator[Mapping[str, Any]]:
        while True:
            try:
                capture = self._waiting.get_nowait()
            except queue.Empty:
                return
            if capture is None:
                self._waiting.put(None)
                return
            yield capture

    def _store(self, captures: list[Mapping[str, Any]]) -> None:
        captures.sort(key=lambda capture: str(capture["received_at"]))
        for folder, group in groupby(captures, _folder):
            self._unwritten.append(self._batch(folder, list(group)))
        self._write_all()

    def _batch(self, folder: str, captures: list[Mapping[str, Any]]) -> Batch:
        lines = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in captures)
        name = f"{folder}/{_name(captures[0])}.json"
        return Batch(name, lines.encode(), len(captures), self._clock())

    def _write_all(self) -> None:
        """Write what is unwritten. After the first failure no other write is tried: the lake takes none."""
        while self._unwritten:
            batch = self._unwritten[0]
            try:
                self._write(batch.name, batch.data)
            except Exception as error:
                cause = type(error).__name__
                log("WARNING", "captures are not written yet", count=batch.count, cause=cause)
                self._drop_old(cause)
                return
            self._unwritten.popleft()

    def _drop_old(self, cause: str) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        kept = sum(batch.count for batch in self._unwritten)
        while self._unwritten and (
            kept > MAX_WAITING or self._clock() - self._unwritten[0].since > KEPT_SECONDS
        ):
            batch = self._unwritten.popleft()
            kept -= batch.count
            self._drop(batch.count, cause)

    def _drop(self, count: int, cause: str) -> None:
        self.dropped += count
        log("ERROR", "captures dropped", count=count, total=self.dropped, cause=cause)


def _folder(capture: Mapping[str, Any]) -> str:
    received = _received(capture)
    return f"dt={received:%Y-%m-%d}/hh={received:%H}"


def _name(capture: Mapping[str, Any]) -> str:
    return f"{_received(capture):%Y%m%dT%H%M%S.%fZ}-{capture['request_id']}"


def _received(capture: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(capture["received_at"])).astimezone(UTC)
