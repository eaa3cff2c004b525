"""Locks of other updates, and stale ones."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from operations.engine import locks
from operations.engine.locks import remove_stale_locks


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A living process that is called pulumi."""
    program = tmp_path / "pulumi"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as process:
        yield process
        process.kill()


def lock(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "locks" / "organization" / "triplane" / "dev" / "1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "pid": os.getpid(),
        "username": "ada",
        "hostname": socket.gethostname(),
        "timestamp": (datetime.now(UTC) - timedelta(minutes=10)).isoformat(),
    }
    path.write_text(json.dumps(content | changes))
    return path


def refused(tmp_path: Path) -> str:
    with pytest.raises(SystemExit) as left:
        remove_stale_locks(tmp_path / "locks", "dev")
    return str(left.value)


def test_another_update_is_reported_with_its_user_host_and_time(
    tmp_path: Path, engine: subprocess.Popen[bytes]
) -> None:
    path = lock(tmp_path, pid=engine.pid)
    reason = refused(tmp_path)
    assert f"process {engine.pid} of ada on {socket.gethostname()}" in reason
    assert "(10 minutes)" in reason
    assert "Wait until it has ended" in reason
    assert path.exists()


def test_a_lock_of_another_machine_is_left_to_a_person(tmp_path: Path) -> None:
    path = lock(tmp_path, hostname="elsewhere", pid=2**22)
    reason = refused(tmp_path)
    assert "on elsewhere" in reason
    assert f"delete {path}" in reason
    assert path.exists()


def test_a_lock_whose_process_id_belongs_to_another_program_is_removed(tmp_path: Path) -> None:
    path = lock(tmp_path)  # this process is not an engine
    remove_stale_locks(tmp_path / "locks", "dev")
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_an_unreadable_lock_is_left_to_a_person(tmp_path: Path, text: str) -> None:
    path = lock(tmp_path)
    path.write_text(text)
    reason = refused(tmp_path)
    assert "cannot be read" in reason
    assert str(path) in reason
    assert path.exists()


def test_a_backend_without_locks_is_not_refused(tmp_path: Path) -> None:
    remove_stale_locks(tmp_path / "locks", "dev")


def test_a_stale_lock_hides_no_living_one(tmp_path: Path, engine: subprocess.Popen[bytes]) -> None:
    stale = lock(tmp_path, pid=os.getpid())
    living = stale.with_name("2.json")
    living.write_text(stale.read_text().replace(str(os.getpid()), str(engine.pid)))
    # In whatever order a folder lists them.
    for first, second in ((stale, living), (living, stale)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "glob", lambda _self, _pattern, of=(first, second): iter(of))
            assert f"process {engine.pid} of ada" in refused(tmp_path)
        lock(tmp_path, pid=os.getpid())


def test_a_lock_that_may_not_be_looked_into_is_one_of_a_living_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another user, where the system hides processes."""

    def hidden(pid: int) -> None:
        raise psutil.AccessDenied(pid)

    path = lock(tmp_path)
    monkeypatch.setattr(psutil, "Process", hidden)
    assert "in progress" in refused(tmp_path)
    assert path.exists()


def test_a_lock_that_its_engine_removes_at_the_same_time_is_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lock(tmp_path)

    def ended(_pid: int) -> bool:
        path.unlink()
        return False

    monkeypatch.setattr(locks, "_is_pulumi", ended)
    remove_stale_locks(tmp_path / "locks", "dev")


def test_a_lock_that_is_gone_when_it_is_read_hides_no_living_one(
    tmp_path: Path, engine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    living = lock(tmp_path, pid=engine.pid)
    gone = living.with_name("0.json")
    monkeypatch.setattr(Path, "glob", lambda _self, _pattern: iter((gone, living)))
    assert f"process {engine.pid} of ada" in refused(tmp_path)
    monkeypatch.setattr(Path, "glob", lambda _self, _pattern: iter((gone,)))
    remove_stale_locks(tmp_path / "locks", "dev")


def test_only_the_locks_of_this_stack_are_looked_at(
    tmp_path: Path, engine: subprocess.Popen[bytes]
) -> None:
    lock(tmp_path, pid=engine.pid)
    remove_stale_locks(tmp_path / "locks", "prod")
