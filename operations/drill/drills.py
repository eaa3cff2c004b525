"""`make drill`: the recovery drill on one cloud or on all three, and a report on each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import get_args

from config.clouds import Cloud
from operations.drill.disasters import DISASTERS, cloud_lost
from operations.drill.drill_platform import FOLDER, DrillPlatform
from operations.drill.measuring import Baseline, Result
from operations.drill.report import report_facts, report_text
from operations.engine.installation import HOME, PYTHON
from operations.engine.rehearsed_stack import unknown_cloud


def run_drill(cloud: str) -> bool:
    """Run the drill on one cloud, from an empty rehearsal to an empty one; returns whether it is signed off."""
    FOLDER.mkdir(exist_ok=True)
    # Before anything reads the environment: everything happens in this rehearsal.
    os.environ["TRIPLANE_REHEARSAL_DIR"] = str(FOLDER / f"rehearsal-{cloud}")
    subprocess.run([str(PYTHON), "-m", "rehearsal", "wipe"], cwd=HOME, check=True)
    # Not as `make up` does: this one ends with the drill.
    subprocess.run([str(PYTHON), "-m", "rehearsal", "start"], cwd=HOME, check=True)
    platform = DrillPlatform(cloud)
    platform.delete_state()  # of an interrupted drill
    shutil.rmtree(platform.backup, ignore_errors=True)
    prediction = b""
    results: list[Result] = []
    try:
        platform.make("up")
        prediction = platform.predict()
        for disaster in DISASTERS:
            result = disaster(platform, Baseline(prediction, frozenset(platform.add_captures())))
            _print_result(cloud, result)
            results.append(result)
        for result in cloud_lost(
            platform, Baseline(prediction, frozenset(platform.add_captures()))
        ):
            _print_result(cloud, result)
            results.append(result)
    finally:
        facts = report_facts(cloud, results, prediction)
        (FOLDER / f"report-{cloud}.md").write_text(report_text(facts, results))
        (FOLDER / f"report-{cloud}.json").write_text(json.dumps(facts, indent=2) + "\n")
        platform.delete_state()
        subprocess.run([str(PYTHON), "-m", "rehearsal", "wipe"], cwd=HOME)
    for result in results:
        for name, passed in result.checks.items():
            if not passed:
                print(f"  FAILED, {result.disaster}: {name}")
    signed_off = bool(facts["signed_off"])
    print(f"  report: .drill/report-{cloud}.md, {'signed off' if signed_off else 'NOT signed off'}")
    return signed_off


def _print_result(cloud: str, result: Result) -> None:
    print(
        f"  {cloud:<6} {result.disaster:<50} {result.seconds:6.1f} s,"
        f" {result.captures_lost} of {result.captures_before} captures lost,"
        f" {sum(result.checks.values())} of {len(result.checks)} checks passed",
        flush=True,
    )


def run_drills(clouds: Sequence[str]) -> None:
    """Run the drill on these clouds, or on all three; exits with 1 unless all are signed off."""
    if problems := [each for cloud in clouds if (each := unknown_cloud(cloud))]:
        print("\n".join(problems), file=sys.stderr)
        sys.exit(2)
    signed_off = [run_drill(cloud) for cloud in clouds or get_args(Cloud)]
    print(f"drills: {sum(signed_off)} signed off, {len(signed_off) - sum(signed_off)} not")
    sys.exit(not all(signed_off))
