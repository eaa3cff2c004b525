"""The report of a drill on one cloud, as Markdown and as JSON."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from operations.drill.disasters import DISASTERS, other_clouds
from operations.drill.measuring import Result
from operations.engine.installation import HOME


def report_facts(cloud: str, results: Sequence[Result], prediction: bytes) -> dict[str, Any]:
    """The report as data. It is signed off when every check of every disaster passed."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HOME, capture_output=True, text=True
    ).stdout.strip()
    all_passed = all(all(each.checks.values()) for each in results)
    return {
        "cloud": cloud,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "where": f"rehearsal on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "prediction_sha256": hashlib.sha256(prediction).hexdigest(),
        "signed_off": all_passed and len(results) == len(DISASTERS) + len(other_clouds(cloud)),
        "results": [asdict(each) for each in results],
    }


def report_text(facts: dict[str, Any], results: Sequence[Result]) -> str:
    """The report for readers, as Markdown."""
    checks = [
        f"- [{'x' if passed else ' '}] {each.disaster}: {name}"
        for each in results
        for name, passed in each.checks.items()
    ]
    lines = [
        f"# Recovery drill on {facts['cloud']}",
        "",
        f"{facts['when']}, commit {facts['commit']}, {facts['where']}. Times are the rehearsal's: a real"
        " cloud adds its services' own creation times.",
        "",
        "| disaster | way back | recovery time | data loss | checks |",
        "|---|---|---|---|---|",
        *(_row(each) for each in results),
        "",
        *checks,
        "",
        *(f"- {each.disaster}: {note}" for each in results for note in each.notes),
        "",
        f"Predictions for the examples: SHA-256 {facts['prediction_sha256']}, before and after.",
        "",
        "Signed off." if facts["signed_off"] else "NOT signed off: see the open boxes.",
    ]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> str:
    age = f" (backup {result.window_seconds} s old)" if result.window_seconds else ""
    return (
        f"| {result.disaster} | `{result.way_back}` | {result.seconds} s"
        f" | {result.captures_lost} of {result.captures_before} captures{age}"
        f" | {sum(result.checks.values())} of {len(result.checks)} |"
    )
