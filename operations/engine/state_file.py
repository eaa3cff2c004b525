"""The file in which Pulumi keeps a stack's state: whether it is intact, its copies, and when it was written.

What a person sees and does: docs/reference/refusals.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from operations.engine.state_contents import foreign_code, parsed_state

ALLOW_CLOCK = "clock"
"""The word that trusts the clock more than the state: ``ALLOW=clock``."""
CLOCK_SKEW = timedelta(minutes=5)
"""The difference that is allowed between the clocks of two machines that use the same state."""


def state_problem(state: Path, stack: str) -> str | None:
    """What is wrong with the file of a stack's state; None if it is intact, or does not exist."""
    if compressed := next(compressed_states(state), None):
        return (
            f"{compressed} is a compressed state, which this program does not read, and Pulumi may"
        )
    try:
        found = parsed_state(state.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        return f"{state} is half-written, perhaps on a full disk, or altered ({error})"
    # Pulumi reads any other JSON as a stack without resources, and would create everything a second time.
    checkpoint = found.get("checkpoint") if isinstance(found, dict) else None
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("latest"), dict | None):
        return f"{state} is JSON, but not a state of Pulumi"
    owner = str(checkpoint.get("stack", "")).rpartition("/")[2]
    if owner != stack:
        return f"{state} is the state of another stack, {owner or 'without a name'}"
    if foreign := foreign_code(found):
        return f"{state}: {foreign}"
    return None


def compressed_states(state: Path) -> Iterator[Path]:
    """The compressed files of the same state. Pulumi reads the newest of all:
    https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/backend/diy/state.go (stackPath)"""
    files = (state.with_name(state.name + suffix) for suffix in (".gz", ".zst"))
    return (each for each in files if each.exists())


def intact_copies(state: Path, stack: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The intact copies that Pulumi keeps of a state: each file, and its state as `pulumi stack export` prints it."""
    backups = state.parents[2] / "backups" / state.parent.name / stack
    for path in (state.with_name(f"{state.name}.bak"), *backups.glob("*.json")):
        intact = path.exists() and state_problem(path, stack) is None
        if intact and state_in_file(path).get("resources"):
            yield path, exported_state(path)


def exported_state(state: Path) -> dict[str, Any]:
    """What `pulumi stack export` prints of an intact file.

    https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/backend/diy/backend.go (ExportDeployment)
    """
    found = json.loads(state.read_bytes())
    form = {name: found[name] for name in ("version", "features") if name in found}
    return {"version": 3, **form, "deployment": found["checkpoint"].get("latest") or {}}


def state_in_file(state: Path) -> dict[str, Any]:
    """What an intact file has as the stack's deployment: ``resources``, ``manifest`` and so on."""
    return json.loads(state.read_bytes())["checkpoint"].get("latest") or {}


def time_of(deployment: dict[str, Any]) -> datetime | None:
    """When the engine wrote a deployment; None if it does not say so."""
    recorded = deployment.get("manifest", {}).get("time")
    return datetime.fromisoformat(recorded) if recorded else None


def clock_behind_state(stack: str, written: datetime | None, allow: Collection[str]) -> list[str]:
    """Reasons to refuse: this machine's clock is behind the time in the state. Times decide between copies."""
    now = datetime.now(UTC)
    if ALLOW_CLOCK in allow or written is None or written <= now + CLOCK_SKEW:
        return []
    return [
        f"this machine's clock shows {now:%Y-%m-%d %H:%M}, and the state of {stack} was written at"
        f" {written:%Y-%m-%d %H:%M}. A cloud refuses what is signed with a wrong clock. Set the clock"
        f" (`timedatectl set-ntp true`); if it is right now and was wrong then: ALLOW={ALLOW_CLOCK}"
    ]
