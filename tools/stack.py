"""What `make up`, `preview`, `destroy`, `outputs` and `predict` do: this clone's stacks in the rehearsal.

Nothing here is needed for a real cloud: there it is plain `pulumi up`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import pulumi

import stack_config
from components.contracts import Cloud
from tools import adopt, backup, environment, guards, lake, recovery
from tools.bootstrap import HOME, PYTHON, fail, say

SETTINGS = HOME / "Pulumi.dev.yaml"
SCRATCH = HOME / ".pulumi" / "stacks"
FLIGHT = HOME / "docs" / "flight.json"
DATA = ("DataLake", "ImageRegistry", "ModelArtifact")
"""The nouns that `make destroy` spares: what no program can make again."""


@dataclass(frozen=True)
class Stack:
    """A stack of this clone: `dev` with its tracked file, `dev-gcp` with a copy for another cloud."""

    name: str
    file: Path

    @classmethod
    def chosen(cls, cloud: str) -> Stack:
        """The stack for CLOUD; without one, or with the one that the file names, `dev`."""
        clouds = get_args(Cloud)
        if cloud and cloud not in clouds:
            near = stack_config.did_you_mean(cloud, clouds)
            fail(f"CLOUD={cloud}: no such cloud. Allowed: {', '.join(clouds)}.{near}")
        text = SETTINGS.read_text()
        line = re.compile(r"^(\s*triplane:cloud:\s*)([\w-]*)", re.MULTILINE)
        if not cloud or (found := line.search(text)) is None or found[2] == cloud:
            return cls("dev", SETTINGS)
        # A copy, because `pulumi -c` would write the word into the tracked file.
        SCRATCH.mkdir(parents=True, exist_ok=True)
        stack = cls(f"dev-{cloud}", SCRATCH / f"Pulumi.dev-{cloud}.yaml")
        note = f"# Made from {SETTINGS.name} by `make`; edit that one.\n"
        stack.file.write_text(note + line.sub(lambda found: found[1] + cloud, text))
        return stack

    @cached_property
    def environment(self) -> dict[str, str]:
        # `--event-log` is for programs that drive Pulumi, and hidden without this.
        hidden = {"PULUMI_DEBUG_COMMANDS": "true"}
        return {**os.environ, **environment.rehearsal(), **environment.own(), **hidden}

    def pulumi(self, *words: str, check: bool = True) -> None:
        """Run a command that acts on the stack, its output going to the terminal."""
        options = ["--stack", self.name, "--config-file", str(self.file)]
        code = subprocess.run(
            ["pulumi", *words, *options], cwd=HOME, env=self.environment
        ).returncode
        if check and code:
            sys.exit(code)

    def steps(self, *words: str) -> list[guards.Step]:
        """What a preview says would happen, step by step."""
        options = ["--json", "--stack", self.name, "--config-file", str(self.file)]
        done = subprocess.run(
            ["pulumi", *words, *options],
            cwd=HOME,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        try:
            told = json.loads(done.stdout)
        except ValueError:
            told = {}
        if done.returncode:
            said = [each["message"] for each in told.get("diagnostics") or ()]
            fail("\n".join(said).strip() or done.stderr.strip() or done.stdout.strip())
        return list(told.get("steps") or ())  # an empty stack has none

    def ask(self, *words: str) -> Any:
        """The JSON that a command prints."""
        command = ["pulumi", "stack", *words, "--stack", self.name]
        done = subprocess.run(
            command, cwd=HOME, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            fail(done.stderr.strip())
        return json.loads(done.stdout or "{}")

    def exists(self) -> bool:
        command = ["pulumi", "stack", "ls", "--json"]
        done = subprocess.run(
            command, cwd=HOME, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return any(stack["name"] == self.name for stack in json.loads(done.stdout or "[]"))

    def init(self) -> None:
        """Make the stack, unless it is there."""
        if self.exists():
            return
        folder = self.file.parent
        if folder == SCRATCH:
            # `stack init` knows no --config-file and writes a settings file of its own into the
            # project's folder: give it a project whose file is there already.
            (SCRATCH / "Pulumi.yaml").write_text("name: triplane\nruntime: python\n")
        select = [] if self.file == SETTINGS else ["--no-select"]
        command = ["pulumi", "stack", "init", self.name, *select]
        subprocess.run(command, cwd=folder, env=self.environment, check=True)

    def recover(self) -> None:
        """Clean up after a run that was killed: its lock, and operations whose end nobody saw."""
        backend = HOME / ".pulumi" / "backend" / ".pulumi"
        for lock in backend.glob(f"locks/*/*/{self.name}/*.json"):
            holder = json.loads(lock.read_text())
            if holder["hostname"] == socket.gethostname() and not _alive(holder["pid"]):
                say(f"a run that is no more (process {holder['pid']}) left a lock; removing it")
                subprocess.run(
                    ["pulumi", "cancel", "--yes", self.name],
                    cwd=HOME,
                    env=self.environment,
                    check=True,
                )
                break
        state = self.ask("export")
        deployment = state.get("deployment") or {}
        pending = deployment.get("pending_operations") or []
        lost = recovery.unfinished(deployment, self.events)
        if not pending and not lost:
            return
        # A refresh is the one thing that believes the cloud more than the state: look first.
        refuse(
            guards.account(self.steps("preview"))
            or guards.vanished(self.steps("refresh", "--preview-only"), allowed())
        )
        say(f"a run was cut short in {max(len(pending), len(lost))} operations; asking the cloud")
        self.write(state | {"deployment": recovery.look_for(deployment, lost)})
        self.pulumi("refresh", "--yes", "--skip-preview", "--suppress-outputs")
        state = self.ask("export")
        state["deployment"], found = recovery.settle(state["deployment"])
        self.write(state)
        self.events.unlink(missing_ok=True)
        for urn in found:
            say(f"it had been made, and is the stack's now: {urn.rsplit('::', 1)[-1]}")

    @property
    def events(self) -> Path:
        """What the last update told of itself, for `recover`."""
        return HOME / ".pulumi" / f"events-{self.name}.json"

    def write(self, state: dict[str, Any]) -> None:
        """Put this in place of the state. Pulumi takes operations that are pending out of it."""
        command = ["pulumi", "stack", "import", "--stack", self.name]
        text = json.dumps(state)
        done = subprocess.run(
            command, cwd=HOME, env=self.environment, input=text, capture_output=True, text=True
        )
        if done.returncode:
            fail(done.stderr.strip())

    def outputs(self) -> dict[str, Any]:
        return dict(self.ask("output", "--json", "--show-secrets"))

    def resources(self) -> list[dict[str, Any]]:
        """What the state holds."""
        return list((self.ask("export").get("deployment") or {}).get("resources") or ())

    def lake(self) -> lake.Lake | None:
        """The stack's lake, if it stands."""
        uri = self.outputs().get("lake_uri")
        if uri is None:
            return None
        os.environ.update(self.environment)  # the clouds' clients look nowhere else
        return lake.at(uri)

    def keep_state(self) -> None:
        """Copy the state into the lake, where `make adopt` finds it when the backend has lost it."""
        try:
            if found := self.lake():
                backup.keep_state(found, self.name, self.ask("export"))
        except Exception as error:  # each cloud's client has its own; what was brought up stands
            say(f"the lake has no copy of the state as it is now, only an older one: {error}")

    @property
    def state(self) -> Path:
        """The file in which Pulumi keeps the state."""
        return (
            HOME / ".pulumi" / "backend" / ".pulumi" / "stacks" / "triplane" / f"{self.name}.json"
        )

    def broken(self) -> str | None:
        """What is wrong with the state's file; None if nothing is, or if there is none."""
        try:
            json.loads(self.state.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            return f"{self.state.relative_to(HOME)} is no JSON ({error})"
        return None


def allowed() -> frozenset[str]:
    """What the engineer allows by name: ``make up ALLOW=…``."""
    return guards.allowed(os.environ.get("ALLOW", ""))


def refuse(reasons: list[str]) -> None:
    """Leave before anything is changed, if there is a reason to."""
    if reasons:
        fail("\n".join(f"Refused: {each}" for each in reasons))


def guard(stack: Stack) -> None:
    """Refuse an update in another account, or one that costs what is precious."""
    if stack.resources():  # a new stack has nothing to lose, and a preview takes seconds
        steps = stack.steps("preview")
        refuse(guards.account(steps) or guards.losses(steps, allowed()))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def train() -> None:
    """Train the model, unless the store has a champion."""
    if (stack_config.STORE / stack_config.MODEL / "champion").exists():
        return
    say("training the model on the flights of 2013 (once, about a minute)")
    path = {"PYTHONPATH": str(HOME / "lambda")}
    command = [str(PYTHON), "-m", "model_server", "train"]
    if subprocess.run(command, cwd=HOME, env={**os.environ, **path}).returncode:
        fail("The model could not be trained; the reason is above.")


def check(stack: Stack) -> stack_config.StackConfig:
    """The settings; refuses wrong ones before a stack is made of them."""
    text = stack.file.read_text()
    try:
        return stack_config.read(text, SETTINGS.name)
    except pulumi.RunError as error:
        fail(str(error))


def prepare(stack: Stack) -> stack_config.StackConfig:
    """What every command that changes something does first; refuses a second platform beside a lost one."""
    start_rehearsal()
    train()
    config = check(stack)
    if wrong := stack.broken():
        fail(
            f"{wrong}: half-written, perhaps on a full disk. Put the lake's copy in its place: make adopt"
        )
    if not stack.exists():
        os.environ.update(stack.environment)
        refuse(adopt.unclaimed(config, stack.name, allowed()))
        stack.init()
    stack.recover()
    return config


def up(stack: Stack) -> None:
    prepare(stack)
    guard(stack)
    apply(stack)
    tell(stack)


def apply(stack: Stack) -> None:
    """Bring the stack up, and copy its state into its lake; after a failure, too."""
    try:
        events = ("--event-log", str(stack.events))
        stack.pulumi("up", "--yes", "--skip-preview", "--suppress-outputs", *events)
    finally:
        stack.keep_state()


def tell(stack: Stack) -> None:
    """The outputs, a prediction, and how much the last update changed."""
    changes = stack.ask("history", "--json", "--page-size", "1")[0].get("resourceChanges", {})
    show(stack)
    predict(stack)
    changed = sum(count for kind, count in changes.items() if kind != "same")
    print(
        f"\nStack {stack.name}: {changed} resources changed."
        if changed
        else f"\nStack {stack.name}: no change; {changes.get('same', 0)} resources stand as they stood."
    )


def preview(stack: Stack) -> None:
    start_rehearsal()
    train()
    check(stack)
    stack.init()
    stack.pulumi("preview")


def destroy(stack: Stack) -> None:
    """Take down all but the data; with ``DATA=destroy`` the data, too, where the settings agree."""
    start_rehearsal()
    if not stack.exists():
        print(f"There is no stack {stack.name}: nothing to destroy.")
        return
    config = prepare(stack)
    refuse(guards.account(stack.steps("preview")))
    if os.environ.get("DATA") == "destroy":
        if config.keep_data:
            fail(
                f"DATA=destroy, but {SETTINGS.name} says triplane:keep_data: true (or nothing, which is"
                " the same). Set it to false, run `make up`, and then destroy."
            )
        stack.pulumi("destroy", "--yes", "--skip-preview")
        return
    keep = guards.kept(stack.resources(), DATA)
    stack.pulumi(
        *("destroy", "--yes", "--skip-preview"),
        *(word for urn in keep for word in ("--exclude", urn)),
    )
    stack.keep_state()
    names = [
        urn.rsplit("::", 1)[-1] for urn in keep if not urn.split("$")[-1].startswith("triplane")
    ]
    print(f"\nKept, still managed by stack {stack.name}:\n  " + "\n  ".join(names))
    print(
        "`make up` builds the rest around it again. To destroy it, too: make destroy DATA=destroy"
    )


def show(stack: Stack) -> None:
    """The outputs, a line each; the key stays where it is."""
    outputs = stack.outputs()
    if not outputs:
        fail(f"Stack {stack.name} has no outputs yet. Bring it up with `make up`.")
    shown = {
        name: value for name, value in outputs.items() if name not in ("readme", "gateway_key")
    }
    if "gateway_key" in outputs:
        shown["gateway_key"] = "(secret: pulumi stack output gateway_key --show-secrets)"
    print()
    for name, value in shown.items():
        print(f"  {name:<14} {value}")


def predict(stack: Stack) -> None:
    """Ask the stack's front door about a real flight, over HTTP, as any caller would."""
    outputs = stack.outputs()
    if "gateway_url" not in outputs:
        fail(f"Stack {stack.name} has no gateway yet. Bring it up with `make up`.")
    body = FLIGHT.read_bytes()
    request = urllib.request.Request(  # noqa: S310  # the URL is the stack's own output
        f"{outputs['gateway_url']}/predict",
        data=body,
        headers={"content-type": "application/json", "x-api-key": outputs.get("gateway_key", "")},
    )
    started = time.monotonic()
    # The rehearsal's web apps are Azure's: HTTPS, with a certificate of the rehearsal's own authority.
    trust = ssl.create_default_context(cafile=stack.environment.get("SSL_CERT_FILE"))
    answer = _patiently(request, trust)
    took = time.monotonic() - started
    prediction = answer["predictions"][0]
    says = "late" if prediction["late"] else "on time"
    flight = ", ".join(
        f"{name} {value}" for name, value in json.loads(body)["instances"][0].items()
    )
    print(f"\n  A real flight: {flight}")
    print(
        f"  {says}: more than 15 minutes late with probability {prediction['probability']:.2f},"
        f" says model {answer['model_version'][:12]} ({took * 1000:.0f} ms)"
    )


def _patiently(request: urllib.request.Request, trust: ssl.SSLContext, seconds: float = 60) -> Any:
    """The answer, once the service is awake: a cold start may answer 5xx or nothing for a while."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30, context=trust) as response:  # noqa: S310
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = f"{error.code} {error.read().decode(errors='replace')}"
            if error.code < 500:
                fail(f"{request.full_url} refused: {problem}")
        except OSError as error:
            problem = str(error)
        if time.monotonic() > until:
            fail(f"{request.full_url} gave no prediction within {seconds:.0f} s: {problem}")
        time.sleep(0.5)


def start_rehearsal() -> None:
    if subprocess.run([str(PYTHON), "-m", "rehearsal", "start"], cwd=HOME).returncode:
        fail("The rehearsal did not start; the reason is above.")


COMMANDS = {"up": up, "preview": preview, "destroy": destroy, "outputs": show, "predict": predict}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.stack", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "cloud", nargs="?", default="", help="aws, gcp or azure; default: the file's"
    )
    chosen = parser.parse_args()
    COMMANDS[chosen.command](Stack.chosen(chosen.cloud))


if __name__ == "__main__":
    main()
