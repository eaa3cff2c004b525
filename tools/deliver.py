"""Continuous delivery: what CI runs after a merge, and the same played on a laptop.

``merge`` (`make deliver`) plays a merge in the rehearsal: tests, preview, staging, smoke test, load gate,
production, smoke test. ``release`` and ``drift`` are its parts for a stack of the terminal's own
environment: a real cloud, in CI. ``review`` shows what a branch would change. Everything that was found
is kept in ``.delivery/``, as JSON and Markdown; a gate that fails ends the run with 1, and what comes
after it is not touched.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tools import comment, environment, front_door, guards, stack
from tools.bootstrap import HOME, PYTHON, fail, say
from tools.engine import SCRATCH, SETTINGS, Stack

EVIDENCE = HOME / ".delivery"
TESTS = {
    # What can be known of a change in half a minute, without an engine.
    "fast": [
        str(PYTHON),
        "-m",
        "pytest",
        "-q",
        "tests/contract",
        "tests/unit/test_stack_config.py",
    ],
    "all": [str(PYTHON), "-m", "tools.verify"],
}


class Stopped(Exception):
    """A gate does not hold; the message says which rule and what was measured."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What staging must stand before production is touched: ``[tool.triplane.load-gate]`` of pyproject.toml."""

    users: int
    seconds: int
    errors: float
    """Share of requests that may fail, 0 to 1."""
    p95_ms: float

    @classmethod
    def chosen(cls, changes: dict[str, Any]) -> Gate:
        settings = tomllib.loads((HOME / "pyproject.toml").read_text())
        kept = settings["tool"]["triplane"]["load-gate"]
        return cls(
            **{**kept, **{key: value for key, value in changes.items() if value is not None}}
        )

    def judge(self, load: Load) -> None:
        """Raise `Stopped` unless the load was borne."""
        if not load.requests:
            raise Stopped("load gate: no request was answered at all")
        if load.errors > self.errors:
            raise Stopped(
                f"load gate: {load.failures} of {load.requests} requests failed ({load.errors:.1%});"
                f" at most {self.errors:.1%} may"
            )
        if load.p95_ms > self.p95_ms:
            raise Stopped(
                f"load gate: 95 % of requests took up to {load.p95_ms:.0f} ms; at most"
                f" {self.p95_ms:.0f} ms are allowed"
            )


@dataclass(frozen=True, kw_only=True)
class Load:
    """What locust measured."""

    requests: int
    failures: int
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def errors(self) -> float:
        return self.failures / self.requests

    @classmethod
    def read(cls, entries: Sequence[dict[str, Any]]) -> Load:
        """From the entries that ``locust --json`` prints: a histogram of milliseconds for each path."""
        times: dict[float, int] = {}
        for entry in entries:
            for milliseconds, count in entry["response_times"].items():
                times[float(milliseconds)] = times.get(float(milliseconds), 0) + count
        started = min((entry["start_time"] for entry in entries), default=0.0)
        ended = max((entry["last_request_timestamp"] or 0.0 for entry in entries), default=0.0)
        requests = sum(entry["num_requests"] for entry in entries)
        return cls(
            requests=requests,
            failures=sum(entry["num_failures"] for entry in entries),
            requests_per_second=round(requests / max(ended - started, 0.001), 1),
            p50_ms=percentile(times, 0.50),
            p95_ms=percentile(times, 0.95),
            p99_ms=percentile(times, 0.99),
        )


def percentile(times: dict[float, int], share: float) -> float:
    """The time within which this share of the counted requests was answered; 0 of none."""
    wanted = share * sum(times.values())
    seen = 0
    for each in sorted(times):
        seen += times[each]
        if seen >= wanted:
            return each
    return 0.0


@dataclass
class Evidence:
    """What a delivery did and found, step by step; written after each, so that a killed run has one."""

    name: str
    commit: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    outcome: str = "unfinished"
    production: str = "not looked at"
    """What stood in production before the delivery, and after it."""

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """A step, timed; what it finds goes into the dictionary. Its failure is noted and raised."""
        say(name)
        entry: dict[str, Any] = {"step": name, "started": _now()}
        self.steps.append(entry)
        began = time.monotonic()
        try:
            yield entry
        except BaseException as error:
            # `fail` of tools/bootstrap.py leaves with SystemExit, its reason already printed.
            entry["failed"] = str(error) or type(error).__name__
            raise
        finally:
            entry["seconds"] = round(time.monotonic() - began, 1)
            self.write()

    def write(self) -> None:
        EVIDENCE.mkdir(exist_ok=True)
        (EVIDENCE / f"{self.name}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        (EVIDENCE / f"{self.name}.md").write_text(self.markdown())

    def markdown(self) -> str:
        lines = [
            f"# Delivery {self.name}: {self.outcome}",
            f"\nCommit `{self.commit}`. Production: {self.production}.\n",
            "| step | seconds | found |",
            "|---|---|---|",
        ]
        for each in self.steps:
            found = {
                key: value
                for key, value in each.items()
                if key not in ("step", "started", "seconds")
            }
            told = "<br>".join(f"{key}: {_told(value)}" for key, value in found.items())
            lines.append(f"| {each['step']} | {each.get('seconds', '')} | {told} |")
        return "\n".join(lines) + "\n"


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> str:
    """The commit that is delivered, marked if the working tree holds more than it."""
    head = _git("rev-parse", "HEAD")
    return head + (" with uncommitted changes" if _git("status", "--porcelain") else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=HOME, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class Standing(Stack):
    """A stack of the terminal's own environment: its backend, its credentials, its cloud."""

    @cached_property
    def environment(self) -> dict[str, str]:
        own = environment.own()["PATH"]
        return {**os.environ, "PATH": own, "PULUMI_DEBUG_COMMANDS": "true"}  # as `Stack` does

    @classmethod
    def named(cls, name: str) -> Standing:
        """The stack with the settings file of its name; leaves with a message if there is none."""
        rendered, own = SCRATCH / f"Pulumi.{name}.yaml", HOME / f"Pulumi.{name}.yaml"
        file = own if own.exists() else rendered
        if not file.exists():
            fail(f'STACK={name}: there is no {own.name}. README.md, "On a real cloud".')
        return cls(name, file)


def staged(stage: str, cloud: str, **delivery: Any) -> Stack:
    """The stack of a stage in the rehearsal: the settings of `dev`, as that environment, on that cloud."""
    settings = yaml.safe_load(SETTINGS.read_text())
    cloud = cloud or settings["config"]["triplane:cloud"]
    Stack.chosen(cloud)  # refuses a cloud that is none
    settings["config"] |= {
        "triplane:cloud": cloud,
        "triplane:environment": stage,
        "triplane:delivery": delivery,
    }
    SCRATCH.mkdir(parents=True, exist_ok=True)
    file = SCRATCH / f"Pulumi.{stage}-{cloud}.yaml"
    file.write_text(f"# Made from {SETTINGS.name} by `make`; edit that one.\n{yaml.dump(settings)}")
    return Stack(f"{stage}-{cloud}", file)


def policies(cloud: str) -> str:
    """What the guardrails say of the program as it is now. Raises `Stopped` if one is broken."""
    done = subprocess.run(
        [str(PYTHON), "-m", "policy", cloud], cwd=HOME, capture_output=True, text=True
    )
    if done.returncode:
        raise Stopped(f"policies:\n{done.stdout}{done.stderr}")
    return done.stdout


def preview(of: Stack) -> list[guards.Step]:
    """What an update of the stack would do, what stays as it is included."""
    return of.steps("preview", "--show-sames")


def write_comment(of: Stack, steps: list[guards.Step], title: str, policy: str = "") -> None:
    """A preview for readers, in ``.delivery/``."""
    EVIDENCE.mkdir(exist_ok=True)
    text = comment.render({"steps": steps}, title, policy)
    (EVIDENCE / f"preview-{of.name}.md").write_text(text)


def smoke(of: Stack, version: str | None = None) -> dict[str, Any]:
    """A prediction through the front door, by the model version that is expected; what was asked."""
    outputs = of.outputs()
    front_door.predict(of, outputs)
    if version and outputs["model_version"] != version:
        raise Stopped(
            f"{of.name} serves model {outputs['model_version'][:12]}, but {version[:12]} was tested"
        )
    kept = ("gateway_url", "image", "model_version", "endpoint_name", "delivery_identity")
    return {name: outputs[name] for name in kept if name in outputs}


def measure(of: Stack, gate: Gate) -> Load:
    """Load on a stack's gateway from locust, in a process of its own."""
    outputs = of.outputs()
    done = subprocess.run(
        [
            *(str(PYTHON), "-m", "locust", "-f", "tools/load.py", "--headless", "--json"),
            *("--host", outputs["gateway_url"], "--exit-code-on-error", "0"),
            # A caller a second, and measured once all are there: a new instance's first answer is
            # slow on every cloud, and is no fault of the release.
            *("--users", str(gate.users), "--spawn-rate", "1", "--reset-stats"),
            *("--run-time", f"{gate.users + gate.seconds}s", "--stop-timeout", "10"),
        ],
        cwd=HOME,
        env={
            **of.environment,
            "GATEWAY_KEY": outputs.get("gateway_key", ""),
            "PYTHONPATH": str(HOME),
        },
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Stopped(f"load gate: locust left with {done.returncode}: {done.stderr[-500:]}")
    return Load.read(json.loads(done.stdout))


def release(of: Stack, evidence: Evidence, *, gate: Gate | None, version: str | None = None) -> str:
    """Bring a stack up and test it; gives the model version that serves there.

    Raises `Stopped` when a gate does not hold.
    """
    with evidence.step(f"preview {of.name}") as found:
        steps = preview(of)
        write_comment(of, steps, f"Preview of {of.name}")
        changes = comment.changes({"steps": steps})
        found["changes"] = {
            verb: sum(each.verb == verb for each in changes) for verb in comment.HEADINGS
        }
        guards.refuse(guards.account(steps) or guards.losses(steps, guards.allowed()))
    with evidence.step(f"up {of.name}"):
        stack.apply(of)
    with evidence.step(f"smoke test {of.name}") as found:
        found |= smoke(of, version)
        version = found["model_version"]
    if gate:
        with evidence.step(f"load gate {of.name}") as found:
            load = measure(of, gate)
            found |= {"allowed": asdict(gate), "measured": asdict(load)}
            gate.judge(load)
    return str(version)


def standing(of: Stack) -> str:
    """What stands in a stack, in words that any update changes."""
    done = of.ask("history", "--json", "--page-size", "1") if of.exists() else []
    if not done:
        return "nothing"
    # By its time: a file backend does not number updates.
    return f"{len(of.resources())} resources, last updated {done[0]['startTime']}"


def deliver(evidence: Evidence, work: Callable[[], None]) -> None:
    """Run a delivery to its end, and leave with 1 if it was stopped; the evidence is kept either way."""
    try:
        work()
        evidence.outcome = "delivered"
    except Stopped as stopped:
        evidence.outcome = f"stopped: {stopped}"
    except BaseException as error:
        evidence.outcome = f"failed: {error}"
        raise
    finally:
        evidence.write()
        print(f"\nDelivery {evidence.name}: {evidence.outcome}")
        print(f"Evidence: {EVIDENCE.name}/{evidence.name}.md, .json")
    if evidence.outcome != "delivered":
        sys.exit(1)


def merge(arguments: argparse.Namespace) -> None:
    """Play a merge in the rehearsal."""
    # With a delivery identity each, as a stack has that CI delivers to. Both stand in one account.
    staging, production = (
        staged(
            stage,
            arguments.cloud,
            repository="triplane/triplane",
            environment=stage,
            existing_provider=stage == "production",
        )
        for stage in ("staging", "production")
    )
    evidence = Evidence(f"merge-{staging.name.partition('-')[2]}", commit())
    gate = Gate.chosen({"p95_ms": arguments.p95_ms, "errors": arguments.errors})

    def work() -> None:
        if arguments.tests in TESTS:
            with evidence.step(f"tests ({arguments.tests})"):
                _must(TESTS[arguments.tests])
        with evidence.step("policies") as found:
            found["result"] = policies(stack.check(staging).cloud).splitlines()[-1]
        stack.prepare(staging)
        before = standing(production)
        try:
            version = release(staging, evidence, gate=gate)
            stack.prepare(production)
            # No load that its callers did not send.
            release(production, evidence, gate=None, version=version)
        finally:
            after = standing(production)
            left = before == after
            evidence.production = f"{before}, as it was" if left else f"{before}; now {after}"

    deliver(evidence, work)


def _must(command: list[str]) -> None:
    path = {"PATH": environment.own()["PATH"]}
    if code := subprocess.run(command, cwd=HOME, env={**os.environ, **path}).returncode:
        raise Stopped(f"{' '.join(command[1:])} left with {code}")


def release_one(arguments: argparse.Namespace) -> None:
    """Deliver to one stack of the terminal's environment: what CI does, a stage a job."""
    of = Standing.named(arguments.stack)
    evidence = Evidence(f"release-{of.name}", commit())
    gate = Gate.chosen({"p95_ms": arguments.p95_ms, "errors": arguments.errors})
    stack.train()
    stack.check(of)

    def work() -> None:
        release(of, evidence, gate=gate if of.name.startswith("staging") else None)

    deliver(evidence, work)


def drift(arguments: argparse.Namespace) -> None:
    """Leave with 1 and a list if a stack is not what its state says; changes nothing."""
    of = Standing.named(arguments.stack)
    stack.train()
    steps = of.steps("refresh", "--preview-only")
    guards.refuse(guards.account(steps))
    found = guards.drift(steps)
    lines = [f"# Drift of {of.name}: {len(found)} resources\n"]
    lines += [f"- `{urn.rpartition('::')[2]}`: {', '.join(what)}" for urn, what in found.items()]
    EVIDENCE.mkdir(exist_ok=True)
    (EVIDENCE / f"drift-{of.name}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    if found:
        sys.exit(1)


def review(arguments: argparse.Namespace) -> None:
    """What this working tree would change of what BASE builds, in the rehearsal; no credentials needed.

    The base is checked out beside, brought up as a stack of its own, and previewed with this tree's
    program. A fork's pull request can be shown so without trusting it with anything.
    """
    of = staged("review", arguments.cloud)
    stack.prepare(of)
    base = EVIDENCE / "base"
    _drop(base)
    EVIDENCE.mkdir(exist_ok=True)
    _git("worktree", "add", "--detach", str(base), arguments.base)
    try:
        # The same interpreter and models; only the program is the base's.
        for shared in (".models", ".venv"):
            (base / shared).symlink_to(HOME / shared)
        _up_base(of, base)
        cloud, steps = of.name.partition("-")[2], preview(of)
        # Told, not refused: the reader decides, and the delivery's own preview refuses what is left.
        told = [_told_of(cloud), *(f"guard: {each}" for each in guards.losses(steps, ()))]
        write_comment(of, steps, f"What this changes on {cloud}", "\n".join(told))
    finally:
        _drop(base)
    print((EVIDENCE / f"preview-{of.name}.md").read_text())


def _told_of(cloud: str) -> str:
    """The policies' verdict for a reader; a broken one is for the reader too, not the end."""
    try:
        return policies(cloud)
    except Stopped as broken:
        return str(broken)


def _up_base(of: Stack, base: Path) -> None:
    """The base's program, with the settings that it has itself."""
    settings = yaml.safe_load((base / SETTINGS.name).read_text())
    rendered = yaml.safe_load(of.file.read_text())["config"]
    settings["config"] |= {key: rendered[key] for key in ("triplane:cloud", "triplane:environment")}
    file = base / f"Pulumi.{of.name}.yaml"
    file.write_text(yaml.dump(settings))
    command = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", of.name]
    # The program's own folder is first on its path; PYTHONPATH would name this tree's modules.
    place = {key: value for key, value in of.environment.items() if key != "PYTHONPATH"}
    if subprocess.run([*command, "--config-file", str(file)], cwd=base, env=place).returncode:
        fail("The base of the comparison did not come up; the reason is above.")


def _drop(base: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)
    _git("worktree", "prune")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.deliver", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, description=run.__doc__)
        added.set_defaults(run=run)
        return added

    merging = command("merge", merge)
    merging.add_argument("--tests", choices=[*TESTS, "none"], default="fast")
    reviewing = command("review", review)
    reviewing.add_argument("--base", default="HEAD")
    for each in (merging, reviewing):
        each.add_argument("cloud", nargs="?", default="")
    releasing = command("release", release_one)
    for each in (releasing, command("drift", drift)):
        each.add_argument("stack")
    for each in (merging, releasing):
        each.add_argument("--p95-ms", type=float)
        each.add_argument("--errors", type=float)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
