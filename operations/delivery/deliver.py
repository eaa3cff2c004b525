"""Continuous delivery: what CI runs after a merge, and the same played on a laptop.

``merge`` (`make deliver`) plays a merge in the rehearsal: tests, preview, staging, smoke test, load gate,
production, smoke test. ``release`` and ``drift`` are its parts for a stack of the terminal's own
environment: a real cloud, in CI. A gate that fails ends the run with 1, and what comes after it is not
touched.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from config.model_store import STORE, Artifact
from operations.commands import deploy
from operations.delivery import comment
from operations.delivery.evidence import EVIDENCE, Evidence, commit, keep
from operations.delivery.load_gate import Gate, Stopped, measure
from operations.engine import environment, gateway, guards
from operations.engine.installation import HOME, PYTHON
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.stack import SCRATCH, Stack, settings_of_dev
from operations.recovery import interrupted_run
from operations.terminal import fail

TESTS = {
    # What can be known of a change in half a minute, without an engine.
    "fast": [
        str(PYTHON),
        "-m",
        "pytest",
        "-q",
        "tests/contract",
        "tests/unit/config/test_stack_files.py",
    ],
    "all": [str(PYTHON), "-m", "tools.verify"],
}


class Standing(Stack):
    """A stack of the terminal's own environment: its backend, its credentials, its cloud."""

    @cached_property
    def environment(self) -> dict[str, str]:
        own = environment.own()["PATH"]
        return {**os.environ, "PATH": own, "PULUMI_DEBUG_COMMANDS": "true"}  # as `Stack` does

    @cached_property
    def cli(self) -> PulumiCli:
        """As `Stack` does; but a lock in a backend elsewhere shows only in what the engine then says."""
        return replace(super().cli, explains_streams=True)

    def unlock(self) -> None:
        """Take away a dead run's lock if the backend is this clone's; elsewhere only Pulumi sees the locks."""
        backend = HOME / ".pulumi" / "backend"
        if self.environment.get("PULUMI_BACKEND_URL", "").startswith(f"file://{backend}"):
            super().unlock()

    @classmethod
    def named(cls, name: str) -> Standing:
        """The stack with the settings file of its name; leaves with a message if there is none."""
        rendered, own = SCRATCH / f"Pulumi.{name}.yaml", HOME / f"Pulumi.{name}.yaml"
        file = own if own.exists() else rendered
        if not file.exists():
            fail(f"STACK={name}: there is no {own.name}. docs/guides/real-cloud.md makes one.")
        return cls(name, file)


def staged(stage: str, cloud: str, **delivery: Any) -> Stack:
    """The stack of a stage in the rehearsal: the settings of `dev`, as that environment, on that cloud."""
    cloud = cloud or settings_of_dev()["triplane:cloud"]
    Stack.chosen(cloud)  # refuses a cloud that is none
    changes = {
        "triplane:cloud": cloud,
        "triplane:environment": stage,
        "triplane:delivery": delivery,
    }
    return Stack.copy_of_dev(f"{stage}-{cloud}", changes)


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
    return of.steps("preview", "--show-sames", "--show-replacement-steps")


def write_comment(of: Stack, steps: list[guards.Step], title: str, policy: str = "") -> None:
    """A preview for readers, in ``.delivery/``."""
    keep(f"preview-{of.name}.md", comment.render({"steps": steps}, title, policy))


def smoke(of: Stack, version: str | None = None) -> dict[str, Any]:
    """A prediction through the front door, by the model version that is expected; what was asked."""
    outputs = of.outputs()
    gateway.predict(of, outputs)
    if version and outputs["model_version"] != version:
        raise Stopped(
            f"{of.name} serves model {outputs['model_version'][:12]}, but {version[:12]} was tested"
        )
    kept = ("gateway_url", "image", "model_version", "endpoint_name", "delivery_identity")
    return {name: outputs[name] for name in kept if name in outputs}


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
        deploy.apply(of)
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
    done = of.cli.json("stack", "history", "--json", "--page-size", "1") if of.exists() else []
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
            found["result"] = policies(deploy.check(staging).cloud).splitlines()[-1]
        deploy.prepare(staging)
        before = standing(production)
        try:
            version = release(staging, evidence, gate=gate)
            deploy.prepare(production)
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
    wanted = str(arguments.version)
    if of.name.startswith("production") and not wanted:
        fail(
            f"STACK={of.name} takes VERSION=…, the model version that was tested in staging: a release of staging"
            f" leaves it in {STORE.name}/{tested().name}. A runner that trains anew may make another one."
        )
    evidence = Evidence(f"release-{of.name}", commit())
    gate = Gate.chosen({"p95_ms": arguments.p95_ms, "errors": arguments.errors})
    deploy.train()
    config = deploy.check(of)

    def recover() -> None:
        with evidence.step(f"recover {of.name}"):
            interrupted_run.recover(of, config)

    def work() -> None:
        if wanted:
            with evidence.step(f"model of {of.name}") as found:
                found["tested"], found["settings"] = wanted, config.artifact.version
                same(config.artifact, wanted)
        staging = of.name.startswith("staging")
        if staging:
            tested().unlink(missing_ok=True)
        recover()  # after a runner that died in the middle of a job
        try:
            version = release(
                of, evidence, gate=gate if staging else None, version=config.artifact.version
            )
        except SystemExit:
            # The engine lived on, and its event log, which tells of creates without an answer, ends with
            # this machine: the next runner would have the state alone.
            recover()
            raise
        if staging:
            tested().write_text(f"{version}\n")

    deliver(evidence, work)


def tested() -> Path:
    """Where a release of staging leaves the model version that it tested, in the store that is handed on."""
    return STORE / "tested"


def same(artifact: Artifact, wanted: str) -> None:
    """Raise `Stopped` unless what would serve is this version, by its name and by its bytes."""
    if artifact.version != wanted:
        raise Stopped(
            f"the settings and the model store would have model {artifact.version} serve, but {wanted} was"
            " tested. Nothing was changed. Release with the store of the staging that was tested (.models)"
        )
    found = hashlib.sha256((artifact.directory / "model.onnx").read_bytes()).hexdigest()
    if found != wanted:
        raise Stopped(f"model.onnx in {artifact.directory} is {found}. Nothing was changed")


def drift(arguments: argparse.Namespace) -> None:
    """Leave with 1 and a list if a stack is not what its state says; changes nothing."""
    of = Standing.named(arguments.stack)
    deploy.train()
    steps = of.steps("refresh", "--preview-only")
    guards.refuse(guards.account(steps))
    found = guards.drift(steps)
    lines = [f"# Drift of {of.name}: {len(found)} resources\n"]
    lines += [f"- `{urn.rpartition('::')[2]}`: {', '.join(what)}" for urn, what in found.items()]
    keep(f"drift-{of.name}.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    if found:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m operations.delivery.deliver", description=__doc__
    )
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, description=run.__doc__)
        added.set_defaults(run=run)
        return added

    merging = command("merge", merge)
    merging.add_argument("--tests", choices=[*TESTS, "none"], default="fast")
    merging.add_argument("cloud", nargs="?", default="")
    releasing = command("release", release_one)
    for each in (releasing, command("drift", drift)):
        each.add_argument("stack")
    for each in (merging, releasing):
        each.add_argument("--p95-ms", type=float)
        each.add_argument("--errors", type=float)
    releasing.add_argument("--version", default="", help="the model version that must serve")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
