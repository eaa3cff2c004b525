"""One operation on one cloud under one blow: run, be hit, run again, until a run gets through."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from operations.crash.checkout import PATIENCE, Clone
from operations.recovery.probes import PROBE_SUFFIX

OPERATIONS = ("create", "update", "replace", "delete")
VERBS = {"created": "create", "replaced": "create", "updated": "update", "deleted": "delete"}
"""What the rehearsal's ledger calls the steps that were done."""
METHODS = {
    "create": "create",
    "create-replacement": "create",
    "update": "update",
    "delete": "delete",
    "delete-replaced": "delete",
}
"""What the engine's steps ask a provider to do; its others ask for nothing that changes a cloud."""
DYNAMIC = "pulumi-python:"
LEFT = "gcp:projects/service:Service"
"""An API stays enabled, as others may use it: its deletion asks the cloud for nothing."""
PACKAGES = ("aws:", "gcp:", "azure-native:", DYNAMIC)
SETTLE = 1.0
"""Seconds from the last hit to the kill. While a step is held, the engine goes on with those that do not wait
for it: in the end one kill meets all that can be in flight together, and a journey needs as many runs as
the graph is deep."""
ATTEMPTS = 5
"""How often a provider's client tries before it gives up (`rehearsal.core.faults.ATTEMPTS`)."""


@dataclass(frozen=True)
class Blow:
    """What happens at a step, and what is true of the step right afterwards."""

    what: str
    """A fault of `rehearsal.core.faults`."""
    after: bool = False
    """It comes once the cloud has done the step."""
    kills: bool = False
    """The engine is killed while the fault holds the step."""
    checks: bool = False
    """It holds the step's check, before the engine asks for the step itself."""
    times: int = 1
    then: Blow | None = None
    """What meets the recovery from it, as it looks whether the step was done."""

    @property
    def harmless(self) -> bool:
        """Whether a run gets through."""
        return self.what == "slow"

    @property
    def done(self) -> bool:
        """Whether the cloud has done the step then."""
        return self.after or self.harmless

    def method(self, step: Step) -> str:
        """What of the step is hit."""
        return "check" if self.checks else step.method


BLOWS = {
    "kill-before": Blow("hang", kills=True, checks=True),
    "kill-during": Blow("hang", kills=True),
    "kill-after": Blow("hang", kills=True, after=True),
    "kill-recovery": Blow("hang", kills=True, after=True, then=Blow("hang", kills=True)),
    "unavailable": Blow("unavailable", times=ATTEMPTS),
    "throttle": Blow("throttle", times=ATTEMPTS),
    "slow": Blow("slow"),
    "answer-lost": Blow("drop", after=True),
    "connection-lost": Blow("drop"),
    "cloud-dies-before": Blow("crash"),
    "cloud-dies-after": Blow("crash", after=True),
}


@dataclass(frozen=True)
class Step:
    """One thing that the engine asked a provider to do."""

    method: str
    token: str
    name: str

    @property
    def dynamic(self) -> bool:
        """Whether its provider is Pulumi's own process, of which no rehearsal knows."""
        return self.token.startswith(DYNAMIC)

    def looked_at(self) -> Step:
        """As recovery asks whether it was done."""
        name = self.name + PROBE_SUFFIX if self.method == "create" else self.name
        return replace(self, method="read", name=name)

    def hit_by(self, blow: Blow) -> bool:
        """Whether there is a place for the blow."""
        if self.dynamic:  # only the state tells when it is at work, and that is in the middle
            return blow == BLOWS["kill-during"]
        if self.method == "delete" and self.token == LEFT:
            return False
        return not (blow.checks and self.method == "delete")

    def __str__(self) -> str:
        return f"{self.method} {self.token} {self.name}"


@dataclass
class Verdict:
    """What came of a journey."""

    name: str
    steps: int = 0
    hit: int = 0
    runs: int = 0
    seconds: float = 0
    orphaned: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    drifted: list[str] = field(default_factory=list)
    """What the cloud has otherwise than the state says: an update that it never got."""
    hollow: list[str] = field(default_factory=list)
    """Steps that were hit without the harm that the blow is to do."""
    other: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        kinds = ("orphaned", "doubled", "lost", "drifted", "hollow", "other")
        return [f"{kind}: {each}" for kind in kinds for each in getattr(self, kind)]


def steps_of(events: Path) -> list[Step]:
    """What an update did, from the engine's own log of it."""
    found = []
    for line in events.read_text().splitlines():
        if event := json.loads(line).get("resourcePreEvent"):
            told = event["metadata"]
            method, name = METHODS.get(told["op"]), told["urn"].rsplit("::", 1)[-1]
            if method == "delete" and (told.get("old") or {}).get("retainOnDelete"):
                continue  # it is forgotten, and stands
            if method and told["type"].startswith(PACKAGES):
                found.append(Step(method, told["type"], name))
    return list(dict.fromkeys(found))


def journey(name: str, clone: Clone, operation: str, blows: Mapping[Step, Blow]) -> Verdict:
    """Do the operation under blows, until a run gets through. Each step is hit once."""
    verdict = Verdict(name, len(blows))
    began = time.monotonic()
    waiting = dict(blows)
    for verdict.runs in range(1, 2 * len(blows) + 10):
        before = clone.ask("ledger?limit=1")
        code, hit = _run(clone, operation, waiting)
        waiting = {step: blow for step, blow in waiting.items() if step not in hit}
        waiting |= {step.looked_at(): blow.then for step, blow in hit.items() if blow.then}
        verdict.hit += len(hit)
        verdict.steps += sum(blow.then is not None for blow in hit.values())
        clone.ask("faults", method="DELETE")
        verdict.hollow += _hollow(clone, hit, before[0]["entry"] if before else 0, code)
        if code == 0 and all(blow.harmless for blow in hit.values()):
            break
    else:
        verdict.other.append(f"no run got through; the last one said:\n{clone.output[-2000:]}")
    if not verdict.hit:
        verdict.other.append("no step was hit")
    verdict.seconds = time.monotonic() - began
    return verdict


def _run(
    clone: Clone, operation: str, waiting: Mapping[Step, Blow]
) -> tuple[int | None, dict[Step, Blow]]:
    """One run with the faults set: its exit code, None if it was killed, and the steps that were hit."""
    started = time.time_ns()
    deadline = time.monotonic() + PATIENCE
    armed = {step: blow for step, blow in waiting.items() if not blow.checks}
    held, last = 0, 0.0
    _arm(clone, armed)
    with clone.running(*clone.play(operation)) as process:
        while (code := process.poll()) is None:
            time.sleep(0.05)
            if len(armed) < len(waiting) and _began(clone.events, started):
                _arm(clone, {step: blow for step, blow in waiting.items() if step not in armed})
                armed = dict(waiting)
            if any(blow.kills for blow in armed.values()):
                struck = sum(blow.kills for blow in _struck(clone, armed).values())
                if struck > held:
                    held, last = struck, time.monotonic()
                if held and time.monotonic() - last > SETTLE:
                    break  # and is killed
            if time.monotonic() > deadline:
                raise TimeoutError(f"a run was stuck for {PATIENCE} s:\n{clone.output[-2000:]}")
    if any(blow.what == "crash" for blow in armed.values()):
        clone.run("rehearsal", "start")
    return code, _struck(clone, armed)


def _began(events: Path, started: int) -> bool:
    """Whether the update itself has begun, and with it its log: the preview before it checks, too."""
    try:
        return events.stat().st_mtime_ns > started
    except FileNotFoundError:
        return False


def _arm(clone: Clone, blows: Mapping[Step, Blow]) -> None:
    """Set the faults."""
    for step, blow in blows.items():
        if not step.dynamic:
            fault = {"what": blow.what, "after": blow.after, "times": blow.times, "seconds": 1}
            where = {"method": blow.method(step), "on": step.token, "name": step.name}
            clone.ask("faults", fault | where)


def _struck(clone: Clone, blows: Mapping[Step, Blow]) -> dict[Step, Blow]:
    """The steps at which it happened: their fault is used up, or a dynamic provider is at work."""
    left = {(fault["method"], fault["on"], fault["name"]) for fault in clone.ask("faults")}
    # The state is long, and this is asked many times a second.
    pending = clone.pending() if any(step.dynamic for step in blows) else set()
    return {
        step: blow
        for step, blow in blows.items()
        if (
            step.name in pending
            if step.dynamic
            else (blow.method(step), step.token, step.name) not in left
        )
    }


def _hollow(clone: Clone, hit: Mapping[Step, Blow], since: int, code: int | None) -> list[str]:
    """Which of the steps just hit do not stand as their blow leaves them."""
    told = [each for each in clone.ask("ledger?limit=100000") if each["entry"] > since]
    done = {Step(VERBS.get(each["verb"], ""), each["token"], each["name"]) for each in told}
    asked = clone.pending()
    found = []
    for step, blow in hit.items():
        if not step.dynamic and (step in done) != blow.done:
            found.append(f"the cloud {'did not do' if blow.done else 'did'} {step}")
        if blow.kills and step.method != "read" and (step.name in asked) == blow.checks:
            found.append(f"the engine had {'begun' if blow.checks else 'not begun'} {step}")
        if code == 0 and not blow.harmless:
            found.append(f"the run got through, though it was hit at {step}")
    return found
