"""Captures: requests with their answers, written to the lake in the background.

One object has all captures that were waiting, one line of JSON a request, at
``dt=YYYY-MM-DD/hh=HH/<time>-<request id>.json``. Athena, BigQuery and Synapse can prune these partitions.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from gateway.lakes import Write
from gateway.logs import log

MAX_WAITING = 1000
"""The captures kept in memory while the lake is slow or unavailable. More are dropped and counted."""


class Captures:
    """A queue in front of the lake. `put` never waits; `drain` writes all waiting captures."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: queue.Queue[Mapping[str, Any] | None] = queue.Queue(MAX_WAITING)
        self._worker: threading.Thread | None = None
        self.dropped = 0

    def put(self, capture: Mapping[str, Any]) -> None:
        """Add a capture. It must have ``received_at`` (ISO 8601, UTC) and ``request_id``."""
        try:
            self._waiting.put_nowait(capture)
        except queue.Full:
            self._drop(1, "the queue is full")

    def drain(self) -> None:
        """Write all waiting captures, and return. Failures are logged and counted, never raised."""
        self._store(list(self._take()))

    def start(self) -> None:
        """Write captures from a separate thread, as they arrive, until `close`."""
        self._worker = threading.Thread(target=self._work, name="captures", daemon=True)
        self._worker.start()

    def close(self, timeout: float) -> None:
        """Write the waiting captures, for at most ``timeout`` seconds, and stop the thread."""
        if self._worker:
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=timeout)
            self._worker.join(timeout)
        if self._waiting.qsize():
            log("ERROR", "captures lost at shutdown", waiting=self._waiting.qsize())

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
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
            batch = list(group)
            lines = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in batch)
            try:
                self._write(f"{folder}/{_name(batch[0])}.json", lines.encode())
            except Exception as error:
                self._drop(len(batch), type(error).__name__)

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
