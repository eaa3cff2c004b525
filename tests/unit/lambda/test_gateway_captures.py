"""Captures reach the lake in partitions, soon, and never delay an answer."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gateway import captures as module
from gateway.captures import Captures


def capture(second: int, request_id: str = "r", hour: int = 9, model: str = "m") -> dict[str, Any]:
    return {
        "model": model,
        "request_id": request_id,
        "received_at": f"2013-12-08T{hour:02}:00:{second:02}.500000+00:00",
        "instances": [{"carrier": "UA"}],
    }


class Lake(dict[str, bytes]):
    def write(self, name: str, data: bytes) -> None:
        self[name] = data


def test_waiting_captures_are_written_as_one_object_with_a_line_each() -> None:
    lake = Lake()
    captures = Captures(lake.write)
    captures.put(capture(2, "b"))
    captures.put(capture(1, "a"))
    captures.drain()
    ((name, data),) = lake.items()
    assert name == "model=m/dt=2013-12-08/hh=09/20131208T090001.500000Z-a.json"
    assert [json.loads(line) for line in data.splitlines()] == [capture(1, "a"), capture(2, "b")]
    assert data.endswith(b"\n")
    assert b": " not in data, "compact"
    captures.drain()
    assert len(lake) == 1


def test_a_capture_from_another_time_zone_is_in_the_partition_of_its_hour_in_utc() -> None:
    lake = Lake()
    captures = Captures(lake.write)
    captures.put({"model": "m", "request_id": "r", "received_at": "2013-12-08T00:30:00+02:00"})
    captures.drain()
    assert list(lake) == ["model=m/dt=2013-12-07/hh=22/20131207T223000.000000Z-r.json"]


def test_each_model_has_its_own_folder() -> None:
    lake = Lake()
    captures = Captures(lake.write)
    for second, model in enumerate(["flights", "digits", "flights"]):
        captures.put(capture(second, str(second), model=model))
    captures.drain()
    folders = {name.partition("/")[0]: data.count(b"\n") for name, data in lake.items()}
    assert folders == {"model=flights": 2, "model=digits": 1}


def test_each_hour_has_its_own_partition_and_names_sort_by_time() -> None:
    lake = Lake()
    captures = Captures(lake.write)
    for each in (capture(0, "z", 9), capture(59, "y", 8)):
        captures.put(each)
    captures.drain()
    assert [name.split("/")[2] for name in lake] == ["hh=08", "hh=09"]
    assert [name.rpartition("-")[2] for name in sorted(lake)] == ["y.json", "z.json"]


def test_a_slow_lake_never_blocks_and_excess_captures_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    captures = Captures(lambda name, data: None)
    for second in range(5):
        captures.put(capture(second))
    captures.drain()
    captures.put(capture(9))
    assert captures.dropped == 2
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert reports == [
        {
            "severity": "ERROR",
            "message": "captures dropped",
            "count": 1,
            "total": total,
            "cause": "the queue is full",
        }
        for total in (1, 2)
    ]


class ClosedLake(Lake):
    """A lake that takes nothing until it is opened, as one whose permission is not in force yet."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.attempts, self.now = False, 0, 0.0

    def write(self, name: str, data: bytes) -> None:
        self.attempts += 1
        if not self.open:
            raise PermissionError
        super().write(name, data)


def test_a_capture_that_the_lake_does_not_take_yet_is_written_later() -> None:
    lake = ClosedLake()
    captures = Captures(lake.write)
    for second, request in enumerate("ab"):
        captures.put(capture(second, request))
        captures.drain()
    assert lake.attempts == 2, "after one failure no other write is tried"
    lake.open = True
    captures.drain()
    assert [name.rpartition("-")[2] for name in lake] == ["a.json", "b.json"]
    assert captures.dropped == 0


def test_a_capture_that_the_lake_never_takes_is_dropped_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lake = ClosedLake()
    captures = Captures(lake.write, lambda: lake.now)
    captures.put(capture(1, "old"))
    captures.drain()
    lake.now += module.KEPT_SECONDS
    captures.put(capture(2, "new"))
    captures.drain()
    assert captures.dropped == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "severity": "WARNING",
        "message": "captures are not written yet",
        "count": 1,
        "cause": "PermissionError",
    }
    lake.now += 1
    captures.drain()
    assert captures.dropped == 1
    assert '"cause": "PermissionError"' in capsys.readouterr().out
    lake.open = True
    captures.drain()
    assert [name.rpartition("-")[2] for name in lake] == ["new.json"]


def test_no_more_captures_than_the_limit_wait_for_the_lake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    lake = ClosedLake()
    captures = Captures(lake.write)
    for second in range(5):
        captures.put(capture(second, str(second)))
        captures.drain()
    lake.open = True
    captures.drain()
    assert captures.dropped == 2
    assert [name.rpartition("-")[2] for name in lake] == ["0.json", "1.json", "2.json"]
    captures.put(capture(9, "9"))
    captures.drain()
    assert captures.dropped == 2, "what is written makes room"


def test_no_more_bytes_than_the_limit_wait_for_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = ClosedLake()
    captures = Captures(lake.write)
    size = len(json.dumps(capture(1, "a"), separators=(",", ":"))) + 1
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 2 * size)
    for request in "abc":
        captures.put(capture(1, request))
    assert captures.dropped == 1
    lake.open = True
    captures.drain()
    captures.put(capture(2, "d"))
    captures.drain()
    assert b"".join(lake.values()).count(b"\n") == 3
    assert captures.dropped == 1, "what is written makes room"


def test_what_is_dropped_for_its_age_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    lake = ClosedLake()
    captures = Captures(lake.write, lambda: lake.now)
    captures.put(capture(1, "old"))
    captures.drain()
    lake.now += module.KEPT_SECONDS + 1
    captures.drain()
    captures.put(capture(2, "new"))
    assert captures.dropped == 1
    lake.open = True
    captures.drain()
    assert [name.rpartition("-")[2] for name in lake] == ["new.json"]


class SlowLake:
    """A lake whose writes take some seconds of its own clock, in which a capture comes at each tick."""

    def __init__(self, seconds: float, every: float, start: datetime, lasting: float) -> None:
        self.seconds, self.every, self.start, self.lasting = seconds, every, start, lasting
        self.now = 0.0
        self.came: dict[str, float] = {}
        self.kept: dict[str, float] = {}
        self.most = 0
        self.captures = Captures(self.write, lambda: self.now)

    def write(self, name: str, data: bytes) -> None:
        until = self.now + self.seconds
        while self.now < min(until, self.lasting):
            self.now += self.every
            self.ask()
        self.now = until
        for line in data.splitlines():
            self.kept[json.loads(line)["request_id"]] = self.now

    def ask(self) -> None:
        request, at = str(len(self.came)), self.start + timedelta(seconds=self.now)
        dropped = self.captures.dropped
        self.captures.put({"model": "m", "request_id": request, "received_at": at.isoformat()})
        if self.captures.dropped == dropped:
            self.came[request] = self.now
        self.most = max(self.most, len(self.came) - len(self.kept))

    def play(self) -> None:
        """All of the requests, and the writes one after another, as the thread makes them."""
        self.ask()
        while len(self.kept) < len(self.came):
            self.captures.drain()

    def longest(self) -> float:
        """The longest time in which a kill would have lost a capture."""
        return max(self.kept[request] - came for request, came in self.came.items())


NOON = datetime(2013, 12, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize("seconds", [0.02, 0.3, 1.0, 8.0, 40.0])
def test_a_kill_loses_what_came_in_the_last_two_writes_and_no_more(seconds: float) -> None:
    lake = SlowLake(seconds, seconds / 7.3, NOON, lasting=20 * seconds)
    lake.play()
    assert lake.captures.dropped == 0
    assert 1.5 * seconds < lake.longest() <= 2 * seconds


def test_a_kill_at_the_turn_of_an_hour_loses_one_write_more() -> None:
    lake = SlowLake(1.0, 0.1, NOON - timedelta(seconds=5.05), lasting=10)
    lake.play()
    assert 2 < lake.longest() <= 3


@pytest.mark.parametrize(("limit", "value"), [("MAX_WAITING", 5), ("MAX_WAITING_BYTES", 5 * 70)])
def test_a_kill_loses_no_more_than_the_limits_however_slow_the_lake_is(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(module, limit, value, raising=False)
    lake = SlowLake(40, 1, NOON, lasting=400)
    lake.play()
    assert 1 <= lake.most <= 5
    assert lake.captures.dropped


def test_the_thread_writes_what_the_lake_did_not_take_without_another_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    written = threading.Event()
    lake = ClosedLake()

    def write(name: str, data: bytes) -> None:
        lake.open = lake.attempts >= 2
        lake.write(name, data)
        written.set()

    captures = Captures(write)
    captures.start()
    captures.put(capture(1))
    assert written.wait(5)
    captures.close(5)
    assert len(lake) == 1


def test_the_thread_writes_captures_as_they_arrive_and_close_waits_for_the_last() -> None:
    lake = Lake()
    may_write, first_done = threading.Event(), threading.Event()

    def write(name: str, data: bytes) -> None:
        may_write.wait(5)
        lake.write(name, data)
        first_done.set()

    captures = Captures(write)
    captures.start()
    captures.put(capture(1, "a"))
    assert not lake
    may_write.set()
    assert first_done.wait(5)
    for second in range(2, 12):
        captures.put(capture(second, f"r{second}"))
    captures.close(5)
    assert b"".join(lake.values()).count(b"\n") == 11


def test_a_full_queue_in_front_of_a_lake_that_hangs_ends_in_time_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    hang, begun = threading.Event(), threading.Event()

    def write(name: str, data: bytes) -> None:
        begun.set()
        hang.wait(30)

    captures = Captures(write)
    captures.start()
    captures.put(capture(1))
    assert begun.wait(5)
    captures.put(capture(2))
    started = time.monotonic()
    captures.close(0.5)
    assert 0.5 <= time.monotonic() - started < 0.9
    hang.set()


def test_a_capture_that_is_not_written_in_time_is_an_error_and_no_later_one_waits_for_it() -> None:
    hang, lake = threading.Event(), Lake()

    def write(name: str, data: bytes) -> None:
        if name.endswith("slow.json"):
            hang.wait(30)
        lake.write(name, data)

    captures = Captures(write, writers=2)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(captures.written(capture(1, "slow"), 0.2))
    asyncio.run(captures.written(capture(2, "quick"), 5))
    assert time.monotonic() - started < 1
    assert [name.rpartition("-")[2] for name in lake] == ["quick.json"]
    hang.set()


def test_captures_are_lost_only_if_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    lake = ClosedLake()
    captures = Captures(lake.write)
    captures.close(1)
    assert capsys.readouterr().out == ""
    for second in (1, 2):
        captures.put(capture(second))
    captures.drain()
    captures.put(capture(3))
    captures.close(1)
    assert '"waiting": 3' in capsys.readouterr().out


def test_the_permission_to_write_may_come_ten_minutes_late() -> None:
    """https://learn.microsoft.com/azure/role-based-access-control/troubleshooting"""
    assert module.KEPT_SECONDS >= 10 * 60 + module.RETRY_SECONDS


def test_the_thread_does_not_keep_a_process_that_ends() -> None:
    captures = Captures(Lake().write)
    captures.start()
    assert captures._worker
    assert captures._worker.daemon
    captures.close(5)


def test_a_capture_whose_time_is_over_waits_no_longer() -> None:
    hang = threading.Event()

    def write(name: str, data: bytes) -> None:
        hang.wait(30)

    captures = Captures(write)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(captures.written(capture(1), -5))
    assert time.monotonic() - started < 0.5
    hang.set()


def test_a_capture_that_was_given_up_before_its_write_began_is_not_written() -> None:
    hang, begun, lake = threading.Event(), threading.Event(), Lake()

    def write(name: str, data: bytes) -> None:
        begun.set()
        hang.wait(30)
        lake.write(name, data)

    captures = Captures(write)
    for second, request in enumerate("ab"):
        with pytest.raises(TimeoutError):
            asyncio.run(captures.written(capture(second, request), 0.1))
    assert begun.is_set()
    hang.set()
    captures._writers.shutdown()
    assert [name.rpartition("-")[2] for name in lake] == ["a.json"]


def test_a_capture_that_the_lake_refuses_is_the_lakes_error_at_once() -> None:
    def refuse(name: str, data: bytes) -> None:
        raise PermissionError(name)

    with pytest.raises(PermissionError):
        asyncio.run(Captures(refuse).written(capture(1), 30))


def test_a_lake_that_hangs_does_not_delay_the_shutdown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hang = threading.Event()

    def write(name: str, data: bytes) -> None:
        hang.wait(30)

    captures = Captures(write)
    captures.start()
    captures.put(capture(1))
    captures.close(0.1)
    captures.put(capture(2))
    captures.close(0.1)
    hang.set()
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["severity"], each["message"]) for each in reports] == [
        ("ERROR", "captures lost at shutdown")
    ] * 2
    waiting = [each["waiting"] for each in reports]
    assert waiting[0] >= 1, "the capture that is being written, and may be lost"
    assert waiting[1] > waiting[0]


def test_what_the_lake_did_not_take_is_written_at_the_shutdown() -> None:
    lake, refused = Lake(), threading.Event()

    def write(name: str, data: bytes) -> None:
        if not refused.is_set():
            refused.set()
            raise ConnectionError
        lake.write(name, data)

    captures = Captures(write)
    captures.start()
    captures.put(capture(1))
    assert refused.wait(5)
    captures.close(5)
    assert len(lake) == 1


def test_the_thread_ends_when_it_finds_the_end_among_the_captures() -> None:
    lake, may_write, writing = Lake(), threading.Event(), threading.Event()

    def write(name: str, data: bytes) -> None:
        writing.set()
        may_write.wait(10)
        lake.write(name, data)

    captures = Captures(write)
    captures.start()
    captures.put(capture(1, "a"))
    assert writing.wait(5)
    captures.put(capture(2, "b"))
    closing = threading.Thread(target=captures.close, args=[20])
    closing.start()
    while captures._waiting.qsize() < 2:
        time.sleep(0.01)
    may_write.set()
    closing.join(10)
    assert not closing.is_alive(), "the end was taken for a capture"
    assert len(lake) == 2
