"""A separate checkout with a separate rehearsal, in which the scenarios of one cloud run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from config.model_store import CHAMPION, MODEL
from config.stack_file import StackFile
from operations.crash import vertex
from operations.engine import environment, previews
from operations.engine.installation import HOME
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.rehearsed_stack import SETTINGS
from operations.engine.source_files import files_not_ignored
from rehearsal import supervisor

MORE_MODELS = ("arrival-delay", "digits")
"""The models that come when models are replaced."""
RUN_TIMEOUT = 240
"""Seconds after which a run counts as stuck."""
SAVED_FOLDERS = (".pulumi", ".rehearsal")
"""A checkout's state besides its files: the stacks, and the rehearsal's clouds."""


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the engine and everything that it started at once: plugins have their own process groups."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid)
        for each in [family, *family.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
    process.wait()


@dataclass
class Checkout:
    """A checkout for one cloud."""

    cloud: str
    folder: Path

    def create(self) -> None:
        """Copy the working tree as it is. The Python environment and the models are shared."""
        for name in files_not_ignored(HOME):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HOME / name, self.folder / name)
        for shared in (".venv", ".models"):
            (self.folder / shared).symlink_to(HOME / shared)

    @property
    def environment(self) -> dict[str, str]:
        """The shell's environment. Compiled modules lie beside the code, so that all checkouts share them."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULUMI_", "TRIPLANE_", "PYTHONDONTWRITE", "PYTHONPYCACHE"))
        }
        return {**inherited, "PYTHONPATH": str(self.folder), "DATA": "destroy"}

    @cached_property
    def stack(self) -> str:
        """The name of the stack that `make` uses for this cloud."""
        settings = StackFile.read(self.folder / SETTINGS.name).settings
        return "dev" if settings["triplane:cloud"] == self.cloud else f"dev-{self.cloud}"

    @property
    def stack_file(self) -> Path:
        """The stack file that `make` uses for this cloud."""
        folder = self.folder if self.stack == "dev" else self.folder / ".pulumi/stacks"
        return folder / f"Pulumi.{self.stack}.yaml"

    @property
    def event_log(self) -> Path:
        """The engine's log of an update while it goes on: `Stack.event_log`."""
        return self.folder / ".pulumi" / f"events-{self.stack}.json"

    @property
    def output(self) -> str:
        """The output of the last command."""
        return (self.folder / "output.txt").read_text(errors="replace")

    # Commands

    @contextlib.contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start ``python -m WORDS``, with its output in a file. At the end, its remaining processes are killed."""
        with (self.folder / "output.txt").open("w") as output:
            process = subprocess.Popen(
                [str(self.folder / ".venv/bin/python"), "-m", *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                kill(process)

    def run(self, *words: str) -> str:
        """Run ``python -m WORDS``; returns its output. Raises RuntimeError with it if the command fails."""
        with self.running(*words) as process:
            code = process.wait(RUN_TIMEOUT)
        if code:
            raise RuntimeError(f"{' '.join(words)} exited with {code}:\n{self.output}")
        return self.output

    def command(self, operation: str) -> tuple[str, ...]:
        """The plain command that does the operation, once `change_settings` has prepared it."""
        return ("operations", "destroy" if operation == "delete" else "up", self.cloud)

    # The engine

    def preview(self) -> subprocess.CompletedProcess[str]:
        """A preview that fails if it finds a change."""
        return self._cli.capture("preview", "--expect-no-changes")

    def plain_update(self) -> subprocess.CompletedProcess[str]:
        """What `pulumi up` does by itself; it fails if it finds a change."""
        return self._cli.capture("up", "--yes", "--skip-preview", "--expect-no-changes")

    def drift(self) -> dict[str, list[str]]:
        """The resources that differ between cloud and state, with the properties that differ.

        Raises ValueError unless the engine has read each resource of the state.
        """
        refresh, event_log = self._cli.captured_refresh()
        try:
            previews.parse_preview(refresh.stdout)  # it names the error of a refresh that failed
            steps = previews.refresh_steps(event_log)
        except ValueError as error:
            raise ValueError(f"{error}:\n{refresh.stderr[-1500:]}") from error
        resources = (each for each in self.state().get("resources") or () if each["custom"])
        managed = {each["urn"] for each in resources if not each["type"].startswith("pulumi:")}
        if unread := sorted(managed - {step["urn"] for step in steps}):
            raise ValueError(f"a refresh did not read {', '.join(unread)}")
        return previews.drift(steps)

    @cached_property
    def _exports(self) -> dict[str, str]:
        """The output of `make -s env`. Its paths and ports do not change."""
        return dict(environment.parse_exports(self.run("operations", "env")))

    @property
    def _cli(self) -> PulumiCli:
        """Plain Pulumi, as after `eval "$(make -s env)"`."""
        environment = {**self.environment, **self._exports}
        return PulumiCli(self.stack, self.stack_file, environment, self.folder)

    def state(self) -> dict[str, Any]:
        """The state as it is on disk."""
        file = self.folder / f".pulumi/backend/.pulumi/stacks/triplane/{self.stack}.json"
        try:
            found: dict[str, Any] = json.loads(file.read_text())["checkpoint"]["latest"] or {}
        except (OSError, ValueError, KeyError):  # it does not exist yet
            found = {}
        return found

    def pending(self) -> set[str]:
        """Names of the resources whose operation is in progress, or was when the engine was killed."""
        operations = self.state().get("pending_operations") or ()
        return {each["resource"]["urn"].rsplit("::", 1)[-1] for each in operations}

    # The rehearsal

    def control(self, path: str, body: object = None, method: str = "GET") -> Any:
        """Call the rehearsal's control API; returns its answer."""
        return supervisor.request(self.folder / ".rehearsal", f"/_api/{path}", method, body)

    def unrecorded_resources(self) -> list[dict[str, Any]]:
        """The cloud's resources that no provider of the rehearsal records."""
        return vertex.models_and_deployments(self.folder) if self.cloud == "gcp" else []

    # The starting point of a scenario

    def save(self, name: str) -> None:
        """Save the stacks and the rehearsal's clouds, so that scenarios can start from them."""
        self.run("rehearsal", "stop")
        for part in SAVED_FOLDERS:
            shutil.copytree(self.folder / part, self.folder / "saved" / name / part, symlinks=True)
        self.run("rehearsal", "start")

    def restore(self, name: str) -> None:
        """Return to what `save` saved under this name."""
        self.run("rehearsal", "stop")
        for part in SAVED_FOLDERS:
            shutil.rmtree(self.folder / part, ignore_errors=True)
            shutil.copytree(self.folder / "saved" / name / part, self.folder / part, symlinks=True)
        shutil.copy2(SETTINGS, self.folder / SETTINGS.name)
        self.run("rehearsal", "start")

    def change_settings(self, operation: str, model: str) -> None:
        """Change the settings so that the next update is the operation."""
        path = self.folder / SETTINGS.name
        file = StackFile.read(path)
        match operation:
            case "update":
                tags = {**file.settings["triplane:tags"], "team": "crashed"}
                file = file.with_settings({"triplane:tags": tags})
            case "replace":
                # One model rolls, and two more come, on one endpoint.
                small = {name: {"version": CHAMPION, "endpoint": "small"} for name in MORE_MODELS}
                file = file.with_settings({"triplane:models": {MODEL: model, **small}})
        file.write(path)
