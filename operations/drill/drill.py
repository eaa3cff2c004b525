"""`make drill`: four disasters, each survived with the command that an engineer would use, and timed.

In a rehearsal and a stack of its own, so that nothing else can be hit. RTO: from the disaster to the first
good prediction. RPO: captures that were in the lake before and are in none after.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

from components.contracts import Zone
from config.clouds import Cloud
from operations.commands.deploy import DATA, check, start_rehearsal
from operations.data.lake_locations import find_lakes
from operations.data.state_copy import lake_of, state_copy_name
from operations.engine import guards, previews
from operations.engine.gateway import FLIGHT
from operations.engine.installation import HOME, PYTHON
from operations.engine.resources import resource_type, urns_with_dependencies
from operations.engine.stack import Stack

FOLDER = HOME / ".drill"
CAPTURES = 5
"""Requests sent before each disaster, each of which leaves a capture."""

BY_HAND: dict[str, dict[str, dict[str, Any]]] = {
    "aws": {
        "aws:lambda/function:Function": {"timeout": 3},
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {"blockPublicPolicy": False},
    },
    "gcp": {
        "gcp:cloudrunv2/service:Service": {"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"},
        "gcp:storage/bucket:Bucket": {"publicAccessPrevention": "inherited"},
    },
    "azure": {
        "azure-native:web:WebApp": {"httpsOnly": False},
        "azure-native:storage:StorageAccount": {"allowBlobPublicAccess": True},
    },
}
"""What somebody changes in a console: settings of the front door and of the lake, by resource type."""


@dataclass
class Result:
    """What one disaster cost, and what was seen to hold afterwards."""

    disaster: str
    way_back: str
    seconds: float = 0.0
    captures_before: int = 0
    captures_lost: int = 0
    window_seconds: float = 0.0
    """How old the copy was that the data came back from; 0 where the data stood."""
    checks: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Drill:
    """One cloud's platform, and what happens to it."""

    def __init__(self, cloud: str) -> None:
        self.cloud = cloud
        self.stack = Stack.copy_of_dev(f"drill-{cloud}", {"triplane:cloud": cloud})
        self.backup = FOLDER / f"backup-{cloud}"
        self.words: list[str] = []
        self.answer = b""

    # What an engineer types

    def make(self, target: str, *, code: int = 0, **settings: str) -> str:
        """Run what ``make TARGET`` runs, on the drill's stack; gives what it printed."""
        module = (
            "operations.commands.deploy"
            if target in ("up", "destroy")
            else "operations.commands.repair"
        )
        call = f"import {module} as m; from operations.drill.drill import Drill; m.COMMANDS[{target!r}](Drill({self.cloud!r}).stack)"
        environment = {**os.environ, "BACKUP": str(self.backup), "PYTHONPATH": str(HOME)}
        done = subprocess.run(
            [str(PYTHON), "-c", call],
            cwd=HOME,
            env=environment | settings,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
        )
        if (done.returncode != 0) != (code != 0):
            raise SystemExit(f"{done.stdout}\nmake {target} left with {done.returncode}")
        return done.stdout

    def ask(self) -> bytes:
        """The gateway's answer to the fixed flight, to the byte; tried for two minutes."""
        outputs = self.stack.outputs()
        headers = {"content-type": "application/json", "x-api-key": outputs["gateway_key"]}
        request = urllib.request.Request(  # noqa: S310  # the URL is the stack's own output
            f"{outputs['gateway_url']}/predict", FLIGHT.read_bytes(), headers
        )
        trust = ssl.create_default_context(cafile=self.stack.environment["SSL_CERT_FILE"])
        until = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30, context=trust) as answer:  # noqa: S310
                    return bytes(answer.read())
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def captures(self) -> set[str]:
        """Names of the captures in the lake."""
        found = lake_of(self.stack)
        return set(found.names(f"{Zone.CAPTURES}/")) if found else set()

    def capture(self) -> set[str]:
        """Send requests, and wait until the lake has a capture of each."""
        before = self.captures()
        for _ in range(CAPTURES):
            self.ask()
        until = time.monotonic() + 60
        while len(now := self.captures()) < len(before) + CAPTURES:
            if time.monotonic() > until:
                raise SystemExit(f"{len(now)} captures, {len(before) + CAPTURES} expected")
            time.sleep(0.3)
        return now

    # What happens to it

    def control(self, verb: str, **wish: Any) -> list[str]:
        """Have the rehearsal lose or change resources of this stack."""
        url = f"{self.stack.environment['TRIPLANE_REHEARSAL_URL']}/_api/{verb}"
        body = json.dumps({"stack": self.stack.name, **wish}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(url, body, headers)  # noqa: S310  # loopback
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return list(next(iter(json.load(answer).values())))

    def forget_state(self) -> None:
        """Lose the stack's state, with the copies and the history that Pulumi keeps beside it."""
        for found in self.stack.state.parents[2].rglob(f"{self.stack.name}*"):
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)

    def forget_copy(self) -> None:
        """Lose what the lake holds of the stack's state."""
        if held := lake_of(self.stack):
            held.write(state_copy_name(self.stack.name), b'{"deployment": {}}')

    def ids(self) -> set[tuple[str, str]]:
        """What the state says that there is in the cloud. A random key is nowhere but in the state."""
        return {
            (each["urn"], each["id"])
            for each in self.stack.resources()
            if each.get("id")
            and not each["type"].startswith("pulumi:")
            and "RandomKey" not in each["type"]
        }

    @contextmanager
    def timed(self, result: Result) -> Iterator[None]:
        """RTO and RPO of what is done inside; the prediction must come back to the byte."""
        before, started = self.captures_known, time.monotonic()
        yield
        same = self.ask() == self.answer
        result.seconds = round(time.monotonic() - started, 1)
        result.checks["the prediction is the same to the byte"] = same
        result.captures_before = len(before)
        result.captures_lost = len(before - self.captures())
        quiet = [step["op"] for step in self.stack.steps("preview") if step["op"] != "same"]
        result.checks["another run would change nothing"] = not quiet
        drifted = previews.drift(self.stack.steps("refresh", "--preview-only"))
        result.checks["a refresh finds nothing"] = not drifted

    def run(self) -> Iterator[Result]:
        """The four disasters, one after the other."""
        self.make("up")
        self.answer = self.ask()
        for disaster in (
            self.compute_lost,
            self.changed_by_hand,
            self.state_lost,
            self.region_lost,
        ):
            self.captures_known = self.capture()
            yield disaster()

    def compute_lost(self) -> Result:
        result = Result("compute destroyed, data kept", "make repair ALLOW=vanished")
        resources = self.stack.resources()
        spared = set(urns_with_dependencies(resources, (*DATA, "Foundation")))
        doomed = [
            each["urn"]
            for each in resources
            if each["urn"] not in spared
            and not resource_type(each["urn"]).startswith("pulumi")
            and each.get("custom")
        ]
        for urn in reversed(doomed):
            self.control("lose", on=resource_type(urn), name=urn.rsplit("::", 1)[-1])
        result.notes.append(f"{len(doomed)} of {len(resources)} resources lost")
        with self.timed(result):
            refused = self.make("repair", code=1)
            result.checks["refused until it is allowed"] = "ALLOW=vanished" in refused
            self.make("repair", ALLOW=guards.ALLOW_VANISHED)
        result.checks["no capture lost"] = result.captures_lost == 0
        return result

    def changed_by_hand(self) -> Result:
        result = Result("somebody changed things by hand", "make repair")
        changed = [
            (token, name)
            for token, inputs in BY_HAND[self.cloud].items()
            if self.control("change", on=token, inputs=inputs)
            for name in inputs
        ]
        with self.timed(result):
            told = self.make("repair")
        result.checks["each change was found and named"] = len(changed) == 2 and all(
            any(token in line and name in line for line in told.splitlines())
            for token, name in changed
        )
        result.notes += [f"{token}: {name}" for token, name in changed]
        result.checks["no capture lost"] = result.captures_lost == 0
        return result

    def state_lost(self) -> Result:
        """The harder way: the copy in the lake is lost, too, and only names and tags are left."""
        result = Result("state and its copy lost, the cloud stands", "make adopt, make up")
        key, stood = self.stack.outputs()["gateway_key"], self.ids()
        self.forget_copy()
        self.forget_state()
        with self.timed(result):
            refused = self.make("up", code=1)
            result.checks["no second platform beside it"] = "make adopt" in refused
            told = self.make("adopt")
            self.make("up")
        result.checks["zero creates, zero replacements"] = "create 0, replace 0 " in told
        result.checks["the same things, each once"] = self.ids() == stood
        result.checks["the gateway's key is the same"] = self.stack.outputs()["gateway_key"] == key
        result.notes += [line for line in told.splitlines() if line.startswith("Adopted ")]
        result.checks["no capture lost"] = result.captures_lost == 0
        return result

    def region_lost(self) -> Result:
        result = Result("everything in the region destroyed, the state too", "make restore")
        self.make("backup")
        copied, saved = time.monotonic(), self.captures_known
        self.captures_known = self.capture()  # these come after the backup
        late = self.captures_known - saved
        lost = self.control("lose")
        self.forget_state()
        result.window_seconds = round(time.monotonic() - copied, 1)
        gone = not find_lakes(check(self.stack))
        result.checks["nothing was left, the lake neither"] = gone
        result.notes.append(f"{len(lost)} resources lost")
        with self.timed(result):
            self.make("restore")
        result.checks["lost: what came after the backup, and nothing else"] = (
            result.captures_lost == len(late)
        )
        return result


def report(cloud: str, results: list[Result], answer: bytes) -> tuple[str, dict[str, Any]]:
    """The report, as Markdown and as JSON. It is signed off when every check held."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HOME, capture_output=True, text=True
    ).stdout.strip()
    facts = {
        "cloud": cloud,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "where": f"rehearsal on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "prediction_sha256": hashlib.sha256(answer).hexdigest(),
        "signed_off": all(all(each.checks.values()) for each in results) and len(results) == 4,
        "results": [asdict(each) for each in results],
    }
    rows = [
        f"| {r.disaster} | `{r.way_back}` | {r.seconds} s | {r.captures_lost} of {r.captures_before} captures"
        f"{f' (backup {r.window_seconds} s old)' if r.window_seconds else ''} |"
        f" {sum(r.checks.values())} of {len(r.checks)} |"
        for r in results
    ]
    checks = [
        f"- [{'x' if held else ' '}] {r.disaster}: {name}"
        for r in results
        for name, held in r.checks.items()
    ]
    notes = [f"- {r.disaster}: {note}" for r in results for note in r.notes]
    text = "\n".join(
        [
            f"# Recovery drill on {cloud}",
            "",
            f"{facts['when']}, commit {commit}, {facts['where']}. Times are the rehearsal's: a real"
            " cloud adds its services' own creation times.",
            "",
            "| disaster | way back | recovery time | data loss | checks |",
            "|---|---|---|---|---|",
            *rows,
            "",
            *checks,
            "",
            *notes,
            "",
            f"Prediction for docs/flight.json: SHA-256 {facts['prediction_sha256']}, before and after.",
            "",
            "Signed off." if facts["signed_off"] else "NOT signed off: see the open boxes.",
            "",
        ]
    )
    return text, facts


def drill(cloud: str) -> bool:
    """Run it from nothing to nothing; whether it is signed off."""
    FOLDER.mkdir(exist_ok=True)
    # Before anything reads the environment: everything here happens in this rehearsal.
    os.environ["TRIPLANE_REHEARSAL_DIR"] = str(FOLDER / f"rehearsal-{cloud}")
    subprocess.run([str(PYTHON), "-m", "rehearsal", "wipe"], cwd=HOME, check=True)
    start_rehearsal()
    this = Drill(cloud)
    this.forget_state()  # of a drill that was cut short
    shutil.rmtree(this.backup, ignore_errors=True)
    results = []
    try:
        for result in this.run():
            held = sum(result.checks.values())
            print(
                f"  {cloud:<6} {result.disaster:<50} {result.seconds:6.1f} s,"
                f" {result.captures_lost} of {result.captures_before} captures lost,"
                f" {held} of {len(result.checks)} checks held",
                flush=True,
            )
            results.append(result)
    finally:
        text, facts = report(cloud, results, this.answer)
        (FOLDER / f"report-{cloud}.md").write_text(text)
        (FOLDER / f"report-{cloud}.json").write_text(json.dumps(facts, indent=2) + "\n")
        this.forget_state()
        subprocess.run([str(PYTHON), "-m", "rehearsal", "wipe"], cwd=HOME)
    for each in results:
        for name, held in each.checks.items():
            if not held:
                print(f"  DID NOT HOLD, {each.disaster}: {name}")
    print(
        f"  report: .drill/report-{cloud}.md, {'signed off' if facts['signed_off'] else 'NOT signed off'}"
    )
    return bool(facts["signed_off"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m operations.drill.drill", description=__doc__)
    parser.add_argument("clouds", nargs="*", metavar="cloud", help="default: all three")
    chosen = parser.parse_args().clouds or get_args(Cloud)
    if unknown := set(chosen) - set(get_args(Cloud)):
        parser.error(f"no such cloud: {', '.join(unknown)}; there are {', '.join(get_args(Cloud))}")
    held = [drill(cloud) for cloud in chosen]
    print(f"drills: {sum(held)} signed off, {len(held) - sum(held)} not")
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
