"""A stack over a copy of its state, in a backend of its own, so that a refusal or a kill changes nothing.

`make adopt` first has to see whether a copy of a lost state fits what exists in the cloud, and that takes steps
which write the state. So it takes them on a trial stack, in this order:

1. `trial_stack` creates a Pulumi backend in a folder of its own, and puts the copy there;
2. the caller recovers, refreshes and imports on it, which only reads the cloud;
3. `TrialStack.replace_state_of` puts the result in place of the stack's own state.

Without the third step nothing of the stack is changed. The folder of a killed run is removed by a later one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from operations.engine.environment import backend_url
from operations.engine.installation import HOME
from operations.engine.stack import NamedStack, Stack
from operations.engine.state_contents import foreign_code
from operations.recovery.copy_search import StateCopy
from operations.terminal import fail

REMOVAL_TIMEOUT = 5.0
"""Seconds to wait for the engine of a killed run, which may write into its folder until it ends."""


@dataclass(frozen=True)
class TrialStack(Stack):
    """The stack as it would be with a copy of its state. Until `replace_state_of`, nothing of the stack changes."""

    original: Stack
    folder: Path

    @cached_property
    def environment(self) -> dict[str, str]:
        # A folder, in Pulumi's usual layout, wherever the stack's own backend is.
        usual = {"PULUMI_DIY_BACKEND_GZIP": "", "PULUMI_DIY_BACKEND_LEGACY_LAYOUT": ""}
        return {
            **self.original.environment,
            **usual,
            "PULUMI_BACKEND_URL": backend_url(self.backend),
        }

    @property
    def backend(self) -> Path:
        """The folder of the trial's backend."""
        return self.folder / "backend"

    @property
    def state_file(self) -> Path:
        return self.backend / ".pulumi" / "stacks" / "triplane" / f"{self.name}.json"

    @property
    def runs(self) -> Path:
        return self.folder

    def exists(self) -> bool:
        return self.state_file.exists()

    def begin(self, state: Mapping[str, Any]) -> None:
        """Create the stack with this state, as its file and the backend's own.

        Not by `stack init`: that would choose another encryption than the state's, and write it into the stack file.
        Not by `stack import` either, which drops the pending operations.
        """
        checkpoint = {
            "stack": f"organization/triplane/{self.name}",
            "latest": state["deployment"],
        }
        rest = {key: value for key, value in state.items() if key != "deployment"}
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        self.state_file.write_text(json.dumps({**rest, "checkpoint": checkpoint}))
        (self.backend / ".pulumi" / "meta.yaml").write_text("version: 1\n")

    def remove_stale_locks(self) -> None:
        """Nobody else knows of this backend."""

    def export(self) -> dict[str, Any]:
        """The state, read from its file: half a second faster than Pulumi prints it, and it is read often here."""
        file = json.loads(self.state_file.read_text())
        return {"version": file["version"], "deployment": file["checkpoint"]["latest"] or {}}

    def load(self, stack: Stack, copy: StateCopy | None = None) -> None:
        """Begin with this copy of the stack's state, and with the log and the list of its last run.

        Without a copy the trial stack is empty: then the last run's log has no meaning either.
        """
        self.load_state(copy)
        if copy is None:
            return
        for own, original in self._files_of_last_run(stack):
            if original.exists():
                shutil.copyfile(original, own)

    def load_state(self, copy: StateCopy | None) -> None:
        """Begin with this copy of a state, and with nothing of a run. Leaves if the copy would run foreign code."""
        if copy and (found := foreign_code(copy.state)):
            fail(f"The copy {copy.place}: {found}.")
        if copy is None:
            self.backend.mkdir()
            self.init()
            return
        self.begin(copy.state)
        if isinstance(copy.place, Path):  # whole, with its version
            shutil.copyfile(copy.place, self.state_file)

    def replace_state_of(self, stack: NamedStack) -> None:
        """Become the stack's state."""
        stack.take_state(self.backend)
        for own, original in self._files_of_last_run(stack):
            if not own.exists():  # a recovery has resolved everything in it
                original.unlink(missing_ok=True)

    def _files_of_last_run(self, stack: Stack) -> tuple[tuple[Path, Path], ...]:
        """The files about the last run: the trial stack's own, and the stack's."""
        return (self.event_log, stack.event_log), (self.unresolved_file, stack.unresolved_file)


def _remove(folder: Path) -> None:
    """Remove the folder of a killed run. Its engine may still write there: what remains then is left to the next run.

    It is of no use to anybody, and this run has a folder of its own.
    """
    deadline = time.monotonic() + REMOVAL_TIMEOUT
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() or time.monotonic() > deadline:
            return
        time.sleep(0.05)


@contextmanager
def trial_stack(stack: Stack, copy: StateCopy | None = None) -> Iterator[TrialStack]:
    """The stack as it would be with this copy of its state; empty without one."""
    with _own_folder(f"adopting.{stack.name}.") as folder:
        trial = TrialStack(stack.name, stack.file, stack, folder)
        trial.load(stack, copy)
        yield trial


@contextmanager
def former_stack(name: str, copy: StateCopy, other: Stack) -> Iterator[TrialStack]:
    """A stack that is gone, over a copy of its state: only that can be read, with the environment of another stack."""
    with _own_folder(f"former.{name}.") as folder:
        former = TrialStack(name, folder / f"Pulumi.{name}.yaml", other, folder)
        former.load_state(copy)
        yield former


@contextmanager
def empty_stack(name: str, other: Stack) -> Iterator[TrialStack]:
    """A stack of this name without a state and without a stack file, with the environment of another stack."""
    with _own_folder(f"empty.{name}.") as folder:
        empty = TrialStack(name, folder / f"Pulumi.{name}.yaml", other, folder)
        empty.begin({"version": 3, "deployment": {}})
        yield empty


@contextmanager
def _own_folder(prefix: str) -> Iterator[Path]:
    """A folder for a trial, which only this user can read."""
    parent = HOME / ".pulumi"
    parent.mkdir(exist_ok=True)
    for left in parent.glob(f"{prefix}*"):  # by a run that was killed
        _remove(left)
    with tempfile.TemporaryDirectory(dir=parent, prefix=prefix) as folder:
        yield Path(folder)
