"""A stack of the shell's environment: its backend, its credentials and its cloud, as CI or an engineer has them.

The backend may be anywhere: a bucket, Pulumi Cloud, a folder. So everything is asked by Pulumi's own commands. The
rehearsal is never started, and nothing of its environment is added.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from components.stack_place import Move, creation, new_stack
from config.stack_file import StackFile
from operations.engine import environment
from operations.engine.guards import refuse
from operations.engine.installation import HOME, typed_pulumi
from operations.engine.locks import remove_stale_locks
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.pulumi_errors import MISSING_STACK, UNREADABLE_STATE, error_text, explained
from operations.engine.stack import SCRATCH, NamedStack, make_line
from operations.engine.state_contents import foreign_code, parsed_state
from operations.engine.state_file import intact_copies
from operations.started_processes import ENDS_BY_ITSELF
from operations.terminal import fail

ANSWER_SECONDS = 60.0
"""For a backend's first answer. Cloud Storage's client tries again without end where nothing listens:
https://pkg.go.dev/cloud.google.com/go/storage#hdr-Retrying_failed_requests"""


@dataclass(frozen=True)
class FoundState:
    """What the backend has of a stack when a command begins."""

    exists: bool
    problem: str | None
    """What is wrong with the state; None if it can be read."""
    deployment: dict[str, Any]


@dataclass(frozen=True)
class ShellStack(NamedStack):
    """A stack with the backend, the credentials and the cloud of the shell's environment."""

    organization: str = ""
    """On Pulumi Cloud: whose stack it is, if that is not the account's own."""

    @classmethod
    def named(cls, reference: str) -> ShellStack:
        """The stack ``prod`` or ``acme/prod``; leaves with a message if there is no stack file of its name."""
        organization, _, name = reference.rpartition("/")
        rendered, tracked = SCRATCH / f"Pulumi.{name}.yaml", HOME / f"Pulumi.{name}.yaml"
        file = tracked if tracked.exists() else rendered
        if not name or not file.exists():
            fail(
                f"STACK={reference}: there is no {tracked.name}. docs/guides/real-cloud.md describes how to create one."
            )
        return cls(name, file, organization)

    @property
    def reference(self) -> str:
        """How Pulumi's commands name the stack."""
        return f"{self.organization}/{self.name}" if self.organization else self.name

    @cached_property
    def environment(self) -> dict[str, str]:
        path = environment.pulumi_environment()["PATH"]
        # As `RehearsedStack` does, for `--event-log`.
        more = {"PATH": path, "PULUMI_DEBUG_COMMANDS": "true", ENDS_BY_ITSELF: "true"}
        return {**os.environ, **more}

    @cached_property
    def cli(self) -> PulumiCli:
        """As `Stack` has it, with the engine's errors explained: only they show a lock in a backend elsewhere."""
        return replace(super().cli, stack=self.reference, explains_streams=True)

    def cli_of(self, name: str) -> PulumiCli:
        """Pulumi's command line on the stack of another name, of the same owner."""
        return replace(self.cli, stack=replace(self, name=name).reference)

    @cached_property
    def backend(self) -> str:
        """The URL of the backend that the shell is signed in to. Leaves with a reason if it cannot be reached."""
        try:
            answer = self.cli.unnamed("whoami", "--json", timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            fail(
                f"The backend with the state gave no answer for {ANSWER_SECONDS:.0f} seconds. Nothing was changed. Is it the"
                " right one (PULUMI_BACKEND_URL, or `pulumi login`), and is it reachable from here? Then run the same"
                " command again."
            )
        return str(json.loads(answer)["url"])

    def start(self) -> None:
        """Leaves with a reason if the shell names two clouds, or the backend cannot be reached."""
        refuse(environment.mixed_clouds(self.environment))
        _ = self.backend

    def make(self, target: str) -> str:
        return self._line(make_line(target, f"STACK={self.reference}"))

    def pulumi_line(self, words: str) -> str:
        """With this clone's Pulumi if the shell has none: only its backend and credentials are the shell's."""
        return self._line(f"{typed_pulumi()} {words} --stack {self.reference}")

    def built_elsewhere(self, moves: list[Move]) -> str:
        new = new_stack(self.reference, moves)
        return self._line(
            f"{creation(self.reference, moves, typed_pulumi())} && make up STACK={new}"
        )

    def _line(self, command: str) -> str:
        """Also in a shell without the rehearsal's environment, if the stack needs that: it may be that of one line only."""
        if environment.has_rehearsal(self.environment):
            return environment.in_rehearsal(command)
        return command

    @property
    def edited(self) -> Path:
        return self.file

    @property
    def account_has_limits(self) -> bool:
        return True

    @property
    def backup(self) -> str | None:
        return None  # a stack of the same name may be another one, and a real backup is not kept in a clone

    @property
    def runs(self) -> Path:
        # A backend of its own each: another one can have a stack of this name, and so has this clone.
        key = f"{self.backend.partition('?')[0]} {self.reference}"
        folder = HOME / ".pulumi" / "shell" / hashlib.sha256(key.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def _found(self) -> FoundState:
        self.start()
        done = self.cli.capture("stack", "export")
        reason = error_text(done) if done.returncode else ""
        if MISSING_STACK.search(reason):
            return FoundState(False, None, {})
        if UNREADABLE_STATE.search(reason):
            return FoundState(True, self._unreadable(reason), {})
        if reason:
            fail(explained(reason, self.file))
        try:
            state = parsed_state(done.stdout.encode())  # Pulumi Cloud's is printed as it is there
        except ValueError as error:
            return FoundState(True, self._unreadable(str(error)), {})
        deployment = state.get("deployment") if isinstance(state, dict) else None
        # Pulumi reads JSON of another kind as a stack without resources.
        if not isinstance(deployment, dict):
            return FoundState(True, self._unreadable("not a state of Pulumi"), {})
        found = foreign_code(state)
        problem = f"stack {self.reference} in {self.backend}: {found}" if found else None
        return FoundState(True, problem, deployment)

    def _unreadable(self, reason: str) -> str:
        return f"the state of stack {self.reference} in {self.backend} cannot be read: {reason}"

    def exists(self) -> bool:
        return self._found.exists

    @property
    def is_created_by_an_update(self) -> bool:
        return False  # the shell may be signed in to another backend

    def missing(self) -> str | None:
        if self.exists():
            return None
        other = "Set PULUMI_BACKEND_URL, or `pulumi login`."
        if environment.has_rehearsal(self.environment):
            other = (
                "This shell has the rehearsal's (`make env`): open another shell for a real stack."
            )
        return (
            f"There is no stack {self.reference} in {self.backend}. Nothing was changed. Another backend? {other}"
            " Is its state lost, while its cloud exists?"
            f" {self.make('adopt')}. Is everything gone? {self.make('restore BACKUP=…')} A first stack:"
            f" {typed_pulumi()} stack init {self.reference} (docs/guides/real-cloud.md)"
        )

    def recorded_state(self) -> dict[str, Any]:
        return self._found.deployment

    def state_problem(self) -> str | None:
        return self._found.problem

    @property
    def _folder(self) -> Path | None:
        """The folder of the backend, if it is one on this machine."""
        url = urlsplit(self.backend)
        if url.scheme != "file":
            return None
        return Path(url.netloc + unquote(url.path)).expanduser() / ".pulumi"

    def kept_copies(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        if folder := self._folder:
            yield from intact_copies(
                folder / "stacks" / "triplane" / f"{self.name}.json", self.name
            )

    def not_adoptable(self) -> str | None:
        document = StackFile.read(self.file).document
        if self._folder or not self.backend.startswith("http") or document.get("secretsprovider"):
            return None
        return (
            f"Pulumi Cloud encrypts the secrets of stack {self.reference}, and nobody else can read them. Nothing was"
            f" changed. It keeps every version of the state: {self.pulumi_line('stack history')};"
            f" {self.pulumi_line('stack export --version … --file state.json')};"
            f" {self.pulumi_line('stack import --file state.json')}. Then {self.make('repair')}"
        )

    def set_broken_state_aside(self) -> NoReturn:
        """Only the backend's owner can: Pulumi's commands neither read nor remove such a stack."""
        fail(
            f"{self.state_problem()}. Nothing was changed. Does the backend keep versions? Then put the last whole"
            f" one of .pulumi/stacks/triplane/{self.name}.json back. If not, move that object away, and run"
            f" {self.make('adopt')} again: it finds the stack's resources without a state"
        )

    def create(self, folder: Path) -> None:
        super().create(folder)
        self.__dict__.pop("_found", None)

    def take_state(self, backend: Path) -> None:
        """In two steps where the stack does not exist. Between them it is empty, and `make up` refuses that."""
        self.init()
        file = backend / ".pulumi" / "stacks" / "triplane" / f"{self.name}.json"
        state = json.loads(file.read_text())
        self.import_state(
            {"version": state["version"], "deployment": state["checkpoint"]["latest"]}
        )

    def remove_stale_locks(self) -> None:
        """Only of a backend in a folder of this machine.

        In a bucket a lock of the same host name can be another machine's, and its process cannot be seen from here.
        So there Pulumi refuses, and a person decides (`operations.engine.pulumi_errors`).
        """
        if folder := self._folder:
            remove_stale_locks(folder / "locks", self.name)
