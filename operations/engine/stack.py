"""A stack of this clone: where its files are, and Pulumi's commands on it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import pulumi

from config.clouds import Cloud
from config.messages import did_you_mean
from config.stack_file import StackFile
from operations.engine import environment
from operations.engine.installation import HOME
from operations.engine.locks import remove_stale_locks
from operations.engine.previews import Step
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.state_file import state_problem
from operations.terminal import fail

SETTINGS = HOME / "Pulumi.dev.yaml"
SCRATCH = HOME / ".pulumi" / "stacks"


def _require_settings() -> None:
    if not SETTINGS.exists():
        fail(f"{SETTINGS} is not there. Take it back from git: git checkout {SETTINGS.name}")


def settings_of_dev() -> dict[str, Any]:
    """The settings of `dev` as they are written; leaves with a message if the file cannot be understood."""
    _require_settings()
    try:
        return StackFile.read(SETTINGS).settings
    except pulumi.RunError as error:
        fail(str(error))


def unknown_cloud(cloud: str) -> str | None:
    """What is wrong with the word in ``CLOUD``; None if it is a cloud."""
    clouds = get_args(Cloud)
    if cloud in clouds:
        return None
    near = did_you_mean(cloud, clouds)
    return f"CLOUD={cloud}: no such cloud. Allowed: {', '.join(clouds)}.{near}"


@dataclass(frozen=True)
class Stack:
    """A stack of this clone: `dev` with its tracked file, `dev-gcp` with a copy for another cloud."""

    name: str
    file: Path
    """The stack file: the settings."""

    @classmethod
    def for_cloud(cls, cloud: str) -> Stack:
        """The stack for CLOUD. It is `dev` without one, or with the cloud that the file of `dev` names."""
        if cloud and (problem := unknown_cloud(cloud)):
            fail(problem)
        _require_settings()
        if not cloud or settings_of_dev().get("triplane:cloud", cloud) == cloud:
            return cls("dev", SETTINGS)
        # A copy, because `pulumi -c` would write the word into the tracked file.
        return cls.copy_of_dev(f"dev-{cloud}", {"triplane:cloud": cloud})

    @classmethod
    def copy_of_dev(cls, name: str, changes: Mapping[str, Any]) -> Stack:
        """A stack whose file is the one of `dev`, with other values for some settings."""
        _require_settings()
        file = SCRATCH / f"Pulumi.{name}.yaml"
        note = f"Made from {SETTINGS.name} by `make`; edit that one."
        try:
            dev = StackFile.read(SETTINGS).with_settings(changes)
        except pulumi.RunError as error:
            fail(str(error))
        dev.with_comment(note).write(file)
        return cls(name, file)

    @cached_property
    def environment(self) -> dict[str, str]:
        # `--event-log` is for programs that drive Pulumi, and does not exist without this.
        hidden = {"PULUMI_DEBUG_COMMANDS": "true"}
        return {
            **os.environ,
            **environment.rehearsal_environment(),
            **environment.pulumi_environment(),
            **hidden,
        }

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
        self.cli.create_stack(folder, select=self.file == SETTINGS)

    @property
    def state_file(self) -> Path:
        """The file in which Pulumi keeps the state."""
        return (
            HOME / ".pulumi" / "backend" / ".pulumi" / "stacks" / "triplane" / f"{self.name}.json"
        )

    def exists(self) -> bool:
        # The engine replaces this file atomically, so it is never missing for a moment.
        return self.state_file.exists()

    def state_problem(self) -> str | None:
        """What is wrong with the state's file; None if it is intact, or does not exist."""
        return state_problem(self.state_file, self.name)

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

    @property
    def event_log(self) -> Path:
        """The event log of the last update. `operations.recovery.interrupted_run` and `change_counts` read it."""
        return HOME / ".pulumi" / f"events-{self.name}.json"

    @property
    def unresolved_file(self) -> Path:
        """The file of the operations that an interrupted recovery was reading from the cloud.

        `operations.recovery.interrupted_run` writes it. A file of the former version has another name, and stays
        in use until that recovery has ended.
        """
        former = HOME / ".pulumi" / f"doubts-{self.name}.json"
        return former if former.exists() else former.with_name(f"unresolved-{self.name}.json")

    def change_counts(self) -> dict[str, int]:
        """How many resources the last update created, updated, left the same, and so on, by operation."""
        for line in reversed(self.event_log.read_text().splitlines()):
            if summary := json.loads(line).get("summaryEvent"):
                return dict(summary["resourceChanges"])
        return {}

    def remove_stale_locks(self) -> None:
        """Remove locks of exited processes on this machine. Leaves with a reason if another update runs."""
        remove_stale_locks(HOME / ".pulumi" / "backend" / ".pulumi" / "locks", self.name)
