"""The crash matrix: every step of every operation on every cloud is hit, and `make up` has to put it right.

A *journey* is one operation (create, update, replace, delete) on one cloud under one blow. A fault waits
at each step that the undisturbed run took. The plain command is run (`make up`, or `make destroy`); when a
step is hit, the engine is killed with all its processes, or the fault itself does the harm; then the same
command is run again, into the next hits, until a run gets through. Each step is thus hit once, and what
is judged in the end has survived all of them. `--only` picks journeys, `--sample` some steps of each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args

import psutil

from components.contracts import Cloud
from tools.bootstrap import HOME, PYTHON

STORE = HOME / ".models" / "flight-delay"
VERBS = {"created": "create", "replaced": "create", "updated": "update", "deleted": "delete"}
"""What the rehearsal's ledger calls the steps that the engine asked for."""
SETTLE = 0.3
"""Seconds from the first hit to the kill: the steps that the engine began together are in flight, too."""
PATIENCE = 240
"""Seconds after which a run counts as stuck."""
DYNAMIC = "pulumi-python:"
ATTEMPTS = 5
"""How often a provider's client tries before it gives up (`rehearsal.faults.ATTEMPTS`)."""

OPERATIONS = ("create", "update", "replace", "delete")
BLOWS: dict[str, dict[str, Any]] = {
    # The engine is killed …
    "kill-before": {"what": "hang", "method": "check"},
    "kill-during": {"what": "hang"},
    "kill-after": {"what": "hang", "after": True},
    # … or lives on, and the cloud's answer is what fails.
    "unavailable": {"what": "unavailable", "times": ATTEMPTS},
    "throttle": {"what": "throttle", "times": ATTEMPTS},
    "slow": {"what": "slow", "seconds": 1},
    "answer-lost": {"what": "drop", "after": True},
    "connection-lost": {"what": "drop"},
    "cloud-dies-before": {"what": "crash"},
    "cloud-dies-after": {"what": "crash", "after": True},
}


@dataclass(frozen=True)
class Step:
    """One thing that an undisturbed run asked a provider to do."""

    method: str
    token: str
    name: str


@dataclass
class Verdict:
    """What came of a journey."""

    name: str
    hit: int = 0
    runs: int = 0
    seconds: float = 0
    orphaned: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        kinds = ("orphaned", "doubled", "lost", "other")
        return [f"{kind}: {each}" for kind in kinds for each in getattr(self, kind)]


@dataclass
class Clone:
    """A checkout of its own, with a rehearsal of its own, for one cloud."""

    cloud: str
    folder: Path

    def make(self) -> None:
        """Copy what version control knows, and share the environment and the models."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=HOME,
            check=True,
            stdout=subprocess.PIPE,
        )
        for name in listed.stdout.decode().split("\0"):
            if name and (HOME / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(HOME / name, self.folder / name)
        for shared in (".venv", ".models"):
            (self.folder / shared).symlink_to(HOME / shared)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULUMI_", "TRIPLANE_"))
        }
        return {**inherited, "PYTHONPATH": str(self.folder), "DATA": "destroy"}

    @property
    def stack(self) -> str:
        settings = (self.folder / "Pulumi.dev.yaml").read_text()
        return "dev" if f"triplane:cloud: {self.cloud}" in settings else f"dev-{self.cloud}"

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin `make WORDS`; its output goes to a file."""
        with (self.folder / "output.txt").open("w") as output:
            return subprocess.Popen(
                [str(self.folder / ".venv/bin/python"), "-m", *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def run(self, *words: str) -> str:
        """Run to the end; raises with everything that was printed."""
        code = self.start(*words).wait(PATIENCE)
        output = (self.folder / "output.txt").read_text()
        if code:
            raise RuntimeError(f"{' '.join(words)} left with {code}:\n{output}")
        return output

    def up(self) -> None:
        self.run("tools.stack", "up", self.cloud)

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[str]:
        exports = self.run("tools.environment")
        script = f"{exports}\nexec pulumi {' '.join(words)}"
        return subprocess.run(
            ["sh", "-c", script],
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
        except (OSError, ValueError, KeyError):  # not yet there, or being written
            found = {}
        return found

    def ask(self, path: str, body: object = None) -> Any:
        """Ask the rehearsal's control API."""
        ports = json.loads((self.folder / ".rehearsal/addresses.json").read_text())
        request = urllib.request.Request(
            f"http://127.0.0.1:{ports['http']}/_api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def keep(self, name: str) -> None:
        """Keep what stands, to begin journeys from."""
        self.run("rehearsal", "stop")
        for part in (".pulumi", ".rehearsal"):
            shutil.copytree(self.folder / part, self.folder / "kept" / name / part, symlinks=True)

    def restore(self, name: str) -> None:
        """Stand again where `keep` was called."""
        self.run("rehearsal", "stop")
        for part in (".pulumi", ".rehearsal"):
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


@dataclass
class Reference:
    """What an undisturbed run did, and what it left."""

    steps: list[Step]
    state: dict[str, Any]
    left: Counter[str]


def undisturbed(clone: Clone, operation: str, model: str) -> Reference:
    """Do the operation in peace."""
    if operation != "create":
        clone.restore("standing")
    clone.change(operation, model)
    known = len(clone.ask("ledger?limit=100000")) if operation != "create" else 0
    clone.run("tools.stack", "destroy" if operation == "delete" else "up", clone.cloud)
    told = clone.ask("ledger?limit=100000")
    new = reversed(told[: len(told) - known])
    steps = [
        Step(VERBS[each["verb"]], each["token"], each["name"])
        for each in new
        if each["verb"] in VERBS
    ]
    # Dynamic providers are Pulumi's, not the rehearsal's: no ledger knows of them.
    steps += [
        Step(operation, each["type"], each["urn"].rsplit("::", 1)[-1])
        for each in clone.state().get("resources") or ()
        if each["type"].startswith(DYNAMIC)
    ]
    return Reference(list(dict.fromkeys(steps)), normal(clone.state()), standing(clone))


def journey(clone: Clone, operation: str, blow: str, steps: list[Step]) -> Verdict:
    """Do the operation under blows, until a run gets through."""
    verdict = Verdict(f"{clone.cloud}/{operation}/{blow}")
    began = time.monotonic()
    dynamic = {step.name for step in steps if step.token.startswith(DYNAMIC)}
    faults = [step for step in steps if step.name not in dynamic]
    for step in faults:
        fault = {"method": step.method, "on": step.token, "name": step.name, **BLOWS[blow]}
        clone.ask("faults", fault)
    command = "destroy" if operation == "delete" else "up"
    unseen = set(dynamic)
    for verdict.runs in range(1, len(steps) + 10):
        waiting = len(clone.ask("faults"))
        process = clone.start("tools.stack", command, clone.cloud)
        code = _until_hit(clone, process, waiting, unseen, kills=blow.startswith("kill"))
        if blow.startswith("cloud"):
            clone.run("rehearsal", "start")
        if code == 0 and len(clone.ask("faults")) == waiting:
            break
    else:
        output = (clone.folder / "output.txt").read_text()
        verdict.other.append(f"no run got through; the last one said:\n{output[-2000:]}")
    verdict.hit = len(steps) - len(clone.ask("faults")) - len(unseen)
    verdict.seconds = time.monotonic() - began
    return verdict


def _until_hit(
    clone: Clone, process: subprocess.Popen[str], waiting: int, unseen: set[str], *, kills: bool
) -> int | None:
    """Let a run go on until it ends, or, where that is the blow, until a step is hit; then kill it."""
    deadline = time.monotonic() + PATIENCE
    while (code := process.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
        if not kills:
            continue
        at_work = {
            each["resource"]["urn"].rsplit("::", 1)[-1]
            for each in clone.state().get("pending_operations") or ()
        }
        if len(clone.ask("faults")) < waiting or at_work & unseen:
            time.sleep(SETTLE)
            unseen -= at_work
            break
    if code is None:
        kill(process)
    return code


def kill(process: subprocess.Popen[str]) -> None:
    """The engine and all that it started, at once: plugins are in process groups of their own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid)
        for each in [family, *family.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
    process.wait()


def judge(clone: Clone, operation: str, reference: Reference, verdict: Verdict) -> None:
    """Compare what stands with the state, and both with those of the undisturbed run."""
    state = clone.state()
    stands = standing(clone)
    for what, times in stands.items():
        if times > max(1, reference.left[what]):
            verdict.doubled.append(what)
        elif not reference.left[what]:
            verdict.orphaned.append(what)
    verdict.lost += [what for what in reference.left if not stands[what]]
    if pending := state.get("pending_operations"):
        verdict.other.append(f"{len(pending)} operations are still pending")
    verdict.other += differences(reference.state, normal(state))
    if operation == "delete":
        return
    file = f".pulumi/stacks/Pulumi.{clone.stack}.yaml"
    config = f"--config-file {file}" if clone.stack != "dev" else ""
    again = clone.pulumi("preview", "--expect-no-changes", "--stack", clone.stack, config)
    if again.returncode:
        verdict.other.append(f"the next preview has changes:\n{again.stdout[-1500:]}")


def standing(clone: Clone) -> Counter[str]:
    """How many of each resource of the program the cloud has."""
    return Counter(
        f"{each['token']} {each['name']}"
        for each in clone.ask("resources")
        if each["urn"].split("::")[0] == f"urn:pulumi:{clone.stack}"
    )


RANDOM = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"[0-9a-f]{6,}"), "<hex>"),
    (re.compile(r"\d{8,}"), "<number>"),
)
COUNTERS = frozenset({"created", "modified", "sourcePosition", "stackTrace", "lastModified"})


def normal(state: dict[str, Any]) -> dict[str, Any]:
    """The resources by URN, without what differs between any two runs."""
    return {
        f"{each['urn']}{' (to be deleted)' if each.get('delete') else ''}": {
            "inputs": _plain(each.get("inputs")),
            "outputs": sorted(each.get("outputs") or ()),
            "dependencies": sorted(each.get("dependencies") or ()),
        }
        for each in state.get("resources") or ()
        if not each["type"].startswith("pulumi:providers")
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value and "ciphertext" in value:
            return "<secret>"
        # Azure has ids for keys.
        return {_plain(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        for pattern, instead in RANDOM:
            value = pattern.sub(instead, value)
    return value


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """A line for each resource that is not as in the undisturbed run."""
    lines = []
    for urn in sorted(wanted.keys() | found.keys()):
        name = "::".join(urn.split("::")[2:])
        if urn not in found:
            lines.append(f"not in the state: {name}")
        elif urn not in wanted:
            lines.append(f"in the state, but not in an undisturbed one: {name}")
        elif wanted[urn] != found[urn]:
            parts = [
                f"{part}: {json.dumps(wanted[urn][part])} became {json.dumps(found[urn][part])}"
                for part in wanted[urn]
                if wanted[urn][part] != found[urn][part]
            ]
            lines.append(f"{name} differs: {'; '.join(parts)[:1500]}")
    return lines


def on(cloud: str, only: str, sample: int, seed: int, folder: Path) -> Iterator[Verdict]:
    """The journeys on one cloud."""
    wanted = [
        (operation, blow)
        for operation in OPERATIONS
        for blow in BLOWS
        if fnmatch(f"{cloud}/{operation}/{blow}", only)
        # A deletion has no check to be killed at.
        and (operation, blow) != ("delete", "kill-before")
    ]
    if not wanted:
        return
    model = another_model() if any(operation == "replace" for operation, _ in wanted) else ""
    clone = Clone(cloud, folder / cloud)
    clone.make()
    try:
        clone.run("rehearsal", "start")
        clone.run("tools.environment")
        clone.keep("empty")
        clone.restore("empty")
        references = {"create": undisturbed(clone, "create", model)}
        clone.keep("standing")
        for operation, blow in wanted:
            if operation not in references:
                references[operation] = undisturbed(clone, operation, model)
            reference = references[operation]
            chosen = random.Random(f"{seed}/{cloud}/{operation}/{blow}").sample  # noqa: S311
            # Only the state tells when a dynamic provider is at work, and that is in the middle.
            steps = [
                step
                for step in reference.steps
                if blow == "kill-during" or not step.token.startswith(DYNAMIC)
            ]
            steps = chosen(steps, min(sample or len(steps), len(steps)))
            try:
                clone.restore("empty" if operation == "create" else "standing")
                clone.change(operation, model)
                verdict = journey(clone, operation, blow, steps)
                judge(clone, operation, reference, verdict)
                yield verdict
            except Exception as error:
                broken = Verdict(f"{cloud}/{operation}/{blow}")
                broken.other.append(repr(error))
                yield broken
    finally:
        clone.run("rehearsal", "stop")


def another_model() -> str:
    """A version that is not the champion, trained unless there is one."""
    champion = (STORE / "champion").read_text().strip()
    for each in STORE.iterdir():
        if (each / "model.onnx").exists() and each.name != champion:
            return each.name
    command = [str(PYTHON), "-m", "model_server", "train", "--months", "1-6", "--no-promote"]
    environment = {**os.environ, "PYTHONPATH": str(HOME / "lambda")}
    done = subprocess.run(
        command, cwd=HOME, env=environment, check=True, text=True, stdout=subprocess.PIPE
    )
    return done.stdout.split()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.crash", description=__doc__)
    parser.add_argument("cloud", nargs="*", default=[], help="default: all three, side by side")
    parser.add_argument("--only", default="*", metavar="GLOB", help="aws/create/kill-*")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="steps of each journey")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    wish = parser.parse_args()
    # So that a rehearsal is stopped, whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    match wish.cloud or get_args(Cloud):
        case [cloud]:
            sys.exit(report(cloud, wish.only, wish.sample, wish.seed))
        case clouds:
            print(f"seed {wish.seed}", flush=True)
            options = [f"--only={wish.only}", f"--sample={wish.sample}", f"--seed={wish.seed}"]
            command = [sys.executable, "-m", "tools.crash", *options]
            running = [subprocess.Popen([*command, cloud], cwd=HOME) for cloud in clouds]
            try:
                sys.exit(max(process.wait() for process in running))
            finally:
                for process in running:
                    process.terminate()


def report(cloud: str, only: str, sample: int, seed: int) -> int:
    """A line for each journey as it ends, and the counts; 1 when one of them did not converge."""
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        for verdict in on(cloud, only, sample, seed, Path(folder)):
            print(
                f"{verdict.name:<34} {verdict.hit:>3} steps hit, {verdict.runs:>2} runs,"
                f" {verdict.seconds:>4.0f} s: {'WRONG' if verdict.wrong else 'converged'}",
                *verdict.wrong,
                sep="\n    ",
                flush=True,
            )
            verdicts.append(verdict)
    print(
        f"{cloud}: {len(verdicts)} journeys, {sum(each.hit for each in verdicts)} steps hit,"
        f" {sum(not each.wrong for each in verdicts)} converged,"
        f" {sum(len(each.orphaned) for each in verdicts)} orphaned,"
        f" {sum(len(each.doubled) for each in verdicts)} doubled,"
        f" {sum(len(each.lost) for each in verdicts)} lost; seed {seed}",
        flush=True,
    )
    return int(any(each.wrong for each in verdicts))


if __name__ == "__main__":
    main()
