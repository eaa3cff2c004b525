"""A stack: Pulumi's commands on it, and what the kinds of stacks must answer.

A person names one of two kinds. One is of this clone, in the rehearsal (`operations.engine.rehearsed_stack`). The other is of
the shell's environment: its backend, its credentials, its cloud (`operations.engine.shell_stack`).
"""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pulumi

from components.stack_place import Move
from config.stack_file import StackFile
from operations.engine.installation import HOME
from operations.engine.previews import Step
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.state_file import time_of
from operations.terminal import fail

SCRATCH = HOME / ".pulumi" / "stacks"
"""The folder of stack files that are not tracked."""


@dataclass(frozen=True)
class Stack(ABC):
    """A stack with its stack file."""

    name: str
    file: Path
    """The stack file: the settings."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The environment of Pulumi and of the clouds' clients."""

    @property
    @abstractmethod
    def runs(self) -> Path:
        """The folder with what is kept of this stack's last run; it exists."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether the backend has the stack."""

    @abstractmethod
    def remove_stale_locks(self) -> None:
        """Remove locks of exited processes on this machine. Leaves with a reason if another update runs."""

    # Pulumi's commands

    @cached_property
    def cli(self) -> PulumiCli:
        """Pulumi's command line on this stack."""
        return PulumiCli(self.name, self.file, self.environment, HOME)

    def pulumi(self, *words: str, check: bool = True) -> int:
        """Run a command on the stack in the terminal. Leaves with its exit code if it fails, unless ``check`` is off."""
        code = self.cli.stream(*words)
        if check and code:
            sys.exit(code)
        return code

    def update(self, verb: str, *words: str) -> None:
        """Run `up` or `destroy`, with an event log."""
        events = ("--event-log", str(self.event_log))
        self.pulumi(verb, "--yes", "--skip-preview", *events, *words)

    def preview_steps(self, *words: str) -> list[Step]:
        """The steps of a ``preview`` with these options."""
        return list(self.cli.json(*words, "--json").get("steps") or ())  # an empty stack has none

    def init(self) -> None:
        """Create the stack, unless it exists."""
        if self.exists():
            return
        folder = self.file.parent
        if folder == SCRATCH:
            # A project whose stack file exists already. In this clone's folder `stack init` would write another.
            (SCRATCH / "Pulumi.yaml").write_text("name: triplane\nruntime: python\n")
        self.create(folder)

    def create(self, folder: Path) -> None:
        """Create the stack, from a folder with a Pulumi.yaml.

        With the encryption that the stack file names: Pulumi would choose a passphrase, and write that into the file.
        """
        try:
            file = StackFile.read(self.file)
        except pulumi.RunError as error:
            fail(str(error))
        self.cli.create_stack(folder, secrets_provider=file.secrets_provider)

    def export(self) -> dict[str, Any]:
        """The state, as `pulumi stack export` prints it. Its secrets stay encrypted."""
        return dict(self.cli.json("stack", "export"))

    def import_state(self, state: dict[str, Any]) -> None:
        """Replace the state. Pulumi removes pending operations from it."""
        self.cli.output("stack", "import", stdin=json.dumps(state))

    def resources(self) -> list[dict[str, Any]]:
        """The resources in the state."""
        return list((self.export().get("deployment") or {}).get("resources") or ())

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in plain text."""
        return dict(self.cli.json("stack", "output", "--json", "--show-secrets"))

    # The last run

    @property
    def event_log(self) -> Path:
        """The event log of the last update. `operations.recovery.interrupted_run` and `change_counts` read it."""
        return self.runs / f"events-{self.name}.json"

    @property
    def unresolved_file(self) -> Path:
        """The file of the operations that an interrupted recovery was reading from the cloud.

        `operations.recovery.interrupted_run` writes it. A file of the former version has another name, and stays
        in use until that recovery has ended.
        """
        former = self.runs / f"doubts-{self.name}.json"
        return former if former.exists() else former.with_name(f"unresolved-{self.name}.json")

    def change_counts(self) -> dict[str, int]:
        """How many resources the last update created, updated, left the same, and so on, by operation."""
        for line in reversed(self.event_log.read_text().splitlines()):
            if summary := json.loads(line).get("summaryEvent"):
                return dict(summary["resourceChanges"])
        return {}


def make_line(target: str, where: str) -> str:
    """What a person types for a target with its variables: ``make destroy STACK=prod DATA=destroy``."""
    words = target.split()
    variables = [each for each in words if "=" in each]
    return " ".join(
        ["make", *words[: len(words) - len(variables)], *filter(None, [where]), *variables]
    )


class NamedStack(Stack):
    """A stack that a person names, by CLOUD or by STACK: what its kind must answer."""

    @abstractmethod
    def start(self) -> None:
        """Make ready what every command needs. Leaves with a reason if it cannot be had."""

    @abstractmethod
    def make(self, target: str) -> str:
        """What a person types for a target, with its variables, on this stack: ``make up STACK=prod``."""

    @abstractmethod
    def pulumi_line(self, words: str) -> str:
        """What a person types for a command of Pulumi on this stack, in the shell that ``make`` was typed in."""

    @abstractmethod
    def built_elsewhere(self, moves: list[Move]) -> str:
        """What a person types for a stack like this one in another place."""

    @property
    @abstractmethod
    def edited(self) -> Path:
        """The file in which a person changes the stack's settings."""

    @property
    @abstractmethod
    def account_has_limits(self) -> bool:
        """Whether the account may lack what the stack needs, so that the first deployment asks it first."""

    @property
    @abstractmethod
    def backup(self) -> str | None:
        """Where `make backup` writes without BACKUP; None if a person has to name a place."""

    @property
    @abstractmethod
    def is_created_by_an_update(self) -> bool:
        """Whether a preview or an update creates the stack. If not, a missing one is an error there, too."""

    @abstractmethod
    def missing(self) -> str | None:
        """That the stack does not exist, and the ways out; None if it exists."""

    @abstractmethod
    def recorded_state(self) -> dict[str, Any]:
        """The state that the backend has: ``resources``, ``manifest`` and so on; empty without one."""

    def is_empty(self) -> bool:
        """Whether the state of the stack has no resource."""
        return not self.recorded_state().get("resources")

    @abstractmethod
    def state_problem(self) -> str | None:
        """What is wrong with the state; None if it is intact, or does not exist."""

    def written(self) -> datetime | None:
        """When the state was written; None without a state."""
        return time_of(self.recorded_state())

    @abstractmethod
    def kept_copies(self) -> Iterable[tuple[Path, dict[str, Any]]]:
        """The intact copies of the state that Pulumi keeps: each file, and its state as `export` returns it."""

    @abstractmethod
    def not_adoptable(self) -> str | None:
        """Why a lost state of this stack cannot be rebuilt by `make adopt`; None if it can."""

    @abstractmethod
    def set_broken_state_aside(self) -> None:
        """Keep a broken state under another name, before another state comes in its place."""

    @abstractmethod
    def take_state(self, backend: Path) -> None:
        """Replace the state by this stack's state in another backend, a folder."""
