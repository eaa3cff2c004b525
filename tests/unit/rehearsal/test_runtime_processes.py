"""Processes are recorded before they run, and are found again whatever happened to the rehearsal."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from rehearsal.core.store import Store
from rehearsal.runtime import processes
from rehearsal.runtime.processes import Processes

KEY = Fernet.generate_key()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s.sqlite", KEY)


def until(condition: object, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_a_process_gets_its_arguments_environment_and_log(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    process = Processes(store).spawn(
        ["/bin/sh", "-c", 'echo "$0 $WORD $(pwd)"', "it's"],
        key="k",
        log=log,
        env={"WORD": "a b"},
        cwd=tmp_path,
    )
    assert process.wait(5) == 0
    assert log.read_text() == f"it's a b {tmp_path}\n"


def test_stop_finds_the_processes_of_a_killed_rehearsal(store: Store, tmp_path: Path) -> None:
    process = Processes(store).spawn(["sleep", "60"], key="k", log=tmp_path / "l")
    another = Processes(Store(tmp_path / "s.sqlite", KEY))  # as `stop` does after a kill -9
    assert another.stop_all() == 1
    assert until(lambda: process.poll() is not None)
    assert store.processes() == []


def test_stop_ends_grandchildren_and_processes_that_ignore_sigterm(
    store: Store, tmp_path: Path
) -> None:
    marker = tmp_path / "grandchild"
    script = f"trap '' TERM; (trap '' TERM; echo $$ > {marker}; sleep 60) & wait"
    registry = Processes(store)
    process = registry.spawn(["/bin/sh", "-c", script], key="k", log=tmp_path / "l")
    assert until(marker.exists)
    registry.stop(process, grace=0.3)
    assert process.poll() is not None
    assert processes.end_sessions([(process.pid, time.time())]) == 0


def test_a_process_with_a_reused_id_is_not_stopped(store: Store, tmp_path: Path) -> None:
    registry = Processes(store)
    process = registry.spawn(["sleep", "60"], key="k", log=tmp_path / "l")
    long_ago = (processes.start_time(process.pid) or 0) - 1000
    assert processes.end_sessions([(process.pid, long_ago)]) == 0
    assert process.poll() is None
    registry.stop_all()
