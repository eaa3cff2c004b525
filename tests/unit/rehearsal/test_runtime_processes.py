"""Child processes: recorded before they run, found again whatever happened to the parent."""

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


def test_a_child_gets_its_arguments_environment_and_log(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    child = Processes(store).spawn(
        ["/bin/sh", "-c", 'echo "$0 $WORD $(pwd)"', "it's"],
        key="k",
        log=log,
        env={"WORD": "a b"},
        cwd=tmp_path,
    )
    assert child.wait(5) == 0
    assert log.read_text() == f"it's a b {tmp_path}\n"


def test_stop_finds_children_of_a_parent_that_was_killed(store: Store, tmp_path: Path) -> None:
    child = Processes(store).spawn(["sleep", "60"], key="k", log=tmp_path / "l")
    another = Processes(Store(tmp_path / "s.sqlite", KEY))  # as `stop` does after a kill -9
    assert another.stop_all() == 1
    assert until(lambda: child.poll() is not None)
    assert store.processes() == []


def test_grandchildren_end_too_and_those_who_ignore_sigterm(store: Store, tmp_path: Path) -> None:
    marker = tmp_path / "grandchild"
    script = f"trap '' TERM; (trap '' TERM; echo $$ > {marker}; sleep 60) & wait"
    mine = Processes(store)
    child = mine.spawn(["/bin/sh", "-c", script], key="k", log=tmp_path / "l")
    assert until(marker.exists)
    mine.stop(child, grace=0.3)
    assert child.poll() is not None
    assert processes.end([(child.pid, time.time())]) == 0


def test_a_process_id_that_was_reused_is_left_alone(store: Store, tmp_path: Path) -> None:
    mine = Processes(store)
    child = mine.spawn(["sleep", "60"], key="k", log=tmp_path / "l")
    long_ago = (processes.started(child.pid) or 0) - 1000
    assert processes.end([(child.pid, long_ago)]) == 0
    assert child.poll() is None
    mine.stop_all()
