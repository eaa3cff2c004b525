"""A checkout of its own, with a rehearsal of its own, in which a cloud's journeys are played."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from operations.crash import vertex
from operations.engine import guards
from operations.engine.installation import HOME

PATIENCE = 240
"""Seconds after which a run counts as stuck."""
KEPT = (".pulumi", ".rehearsal")
"""What a checkout stands on besides its files: the stacks, and the rehearsal's clouds."""


def kill(process: subprocess.Popen[str]) -> None:
    """The engine and all that it started, at once: plugins are in process groups of their own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid)
        for each in [family, *family.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
    process.wait()


def _files() -> list[str]:
    """All files of this tree but those that ``.gitignore`` names.

    Asked of an empty repository: of its own the tree may have none (a CodePipeline's source is a ZIP).
    """
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(["git", "init", "--quiet", "--bare", empty], check=True)
        of = ["git", f"--git-dir={empty}", f"--work-tree={HOME}"]
        listed = subprocess.run(
            [*of, "ls-files", "-z", "--others", "--exclude-standard"],
            cwd=HOME,
            check=True,
            stdout=subprocess.PIPE,
        )
    return listed.stdout.decode().rstrip("\0").split("\0")


@dataclass
class Clone:
    """A checkout for one cloud."""

    cloud: str
    folder: Path

    def make(self) -> None:
        """Copy the working tree as it is, and share the environment and the models."""
        for name in _files():
            if (HOME / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(HOME / name, self.folder / name)
        for shared in (".venv", ".models"):
            (self.folder / shared).symlink_to(HOME / shared)

    @property
    def environment(self) -> dict[str, str]:
        """The terminal's. Compiled modules lie beside the code, for all checkouts to share."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULUMI_", "TRIPLANE_", "PYTHONDONTWRITE", "PYTHONPYCACHE"))
        }
        return {**inherited, "PYTHONPATH": str(self.folder), "DATA": "destroy"}

    @property
    def stack(self) -> str:
        settings = (self.folder / "Pulumi.dev.yaml").read_text()
        return "dev" if f"triplane:cloud: {self.cloud}" in settings else f"dev-{self.cloud}"

    @property
    def events(self) -> Path:
        """What the engine tells of an update while it goes on: `Stack.events`."""
        return self.folder / ".pulumi" / f"events-{self.stack}.json"

    @property
    def output(self) -> str:
        """What the last command printed."""
        return (self.folder / "output.txt").read_text(errors="replace")

    @contextlib.contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """What `make WORDS` runs, its output in a file; in the end what still runs of it is killed."""
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
        """Run to the end; raises with everything that was printed."""
        with self.running(*words) as process:
            code = process.wait(PATIENCE)
        if code:
            raise RuntimeError(f"{' '.join(words)} left with {code}:\n{self.output}")
        return self.output

    def play(self, operation: str) -> tuple[str, ...]:
        """The words of the plain command that does the operation, once the settings ask for it."""
        return (
            "operations.commands.deploy",
            "destroy" if operation == "delete" else "up",
            self.cloud,
        )

    def preview(self) -> subprocess.CompletedProcess[str]:
        """A preview that leaves with an error if it finds a change."""
        return self._pulumi("preview", "--expect-no-changes")

    def drift(self) -> dict[str, list[str]]:
        """What the cloud has otherwise than the state says: names of resources, and of their properties.

        Raises ValueError unless the engine has asked for all that the state holds.
        """
        asked = self._pulumi("refresh", "--preview-only", "--json")
        try:
            steps = guards.previewed(asked.stdout)
        except ValueError as error:
            raise ValueError(f"{error}:\n{asked.stderr[-1500:]}") from error
        resources = (each for each in self.state().get("resources") or () if each["custom"])
        held = {each["urn"] for each in resources if not each["type"].startswith("pulumi:")}
        if unseen := sorted(held - {step["urn"] for step in steps}):
            raise ValueError(f"a refresh did not look at {', '.join(unseen)}")
        return guards.drift(steps)

    @cached_property
    def _exports(self) -> str:
        """What `make -s env` prints; its paths and ports stay what they are."""
        return self.run("operations.engine.environment")

    def _pulumi(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What a bare command prints, after `eval "$(make -s env)"`."""
        file = f".pulumi/stacks/Pulumi.{self.stack}.yaml"
        config = f"--config-file {file}" if self.stack != "dev" else ""
        asks = f"pulumi {' '.join(words)} --stack {self.stack} {config}"
        return subprocess.run(
            ["sh", "-c", f"{self._exports}\nexec {asks}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def state(self) -> dict[str, Any]:
        """The state as it is on disk."""
        file = self.folder / f".pulumi/backend/.pulumi/stacks/triplane/{self.stack}.json"
        try:
            found: dict[str, Any] = json.loads(file.read_text())["checkpoint"]["latest"] or {}
        except (OSError, ValueError, KeyError):  # not yet there
            found = {}
        return found

    def pending(self) -> set[str]:
        """Names of the resources at which the engine is at work, or was when it was killed."""
        operations = self.state().get("pending_operations") or ()
        return {each["resource"]["urn"].rsplit("::", 1)[-1] for each in operations}

    def ask(self, path: str, body: object = None, method: str | None = None) -> Any:
        """Ask the rehearsal's control API."""
        ports = json.loads((self.folder / ".rehearsal/addresses.json").read_text())
        request = urllib.request.Request(
            f"http://127.0.0.1:{ports['http']}/_api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def served(self) -> list[dict[str, Any]]:
        """What the cloud has beside the resources that its providers know."""
        return vertex.standing(self.folder) if self.cloud == "gcp" else []

    def keep(self, name: str) -> None:
        """Keep what stands, to begin journeys from."""
        self.run("rehearsal", "stop")
        for part in KEPT:
            shutil.copytree(self.folder / part, self.folder / "kept" / name / part, symlinks=True)
        self.run("rehearsal", "start")

    def restore(self, name: str) -> None:
        """Stand again where `keep` was called."""
        self.run("rehearsal", "stop")
        for part in KEPT:
            shutil.rmtree(self.folder / part, ignore_errors=True)
            shutil.copytree(self.folder / "kept" / name / part, self.folder / part, symlinks=True)
        shutil.copy2(HOME / "Pulumi.dev.yaml", self.folder / "Pulumi.dev.yaml")
        self.run("rehearsal", "start")

    def change(self, operation: str, model: str) -> None:
        """Change the settings so that the next update is the operation."""
        file = self.folder / "Pulumi.dev.yaml"
        text = file.read_text()
        match operation:
            case "update":
                text = re.sub(r"(team: )\w+", r"\1crashed", text)
            case "replace":
                text = re.sub(r"(triplane:model: )\w+", rf"\g<1>{model}", text)
        file.write_text(text)
