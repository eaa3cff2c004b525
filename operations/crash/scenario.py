"""One operation on one cloud with faults: run, meet a fault, run again, until a run succeeds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from operations.crash.checkout import RUN_TIMEOUT, Checkout
from operations.crash.faults import CrashFault
from operations.crash.steps import VERBS, CrashStep
from operations.crash.verdict import Verdict

SETTLE = 1.0
"""Seconds from the last hit to the kill. While a fault delays one step, the engine goes on with the steps that do
not wait for it. So one kill meets all steps that can be in flight together, and a scenario needs only as many runs
as the graph is deep."""


@dataclass(frozen=True)
class Run:
    """One run of the command, and what happened to it."""

    code: int | None
    """Its exit code; None if it was killed."""
    hit: dict[CrashStep, CrashFault]

    @property
    def succeeded(self) -> bool:
        return self.code == 0 and all(fault.harmless for fault in self.hit.values())


def run_scenario(
    name: str, checkout: Checkout, operation: str, faults: Mapping[CrashStep, CrashFault]
) -> Verdict:
    """Run the operation with these faults until a run succeeds. Each step is hit once."""
    verdict = Verdict(name, len(faults))
    began = time.monotonic()
    waiting = dict(faults)
    for verdict.runs in range(1, 2 * len(faults) + 10):
        last_entry = checkout.control("ledger?limit=1")
        run = _run_with(checkout, operation, waiting)
        in_recovery = {
            step.recovery_read(): fault.in_recovery
            for step, fault in run.hit.items()
            if fault.in_recovery
        }
        waiting = {step: fault for step, fault in waiting.items() if step not in run.hit}
        waiting |= in_recovery
        verdict.hit += len(run.hit)
        verdict.steps += len(in_recovery)
        checkout.control("faults", method="DELETE")
        since = last_entry[0]["entry"] if last_entry else 0
        verdict.no_effect += hits_without_effect(checkout, run, since)
        if run.succeeded:
            break
    else:
        verdict.other.append(f"no run succeeded; the last one printed:\n{checkout.output[-2000:]}")
    if not verdict.hit:
        verdict.other.append("no step was hit")
    verdict.seconds = time.monotonic() - began
    return verdict


def _run_with(checkout: Checkout, operation: str, waiting: Mapping[CrashStep, CrashFault]) -> Run:
    """Run the command once with these faults set."""
    started = time.time_ns()
    deadline = time.monotonic() + RUN_TIMEOUT
    set_faults = {step: fault for step, fault in waiting.items() if not fault.at_check}
    delayed, last_hit = 0, 0.0
    _set(checkout, set_faults)
    with checkout.running(*checkout.command(operation)) as process:
        while (code := process.poll()) is None:
            time.sleep(0.05)
            if len(set_faults) < len(waiting) and _update_began(checkout.event_log, started):
                _set(checkout, {step: waiting[step] for step in waiting.keys() - set_faults.keys()})
                set_faults = dict(waiting)
            if any(fault.kills for fault in set_faults.values()):
                now_delayed = sum(fault.kills for fault in _hits(checkout, set_faults).values())
                if now_delayed > delayed:
                    delayed, last_hit = now_delayed, time.monotonic()
                if delayed and time.monotonic() - last_hit > SETTLE:
                    break  # the context manager kills the engine
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"a run did not end within {RUN_TIMEOUT} s:\n{checkout.output[-2000:]}"
                )
    if any(fault.kind == "crash" for fault in set_faults.values()):
        checkout.run("rehearsal", "start")
    return Run(code, _hits(checkout, set_faults))


def _update_began(event_log: Path, started: int) -> bool:
    """Whether the update itself has begun: the preview before it runs checks, too, but writes no event log."""
    try:
        return event_log.stat().st_mtime_ns > started
    except FileNotFoundError:
        return False


def _set(checkout: Checkout, faults: Mapping[CrashStep, CrashFault]) -> None:
    """Set the faults in the rehearsal."""
    for step, fault in faults.items():
        if not step.dynamic:
            what = {"what": fault.kind, "after": fault.after, "times": fault.times, "seconds": 1}
            where = {"method": fault.method(step), "on": step.token, "name": step.name}
            checkout.control("faults", what | where, "POST")


def _hits(
    checkout: Checkout, faults: Mapping[CrashStep, CrashFault]
) -> dict[CrashStep, CrashFault]:
    """The steps that were hit: their fault is used up, or a dynamic provider works at them."""
    unused = {(each["method"], each["on"], each["name"]) for each in checkout.control("faults")}
    # The state is long, and this is called many times a second.
    pending = checkout.pending() if any(step.dynamic for step in faults) else set()
    return {
        step: fault
        for step, fault in faults.items()
        if (
            step.name in pending
            if step.dynamic
            else (fault.method(step), step.token, step.name) not in unused
        )
    }


def hits_without_effect(checkout: Checkout, run: Run, since: int) -> list[str]:
    """The steps just hit at which cloud, engine or run are not as their fault should leave them.

    ``since`` is the last entry of the rehearsal's ledger before the run.
    """
    ledger = [each for each in checkout.control("ledger?limit=100000") if each["entry"] > since]
    done = {CrashStep(VERBS.get(each["verb"], ""), each["token"], each["name"]) for each in ledger}
    pending = checkout.pending()
    found = []
    for step, fault in run.hit.items():
        if not step.dynamic and (step in done) != fault.leaves_step_done:
            found.append(f"the cloud {'did not do' if fault.leaves_step_done else 'did'} {step}")
        if fault.kills and step.method != "read" and (step.name in pending) == fault.at_check:
            found.append(f"the engine had {'begun' if fault.at_check else 'not begun'} {step}")
        if run.code == 0 and not fault.harmless:
            found.append(f"the run succeeded, though it was hit at {step}")
    return found
