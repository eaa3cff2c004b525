"""A separate rehearsal, and stacks that the real Pulumi CLI drives, for benchmarks and end-to-end tests."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from config.model_contract import model_definition
from config.stack_file import StackFile
from operations.engine import environment
from operations.engine.pulumi_cli import PulumiCli

ROOT = Path(__file__).resolve().parents[1]
FLIGHT = model_definition(ROOT / "models" / "flight-delay").document["example"]


class CommandFailed(AssertionError):
    """A command exited with another code than expected; carries everything that it printed."""


@dataclass
class Rehearsal:
    """A rehearsal in a folder of its own, on ports of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    profile: str = "instant"

    def start(self) -> None:
        self.command("start")
        self.environment = dict(environment.parse_exports(self.command("env")))

    def command(self, *words: str) -> str:
        """``python -m rehearsal …`` for this folder."""
        environment = {
            **os.environ,
            "TRIPLANE_REHEARSAL_DIR": str(self.folder),
            "TRIPLANE_REHEARSAL_PROFILE": self.profile,
        }
        return run([sys.executable, "-m", "rehearsal", *words], environment, timeout=120)

    def get(self, path: str) -> Any:
        """JSON from the rehearsal's own control API."""
        answer = self.control(path)
        assert answer.status == 200, answer
        return answer.json

    def control(self, path: str, body: Any = None) -> Answer:
        """GET a path of the rehearsal's own control API, or POST ``body`` to it."""
        token = self.environment["TRIPLANE_REHEARSAL_TOKEN"]
        url = self.environment["TRIPLANE_REHEARSAL_URL"] + path
        return http_answer(url, body, authorization=f"Bearer {token}")


@dataclass
class Stack:
    """One stack of the real program on the real engine."""

    rehearsal: Rehearsal
    name: str
    folder: Path
    settings: dict[str, Any]
    project: Path = ROOT
    known_outputs: tuple[bytes, dict[str, Any]] = (b"", {})
    """A state, and its outputs."""

    @property
    def state(self) -> Path:
        project: str = yaml.safe_load((self.project / "Pulumi.yaml").read_text())["name"]
        return self.folder / ".pulumi" / "stacks" / project / f"{self.name}.json"

    @property
    def file(self) -> Path:
        return self.folder / f"Pulumi.{self.name}.yaml"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.rehearsal.environment,
            **environment.pulumi_environment(),
            "PULUMI_BACKEND_URL": environment.backend_url(self.folder),
            "PULUMI_HOME": str(self.folder / "home"),
        }

    @property
    def cli(self) -> PulumiCli:
        plain = ("--non-interactive", "--color", "never")
        return PulumiCli(self.name, self.file, self.environment, self.project, plain)

    def init(self) -> None:
        """Make the stack. `stack init` writes a settings file into its project's folder: here, a copy."""
        self.folder.mkdir(parents=True, exist_ok=True)
        project = yaml.safe_load((self.project / "Pulumi.yaml").read_text())["name"]
        (self.folder / "Pulumi.yaml").write_text(f"name: {project}\nruntime: python\n")
        self.configure()
        self.cli.create_stack(self.folder)

    def configure(self, **changes: Any) -> None:
        """Write the stack's file, keeping the engine's own lines in it."""
        self.settings.update(changes)
        file = StackFile.read(self.file) if self.file.exists() else StackFile(self.file.name, "")
        former = file.settings.keys() - self.settings.keys()
        file.without(*former).with_settings(self.settings).write(self.file)

    def pulumi(self, *words: str, code: int = 0) -> str:
        return succeeded(self.cli.capture(*words, timeout=300), code)

    def up(self, code: int = 0) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", code=code)

    def outputs(self) -> dict[str, Any]:
        """The outputs by `pulumi stack output`, which takes a third of a second: it runs once for each state."""
        state = self.state.read_bytes()
        if state != self.known_outputs[0]:
            shown = self.pulumi("stack", "output", "--json", "--show-secrets")
            self.known_outputs = state, json.loads(shown)
        return dict(self.known_outputs[1])

    def resources(self) -> list[dict[str, Any]]:
        state = json.loads(self.pulumi("stack", "export"))
        return list(state["deployment"].get("resources", []))


@dataclass(frozen=True)
class Answer:
    """The answer of an HTTP server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def http_answer(url: str, body: Any = None, **headers: str) -> Answer:
    """GET ``url``, or POST ``body`` as JSON; an error status is an answer, not an exception."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read())


@contextmanager
def load(
    url: str, key: str, model: str = "flight-delay", connections: int = 4
) -> Iterator[list[Answer | Exception]]:
    """Predictions requested without a pause while the block runs; every answer is kept."""
    answers: list[Answer | Exception] = []
    done = Event()

    def caller() -> None:
        while not done.is_set():
            try:
                answers.append(
                    http_answer(
                        f"{url}/models/{model}/predict",
                        {"instances": [FLIGHT]},
                        **{"x-api-key": key},
                    )
                )
            except Exception as error:  # a refused connection is a result here
                answers.append(error)
            time.sleep(0.02)

    with ThreadPoolExecutor(connections) as pool:
        callers = [pool.submit(caller) for _ in range(connections)]
        try:
            yield answers
        finally:
            done.set()
        for each in callers:
            each.result(timeout=90)


def run(
    command: list[str],
    environment: Mapping[str, str],
    timeout: float,
    code: int = 0,
    folder: Path = ROOT,
) -> str:
    """Run to the end; gives stdout, or raises with everything that was printed."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=dict(environment),
        text=True,
        capture_output=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    return succeeded(ended, code)


def succeeded(ended: subprocess.CompletedProcess[str], code: int = 0) -> str:
    """Its stdout, and all output if it was to fail; raises with everything that was printed."""
    if ended.returncode != code:
        raise CommandFailed(
            f"{shlex.join(ended.args)} left with {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        )
    return ended.stdout if code == 0 else ended.stdout + ended.stderr
