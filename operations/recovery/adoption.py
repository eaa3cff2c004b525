"""Find the platform that a lost state described, and take it over again.

By the names that the platform itself gave: its lakes are listed with the cloud's own API, and each lake
holds a copy of the state of the stack that owns it (`operations.data.backup`).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from config.files import write_private
from config.schema import StackConfig
from operations.data import backup, lake
from operations.engine.installation import HOME
from operations.engine.stack import Stack

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


@dataclass(frozen=True)
class Trial(Stack):
    """A stack over a copy of its state, in a backend of its own: until `take_place`, nothing is changed.

    What is refused on the way has left the clone as it was, and so has a kill.
    """

    folder: Path

    @cached_property
    def environment(self) -> dict[str, str]:
        backend = f"file://{self.folder / 'backend'}?metadata=skip"
        return {**super().environment, "PULUMI_BACKEND_URL": backend}

    @property
    def state(self) -> Path:
        return self._pulumi / "stacks" / "triplane" / f"{self.name}.json"

    @property
    def events(self) -> Path:
        return self.folder / "events.json"

    @property
    def unresolved(self) -> Path:
        return self.folder / "unresolved.json"

    @property
    def _pulumi(self) -> Path:
        return self.folder / "backend" / ".pulumi"

    def export(self) -> dict[str, Any]:
        """The state from its file, half a second sooner than Pulumi prints it: it is asked for often here."""
        kept = json.loads(self.state.read_text())
        return {"version": kept["version"], "deployment": kept["checkpoint"]["latest"] or {}}

    def fill(
        self, stack: Stack, place: str | Path | None = None, state: dict[str, Any] | None = None
    ) -> None:
        """Begin with the copy that was found, if any, and with what the stack's last run told of itself."""
        (self.folder / "backend").mkdir()
        self.init()
        if place is None or state is None:
            return  # nor does what a run without a state told mean anything
        # As Pulumi's own file, because an import would drop the operations that it has as pending.
        if isinstance(place, Path):
            shutil.copyfile(place, self.state)
        else:
            owner = {"stack": f"organization/triplane/{self.name}", "latest": state["deployment"]}
            kept = {key: value for key, value in state.items() if key != "deployment"}
            self.state.write_text(json.dumps({**kept, "checkpoint": owner}))
        for mine, its in ((self.events, stack.events), (self.unresolved, stack.unresolved)):
            if its.exists():
                shutil.copyfile(its, mine)

    def take_place(self, stack: Stack) -> None:
        """Become the stack's state, in one step."""
        there = stack.state.parents[2]
        stack.state.parent.mkdir(parents=True, exist_ok=True)
        if not (there / "meta.yaml").exists():  # without it Pulumi looks for states in other places
            write_private(there / "meta.yaml", (self._pulumi / "meta.yaml").read_bytes())
        write_private(stack.state, self.state.read_bytes())
        for mine, its in ((self.events, stack.events), (self.unresolved, stack.unresolved)):
            if not mine.exists():
                its.unlink(missing_ok=True)


@contextmanager
def trial(
    stack: Stack, place: str | Path | None = None, state: dict[str, Any] | None = None
) -> Iterator[Trial]:
    """The stack as it would be with the copy that was found in ``place``; empty without one."""
    parent = HOME / ".pulumi"
    parent.mkdir(exist_ok=True)
    prefix = f"adopting.{stack.name}."
    for left in parent.glob(f"{prefix}*"):  # by one that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=parent, prefix=prefix) as folder:
        tried = Trial(stack.name, stack.file, Path(folder))
        tried.fill(stack, place, state)
        yield tried


def _time(found: tuple[str | Path, dict[str, Any]]) -> datetime:
    return datetime.fromisoformat(found[1]["deployment"]["manifest"]["time"])


def _resources(state: dict[str, Any]) -> list[dict[str, Any]]:
    return list(state["deployment"].get("resources") or ())


def unclaimed(config: StackConfig, stack: str, allow: Collection[str]) -> list[str]:
    """Refuse to make a stack anew whose platform still stands: it would be built a second time."""
    if SECOND in allow:
        return []
    if found := find(config, stack):
        uri, state = found
        what = (
            f", with a copy of its state ({len(_resources(state))} resources,"
            f" {state['deployment']['manifest']['time']})"
        )
    elif tagged := lake.standing(config, stack):
        uri, what = tagged[0], " by its tags, without a copy of its state"
    else:
        return []
    return [
        f"there is no state of stack {stack}, but {uri} belongs to it{what}. To take"
        f" over what stands: make adopt. To build another platform beside it: ALLOW={SECOND}"
    ]
