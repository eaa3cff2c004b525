"""The scenarios of one cloud, one after the other, and the report about them."""

from __future__ import annotations

import random
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.model_store import MODEL
from operations.commands import preparation
from operations.crash.checkout import MORE_MODELS, Checkout
from operations.crash.faults import FAULTS
from operations.crash.judge import Reference, judge, run_without_faults
from operations.crash.matrix import scenarios_of
from operations.crash.resources import existing_resources
from operations.crash.scenario import run_scenario
from operations.crash.steps import CrashStep
from operations.crash.verdict import Verdict


@dataclass(frozen=True)
class Selection:
    """What of the matrix runs."""

    only: str
    """A pattern of CLOUD/OPERATION/FAULT."""
    sample: int
    """How many steps of each scenario are hit; 0 for all."""
    seed: int
    """Determines the sample."""

    def steps(self, name: str, reference: Reference) -> list[CrashStep]:
        """The steps of the scenario that are hit; ``name`` is CLOUD/OPERATION/FAULT."""
        fault = FAULTS[name.rpartition("/")[2]]
        steps = [step for step in reference.steps if fault.applies_to(step)]
        count = min(self.sample or len(steps), len(steps))
        return random.Random(f"{self.seed}/{name}").sample(steps, count)  # noqa: S311


def verdicts(cloud: str, selection: Selection, folder: Path) -> Iterator[Verdict]:
    """Run the selected scenarios of a cloud in a checkout below ``folder``; a verdict for each as it ends."""
    model = another_model()
    checkout = Checkout(cloud, folder / cloud)
    checkout.create()
    try:
        checkout.run("rehearsal", "start")
        checkout.run("operations", "env")
        checkout.save("empty")
        references = {"create": run_without_faults(checkout, "create")}
        checkout.save("created")
        for operation, fault in scenarios_of(cloud, selection.only):
            if operation not in references:
                checkout.restore("created")
                checkout.change_settings(operation, model)
                references[operation] = run_without_faults(checkout, operation)
            name, reference = f"{cloud}/{operation}/{fault}", references[operation]
            try:
                checkout.restore("empty" if operation == "create" else "created")
                checkout.change_settings(operation, model)
                before = existing_resources(checkout)
                faults = dict.fromkeys(selection.steps(name, reference), FAULTS[fault])
                verdict = run_scenario(name, checkout, operation, faults)
                judge(checkout, operation, reference, before, verdict)
                yield verdict
            except Exception:
                yield Verdict(name, other=[traceback.format_exc()])
    finally:
        checkout.run("rehearsal", "stop")


def another_model() -> str:
    """A version of the worked example's model that is not the champion. It is trained if the store has none, as are the
    other models of the scenarios."""
    for name in (MODEL, *MORE_MODELS):
        preparation.train(name)
    return preparation.train(MODEL, "--months", "1-6", "--no-promote")


def report(cloud: str, selection: Selection) -> int:
    """Print a line for each scenario as it ends, and the counts; returns 1 if one did not converge."""
    results: list[Verdict] = []
    try:
        with tempfile.TemporaryDirectory(prefix="crash-", ignore_cleanup_errors=True) as folder:
            for verdict in verdicts(cloud, selection, Path(folder)):
                print(
                    f"{verdict.name:<34} {verdict.hit:>3} of {verdict.steps:>3} steps hit,"
                    f" {verdict.runs:>2} runs, {verdict.seconds:>4.0f} s:"
                    f" {'WRONG' if verdict.wrong else 'converged'}",
                    *verdict.wrong,
                    sep="\n    ",
                    flush=True,
                )
                results.append(verdict)
    finally:  # also when the matrix is interrupted
        print(f"{cloud}: {_counts(results)}; seed {selection.seed}", flush=True)
    return int(any(each.wrong for each in results))


def _counts(results: list[Verdict]) -> str:
    return (
        f"{len(results)} scenarios, {sum(each.hit for each in results)} steps hit,"
        f" {sum(each.runs for each in results)} runs,"
        f" {sum(not each.wrong for each in results)} converged,"
        f" {sum(len(each.orphaned) for each in results)} orphaned,"
        f" {sum(len(each.duplicated) for each in results)} duplicated,"
        f" {sum(len(each.lost) for each in results)} lost,"
        f" {sum(len(each.drifted) for each in results)} drifted"
    )
