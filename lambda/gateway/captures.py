"""Captures: requests with their answers, written to the lake in the background.

One object has all captures of one model that were waiting, one line of JSON a request, at
``model=<name>/dt=YYYY-MM-DD/hh=HH/<time>-<request id>.json``. Athena, BigQuery and Synapse can prune these partitions.
"""

from __future__ import annotations

import asyncio
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

from gateway.json_text import json_text
from gateway.lakes import Write
from gateway.logs import log

MAX_WAITING = 1000
"""The captures kept in memory, with those that are being written: more are dropped and counted. A killed gateway loses no more."""
MAX_WAITING_BYTES = 32 * 1024**2
"""The same in bytes, as they are written. A batch exists twice while it is made, and the smallest gateway has 512 MiB."""
RETRY_SECONDS = 5.0
"""The thread's pause after a failed write."""
KEPT_SECONDS = 15 * 60
"""So long a write is tried again: the permission to write comes up to ten minutes after the gateway itself.
https://learn.microsoft.com/azure/role-based-access-control/troubleshooting
https://cloud.google.com/iam/docs/access-change-propagation"""


@dataclass(frozen=True, order=True)
class Line:
    """A capture as the lake has it, and the name of an object that begins with it. Names sort by time."""

    name: str
    data: bytes

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]


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

    One write follows another, each with all that came during the one before. So what a killed gateway loses came in its last
    two writes: the one that is cut off has what came during the one before it. An object has captures of one model and one hour:
    with several models, or at the turn of an hour, a write of what was waiting is several objects.
    """

    def __init__(
        self, write: Write, clock: Callable[[], float] = time.monotonic, writers: int = 1
    ) -> None:
        self._write, self._clock = write, clock
        self._writers = ThreadPoolExecutor(writers, "write")
        """Of `written`: a client of a lake has no limit for a write with all its attempts."""
        self._waiting: queue.Queue[Line | None] = queue.Queue()
        self._unwritten: deque[Batch] = deque()
        """Oldest first. Only `drain` or the thread touches it."""
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()
        self._count = self._bytes = 0
        """Of what is waiting, unwritten or being written. Changed with the lock, as `dropped` is."""
        self.dropped = 0

    def put(self, capture: Mapping[str, Any]) -> None:
        """Add a capture. It must have ``model``, ``received_at`` (ISO 8601, UTC) and ``request_id``."""
        line = _line(capture)
        size = len(line.data)
        with self._lock:
            is_full = self._count >= MAX_WAITING or self._bytes + size > MAX_WAITING_BYTES
            if not is_full:
                self._count, self._bytes = self._count + 1, self._bytes + size
        if is_full:
            self._drop(1, "the queue is full")
        else:
            self._waiting.put(line)

    async def written(self, capture: Mapping[str, Any], seconds: float) -> None:
        """Write one capture as an object of its own, and return.

        Raises whatever the lake's client raises, and TimeoutError after ``seconds``: the object may still come then.
        """
        line = _line(capture)
        writing = self._writers.submit(self._write, line.name, line.data)
        async with asyncio.timeout(max(0.0, seconds)):
            # Given up before it began, it is cancelled: the future that is awaited passes that on.
            await asyncio.wrap_future(writing)

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
            self._waiting.put(None)
            self._worker.join(max(0.0, deadline - time.monotonic()))
        if self._count:
            log("ERROR", "captures lost at shutdown", waiting=self._count)

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

    def _take(self) -> Iterator[Line]:
        while True:
            try:
                line = self._waiting.get_nowait()
            except queue.Empty:
                return
            if line is None:
                self._waiting.put(None)
                return
            yield line

    def _store(self, lines: list[Line]) -> None:
        for _, group in groupby(sorted(lines), lambda line: line.folder):
            first, *others = group
            data = b"".join(line.data for line in (first, *others))
            self._unwritten.append(Batch(first.name, data, 1 + len(others), self._clock()))
        self._write_all()

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
            self._forget(self._unwritten.popleft())

    def _drop_old(self, cause: str) -> None:
        while self._unwritten and self._clock() - self._unwritten[0].since > KEPT_SECONDS:
            batch = self._unwritten.popleft()
            self._forget(batch)
            self._drop(batch.count, cause)

    def _forget(self, batch: Batch) -> None:
        with self._lock:
            self._count, self._bytes = self._count - batch.count, self._bytes - len(batch.data)

    def _drop(self, count: int, cause: str) -> None:
        with self._lock:
            self.dropped += count
            total = self.dropped
        log("ERROR", "captures dropped", count=count, total=total, cause=cause)


def _line(capture: Mapping[str, Any]) -> Line:
    received = datetime.fromisoformat(str(capture["received_at"])).astimezone(UTC)
    # 2013-12-08T09:00:01.500000: four calls of strftime would take longer than the rest of a capture.
    day, time_ = received.replace(tzinfo=None).isoformat(timespec="microseconds").split("T")
    folder = f"model={capture['model']}/dt={day}/hh={time_[:2]}"
    stamp = f"{day}T{time_}Z".replace("-", "").replace(":", "")
    name = f"{folder}/{stamp}-{capture['request_id']}.json"
    return Line(name, json_text(capture).encode() + b"\n")
