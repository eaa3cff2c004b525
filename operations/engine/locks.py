"""The locks of updates in this clone's own backend. Pulumi writes a lock, and a killed engine leaves it.

What a person sees and does: docs/reference/refusals.md.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from operations.terminal import fail, say


@dataclass(frozen=True)
class Lock:
    """A lock as Pulumi writes it: pkg/backend/diy/lock.go."""

    file: Path
    pid: int
    host: str
    user: str
    since: datetime

    @classmethod
    def read(cls, file: Path) -> Lock:
        """Raises FileNotFoundError, and ValueError, KeyError or TypeError if it is not a lock."""
        lock = json.loads(file.read_text())
        since = datetime.fromisoformat(lock["timestamp"])
        return cls(file, lock["pid"], lock["hostname"], lock["username"], since)

    @property
    def is_of_this_machine(self) -> bool:
        return self.host == socket.gethostname()


def remove_stale_locks(locks: Path, stack: str) -> None:
    """Remove the locks of exited processes on this machine. Leaves with a reason if there is another lock."""
    for file in locks.glob(f"*/*/{stack}/*.json"):
        try:
            lock = Lock.read(file)
        except FileNotFoundError:
            continue  # its update has just ended
        except (ValueError, KeyError, TypeError):
            fail(
                f"Refused: the lock {file} cannot be read: half-written, perhaps when a machine went"
                f" down. If no update of stack {stack} runs on any machine, delete that file."
            )
        if lock.is_of_this_machine and not _is_pulumi(lock.pid):
            say(f"removing the stale lock of an exited process ({lock.pid})")
            file.unlink(missing_ok=True)
            continue
        fail(_in_progress(lock, stack))


def _in_progress(lock: Lock, stack: str) -> str:
    minutes = (datetime.now(UTC) - lock.since).total_seconds() / 60
    way_out = (
        f"Wait until it has ended, and run this again; to stop it cleanly: kill -INT {lock.pid}"
        if lock.is_of_this_machine
        else f"Wait until it has ended. If process {lock.pid} has exited on {lock.host}, or {lock.host} is"
        f" this machine's former name: delete {lock.file}"
    )
    return (
        f"Refused: another update of stack {stack} is in progress: process {lock.pid} of {lock.user} on"
        f" {lock.host}, since {lock.since:%Y-%m-%d %H:%M:%S} ({minutes:.0f} minutes). Nothing was changed."
        f" {way_out}"
    )


def _is_pulumi(pid: int) -> bool:
    """Whether the process with this id is a running engine."""
    try:
        process = psutil.Process(pid)
        # A zombie has exited. Another program may have the number by now: it is recognised by its name,
        # not by its start, which moves when the clock is set.
        return process.status() != psutil.STATUS_ZOMBIE and "pulumi" in process.name()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
