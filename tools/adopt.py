"""Find the platform that a lost state described, and take it over again.

By the names that the platform itself gave: its lakes are listed with the cloud's own API, and each lake
holds a copy of the state of the stack that owns it (`tools.backup`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from stack_config import StackConfig
from tools import backup, lake

SECOND = "second"
"""The word that allows another platform beside one whose state is lost: ``ALLOW=second``."""


def find(config: StackConfig, stack: str) -> tuple[str, dict[str, Any]] | None:
    """The lake that holds the newest copy of this stack's state, and the copy."""
    found = [
        (uri, state)
        for uri in lake.standing(config)
        if (state := backup.kept_state(lake.at(uri), stack)) and _resources(state)
    ]
    return max(found, key=_time, default=None)


def newest(
    lakes: tuple[str, dict[str, Any]] | None, kept: Iterable[tuple[Path, dict[str, Any]]]
) -> tuple[str | Path, dict[str, Any]] | None:
    """The newest of the copy that a lake holds and those that Pulumi has kept beside a broken state.

    The lake's is as old as the last run's end; what the engine kept is newer when it died on the way.
    """
    found: list[tuple[str | Path, dict[str, Any]]] = [*kept, *([lakes] if lakes else [])]
    return max(found, key=_time, default=None)


def _time(found: tuple[str | Path, dict[str, Any]]) -> datetime:
    return datetime.fromisoformat(found[1]["deployment"]["manifest"]["time"])


def _resources(state: dict[str, Any]) -> list[dict[str, Any]]:
    return list(state["deployment"].get("resources") or ())


def unclaimed(config: StackConfig, stack: str, allow: Collection[str]) -> list[str]:
    """Refuse to make a stack anew whose platform still stands: it would be built a second time."""
    if SECOND in allow or (found := find(config, stack)) is None:
        return []
    uri, state = found
    return [
        f"there is no state of stack {stack}, but {uri} belongs to it, with a copy of its state"
        f" ({len(_resources(state))} resources, {state['deployment']['manifest']['time']}). To take"
        f" over what stands: make adopt. To build another platform beside it: ALLOW={SECOND}"
    ]
