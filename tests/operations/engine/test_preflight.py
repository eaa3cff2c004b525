"""What `make up` looks at before it begins: room, the state's file, locks, the clock, the passphrase."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from operations.commands import deploy
from operations.engine import preflight
from operations.recovery import state_copies

Usage = namedtuple("Usage", "total used free")
NOW = datetime.now(UTC)


def checkpoint(stack: str = "dev", time: datetime = NOW, **latest: Any) -> str:
    """A state's file as Pulumi writes it."""
    told = {"manifest": {"time": time.isoformat()}, **latest}
    whole = {
        "version": 3,
        "checkpoint": {"stack": f"organization/triplane/{stack}", "latest": told},
    }
    return json.dumps(whole)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "stacks" / "triplane" / "dev.json"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "half-written"),
        (checkpoint()[:-20], "half-written"),
        ('{"a": [1]}', "no state of Pulumi's"),
        ("[]", "no state of Pulumi's"),
        ('{"checkpoint": {"latest": []}}', "no state of Pulumi's"),
        (checkpoint("prod"), "of another stack, prod"),
    ],
)
def test_what_is_no_state_of_the_stack_is_told_by_its_file(
    state: Path, text: str, says: str
) -> None:
    state.write_text(text)
    told = preflight.unreadable(state, "dev")
    assert told
    assert says in told
    assert str(state) in told


def test_a_whole_state_and_none_at_all_are_nothing_to_tell_of(state: Path) -> None:
    assert preflight.unreadable(state, "dev") is None
    state.write_text(checkpoint())
    assert preflight.unreadable(state, "dev") is None


@pytest.mark.parametrize("command", deploy.COMMANDS)
def test_every_command_refuses_a_state_that_cannot_be_read(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        """A stack of which nothing may be asked but this."""

        def exists(self) -> bool:
            return True

        def broken(self) -> str:
            return "dev.json is half-written"

    for step in ("start_rehearsal", "train", "check"):
        monkeypatch.setattr(deploy, step, lambda *_: None)
    with pytest.raises(SystemExit, match=r"half-written.*make adopt"):
        deploy.COMMANDS[command](Broken())  # type: ignore[arg-type]


def test_the_newest_whole_copy_is_adopted_wherever_it_is(state: Path, tmp_path: Path) -> None:
    resources: list[dict[str, Any]] = [{}]

    def hours(number: int) -> datetime:
        # Written in another time zone: the words alone would sort otherwise.
        return (NOW + timedelta(hours=number)).astimezone(timezone(timedelta(hours=-9)))

    backup = tmp_path / "backups" / "triplane" / "dev" / "dev.1.json"
    backup.parent.mkdir(parents=True)
    bak = state.with_name("dev.json.bak")
    in_lake = state_copies.StateCopy(
        "s3://lake", {"deployment": {"manifest": {"time": f"{NOW:%Y-%m-%dT%H:%M:%S}Z"}}}
    )

    def newest() -> str | Path | None:
        found = state_copies.newest_copy(in_lake, preflight.copies(state, "dev"))
        return found and found.place

    assert newest() == "s3://lake"
    backup.write_text(checkpoint(time=hours(1), resources=resources))
    assert newest() == backup
    bak.write_text(checkpoint(time=hours(2), resources=resources))
    assert newest() == bak
    bak.write_text(checkpoint(time=hours(2), resources=resources)[:-9])
    assert newest() == backup, "half a copy is none"
    backup.write_text(checkpoint(time=hours(3), resources=[]))
    assert newest() == "s3://lake", "a copy of nothing is none"
    assert state_copies.newest_copy(None, ()) is None


def fill(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    usage = Usage(1, 1, int(free * preflight.MIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_too_little_room_is_told_once_for_each_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(monkeypatch, 63.9)
    told = preflight.room()
    disks = {
        next(each for each in (folder, *folder.parents) if each.exists()).stat().st_dev
        for folder in preflight.folders()
    }
    assert len(told) == len(disks)
    assert "63.9 MiB free" in told[0]
    assert str(preflight.folders()[0]) in told[0]
    fill(monkeypatch, 64)
    assert preflight.room() == []


def test_a_clock_behind_the_state_is_refused_until_it_is_said_to_be_right(state: Path) -> None:
    assert preflight.clock(state, ()) == []
    state.write_text(checkpoint(time=NOW + timedelta(minutes=3)))
    assert preflight.clock(state, ()) == [], "two machines may differ by that"
    state.write_text(checkpoint(time=NOW + timedelta(hours=3)))
    [told] = preflight.clock(state, ())
    assert f"{NOW + timedelta(hours=3):%H:%M}" in told
    assert "ALLOW=clock" in told
    assert preflight.clock(state, {"clock"}) == []


def test_a_stack_that_was_only_made_has_no_time_to_compare(state: Path) -> None:
    state.write_text('{"version": 3, "checkpoint": {"stack": "organization/triplane/dev"}}')
    assert preflight.clock(state, ()) == []


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
    told = {
        "pid": os.getpid(),
        "username": "ada",
        "hostname": socket.gethostname(),
        "timestamp": (datetime.now(UTC) - timedelta(minutes=10)).isoformat(),
    }
    path.write_text(json.dumps(told | changes))
    return path


def refused(tmp_path: Path) -> str:
    with pytest.raises(SystemExit) as left:
        preflight.unlock(tmp_path / "locks", "dev")
    return str(left.value)


def test_another_update_is_told_by_who_where_and_since_when(
    tmp_path: Path, engine: subprocess.Popen[bytes]
) -> None:
    path = lock(tmp_path, pid=engine.pid)
    told = refused(tmp_path)
    assert f"process {engine.pid} of ada on {socket.gethostname()}" in told
    assert "(10 minutes)" in told
    assert "Wait until it has ended" in told
    assert path.exists()


def test_the_lock_of_another_machine_is_left_to_a_person(tmp_path: Path) -> None:
    path = lock(tmp_path, hostname="elsewhere", pid=2**22)
    told = refused(tmp_path)
    assert "on elsewhere" in told
    assert f"delete {path}" in told
    assert path.exists()


def test_a_lock_whose_process_id_is_another_programs_by_now_is_taken_away(tmp_path: Path) -> None:
    path = lock(tmp_path)  # ours: we are no engine
    preflight.unlock(tmp_path / "locks", "dev")
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_lock_that_nobody_can_read_is_left_to_a_person(tmp_path: Path, text: str) -> None:
    path = lock(tmp_path)
    path.write_text(text)
    told = refused(tmp_path)
    assert "cannot be read" in told
    assert str(path) in told
    assert path.exists()


def test_no_lock_is_in_nobodys_way(tmp_path: Path) -> None:
    preflight.unlock(tmp_path / "locks", "dev")
