"""What stands in the way of an update, found before it begins: no room, no readable state, a lock, a clock.

``make up``, ``preview``, ``destroy``, ``repair``, ``adopt`` and ``deliver`` look here first. Each refusal
says where, which rule, and what to do; nothing has been changed by then. What a person sees and does:
docs/reference/refusals.md.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from config.model_store import STORE
from operations.engine.installation import HOME
from operations.terminal import fail, say
from rehearsal.core.settings import state_folder

MIB = 2**20
NEEDED = 64 * MIB
"""Free on each disk before anything begins. A first `make up` writes 4 MiB on AWS, 4 on Google Cloud and
8 on Azure, and a delivery twice that."""
LEFT = 16 * MIB
"""With less than this the engine is asked to stop. On a full disk it overwrites the state and its former
copy with the first half of itself; what it still writes when it stops is not a tenth of this."""
CLOCK = "clock"
"""The word that believes the clock more than the state: ``ALLOW=clock``."""
SKEW = timedelta(minutes=5)
"""What the clocks of two machines with the same state may differ by."""


def folders() -> tuple[Path, ...]:
    """Where an update writes: the state, the rehearsal's clouds, the models."""
    return HOME / ".pulumi", state_folder(HOME), STORE


def room(needed: int = NEEDED) -> list[str]:
    """Refuse when a disk is so full that something could be cut off half-written."""
    short: dict[int, tuple[Path, int]] = {}
    for folder in folders():
        there = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(there).free
        if free < needed:
            short.setdefault(there.stat().st_dev, (folder, free))
    return [
        f"the disk with {folder} has {free / MIB:.1f} MiB free, and an update wants"
        f" {needed // MIB}, so that nothing is cut off half-written. Make room there and run the same"
        " command again"
        for folder, free in short.values()
    ]


def unreadable(state: Path, stack: str) -> str | None:
    """What is wrong with the file of a stack's state; None if nothing is, or if there is none."""
    try:
        found = json.loads(state.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        return f"{state} is half-written, perhaps on a full disk ({error})"
    # Pulumi takes JSON of any other kind for a stack without resources, and would build a second one.
    checkpoint = found.get("checkpoint") if isinstance(found, dict) else None
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("latest"), dict | None):
        return f"{state} is JSON, but no state of Pulumi's"
    owner = str(checkpoint.get("stack", "")).rpartition("/")[2]
    if owner != stack:
        return f"{state} is the state of another stack, {owner or 'without a name'}"
    return None


def copies(state: Path, stack: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The whole ones among the copies that Pulumi keeps, as `pulumi stack export` would have them."""
    kept = state.parents[2] / "backups" / state.parent.name / stack
    for path in (state.with_name(f"{state.name}.bak"), *kept.glob("*.json")):
        if path.exists() and unreadable(path, stack) is None:
            checkpoint = json.loads(path.read_bytes())["checkpoint"]
            if (latest := checkpoint.get("latest") or {}).get("resources"):
                yield path, {"version": 3, "deployment": latest}


def clock(state: Path, allow: Collection[str]) -> list[str]:
    """Refuse a clock that is behind what it said when the state was written: times decide between copies."""
    if CLOCK in allow or not state.exists():
        return []
    latest = json.loads(state.read_bytes())["checkpoint"].get("latest") or {}
    told = latest.get("manifest", {}).get("time")
    now = datetime.now(UTC)
    if told is None or (written := datetime.fromisoformat(told)) <= now + SKEW:
        return []
    return [
        f"this machine's clock says {now:%Y-%m-%d %H:%M}, and {state.name} was written at"
        f" {written:%Y-%m-%d %H:%M}. A cloud refuses what is signed with a wrong clock. Set the clock"
        f" (`timedatectl set-ntp true`); if it is right now and was wrong then: ALLOW={CLOCK}"
    ]


def unlock(locks: Path, stack: str) -> None:
    """Take away the locks of runs on this machine that are no more; leave when there is another."""
    for path in locks.glob(f"*/*/{stack}/*.json"):
        try:
            lock = json.loads(path.read_text())
            pid, host, user = lock["pid"], lock["hostname"], lock["username"]
            since = datetime.fromisoformat(lock["timestamp"])
        except FileNotFoundError:
            continue  # it ended just now
        except (ValueError, KeyError, TypeError):
            fail(
                f"Refused: the lock {path} cannot be read: half-written, perhaps when a machine went"
                f" down. If no update of stack {stack} runs on any machine, delete that file."
            )
        here = host == socket.gethostname()
        if here and not _is_pulumi(pid):
            say(f"a run that is no more (process {pid}) left a lock; removing it")
            path.unlink(missing_ok=True)
            continue
        minutes = (datetime.now(UTC) - since).total_seconds() / 60
        way_out = (
            f"Wait until it has ended, and run this again; to end it in order: kill -INT {pid}"
            if here
            else f"Wait until it has ended. If process {pid} is no more on {host}, or {host} is this"
            f" machine's former name: delete {path}"
        )
        fail(
            f"Refused: another update of stack {stack} is in progress: process {pid} of {user} on"
            f" {host}, since {since:%Y-%m-%d %H:%M:%S} ({minutes:.0f} minutes). Nothing was changed."
            f" {way_out}"
        )


def _is_pulumi(pid: int) -> bool:
    """Whether the engine with this process id is still there."""
    try:
        process = psutil.Process(pid)
        # One that nobody has waited for yet is dead; and the number may be another program's by now.
        # (Not by its start: that moves when the clock is set.)
        return process.status() != psutil.STATUS_ZOMBIE and "pulumi" in process.name()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
