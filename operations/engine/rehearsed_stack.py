"""A stack of this clone in the rehearsal: `dev` with its tracked file, `dev-gcp` with a copy for another cloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import pulumi

from components.stack_place import CLONES_STACK, CLOUD, Move, clouds_of, creation, new_stack
from config.clouds import Cloud
from config.files import write_private
from config.messages import did_you_mean
from config.stack_file import StackFile
from operations.engine import environment
from operations.engine.disk_space import disk_shortages
from operations.engine.guards import refuse
from operations.engine.installation import HOME, PYTHON
from operations.engine.locks import remove_stale_locks
from operations.engine.stack import SCRATCH, NamedStack, make_line
from operations.engine.state_file import (
    compressed_states,
    exported_state,
    intact_copies,
    state_in_file,
    state_problem,
    time_of,
)
from operations.started_processes import staying_environment
from operations.terminal import fail, say
from rehearsal import supervisor

SETTINGS = HOME / "Pulumi.dev.yaml"


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


def start_rehearsal() -> None:
    """Start the rehearsal, unless it runs already. It stays until `make down`."""
    refuse(disk_shortages())
    if text := supervisor.runs_as_wanted(supervisor.state_folder(HOME)):
        print(text, flush=True)
        return
    command = [str(PYTHON), "-m", "rehearsal", "start"]
    if subprocess.run(command, cwd=HOME, env=staying_environment()).returncode:
        fail("The rehearsal did not start; the reason is above.")


class RehearsedStack(NamedStack):
    """A stack of this clone: its backend is a folder of the clone, its cloud the rehearsal."""

    @classmethod
    def for_cloud(cls, cloud: str) -> RehearsedStack:
        """The stack for CLOUD; without one, for the cloud that the file of `dev` names.

        `dev` stays on the cloud that it was built on. Each other cloud has a stack of its own beside it, `dev-gcp`: so the
        word in the file can be changed, and nothing is lost.
        """
        if cloud and (problem := unknown_cloud(cloud)):
            fail(problem)
        _require_settings()
        dev, written = cls(CLONES_STACK, SETTINGS), settings_of_dev().get(CLOUD)
        wanted = cloud or written
        if written is None or wanted not in get_args(Cloud):
            return dev  # validation reports the file
        other = cls(f"{dev.name}-{wanted}", SCRATCH / f"Pulumi.{dev.name}-{wanted}.yaml")
        existing = dev._clouds()
        is_dev = wanted in existing or (
            wanted == written and not existing and wanted not in other._clouds()
        )
        if not is_dev and not cloud:
            where = f"is on {' and '.join(sorted(existing))}" if existing else "is empty"
            note = f"{SETTINGS.name} names {wanted}: stack {other.name}. Stack {dev.name} {where}, and stays as it is."
            print(note, file=sys.stderr)
        if is_dev and wanted == written:
            return dev
        # A copy, because `pulumi -c` would write the word into the tracked file.
        return cls.copy_of_dev(dev.name if is_dev else other.name, {CLOUD: wanted})

    @classmethod
    def copy_of_dev(cls, name: str, changes: Mapping[str, Any]) -> RehearsedStack:
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

    def _clouds(self) -> set[str]:
        """The clouds that the stack is built on: one, or none yet. Of a broken state the newest intact copy counts."""
        if self.state_problem() is None:
            return clouds_of(self.recorded_state().get("resources") or ())
        copies = sorted(
            self.kept_copies(), key=lambda copy: str(time_of(copy[1]["deployment"])), reverse=True
        )
        return clouds_of(copies[0][1]["deployment"]["resources"]) if copies else set()

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

    def start(self) -> None:
        start_rehearsal()

    def make(self, target: str) -> str:
        stage, _, cloud = self.name.partition("-")
        if stage != CLONES_STACK:  # a delivery's: its file and its state are this clone's
            return environment.in_rehearsal(make_line(target, f"STACK={self.name}"))
        if not cloud and self.file != SETTINGS:
            cloud = StackFile.read(self.file).settings[CLOUD]
        return make_line(target, f"CLOUD={cloud}" if cloud else "")

    def pulumi_line(self, words: str) -> str:
        return environment.in_rehearsal(f"pulumi {words} --stack {self.name}")

    def built_elsewhere(self, moves: list[Move]) -> str:
        new = new_stack(self.name, moves)
        return environment.in_rehearsal(f"{creation(self.name, moves)} && make up STACK={new}")

    @property
    def edited(self) -> Path:
        return SETTINGS

    @property
    def account_has_limits(self) -> bool:
        return self.environment.get("TRIPLANE_REHEARSAL_PROFILE") == "fresh-account"

    @property
    def backup(self) -> str | None:
        return str(HOME / ".backups" / self.name)

    @property
    def runs(self) -> Path:
        return HOME / ".pulumi"

    @property
    def state_file(self) -> Path:
        """The file in which Pulumi keeps the state."""
        return (
            HOME / ".pulumi" / "backend" / ".pulumi" / "stacks" / "triplane" / f"{self.name}.json"
        )

    def exists(self) -> bool:
        # The engine replaces this file atomically, so it is never missing for a moment.
        return self.state_file.exists()

    @property
    def is_created_by_an_update(self) -> bool:
        return True

    def missing(self) -> str | None:
        if self.exists():
            return None
        return (
            f"There is no stack {self.name} in this clone. Nothing was changed. To create it: {self.make('up')}. Is its"
            f" state lost, while its platform exists? {self.make('adopt')}"
        )

    def recorded_state(self) -> dict[str, Any]:
        return state_in_file(self.state_file) if self.exists() else {}

    def export(self) -> dict[str, Any]:
        # Without the engine, whose start takes a third of a second. It reads the same file.
        return exported_state(self.state_file) if self.exists() else super().export()

    def resources(self) -> list[dict[str, Any]]:
        return list(self.recorded_state().get("resources") or ())

    def state_problem(self) -> str | None:
        return state_problem(self.state_file, self.name)

    def kept_copies(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        return intact_copies(self.state_file, self.name)

    def not_adoptable(self) -> str | None:
        return None

    def set_broken_state_aside(self) -> None:
        if self.exists():
            aside = self.state_file.with_suffix(".broken")
            shutil.copyfile(self.state_file, aside)
            say(f"the broken state is kept as {aside.name}")
        for each in compressed_states(self.state_file):
            aside = each.rename(each.with_name(f"{each.name}.broken"))
            say(f"the compressed state is kept as {aside.name}")

    def take_state(self, backend: Path) -> None:
        """In one step: a kill leaves the former state or this one."""
        own, other = self.state_file.parents[2], backend / ".pulumi"
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        # Without this file Pulumi looks for states in other places.
        if not (own / "meta.yaml").exists():
            write_private(own / "meta.yaml", (other / "meta.yaml").read_bytes())
        write_private(self.state_file, (other / self.state_file.relative_to(own)).read_bytes())

    def remove_stale_locks(self) -> None:
        remove_stale_locks(self.state_file.parents[2] / "locks", self.name)

    def create(self, folder: Path) -> None:
        # In the clone's own folder, bare commands of Pulumi then act on `dev`.
        self.cli.create_stack(folder, select=self.file == SETTINGS)
