"""`make crash`: the scenarios of one cloud in this process, or of several clouds in a process each."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from typing import get_args

from config.clouds import Cloud
from operations.crash.matrix import exit_with_usage, selected_clouds
from operations.crash.one_cloud import Selection, another_model, report
from operations.engine.installation import HOME


def run_matrix(clouds: Sequence[str], only: str, sample: int, seed: int | None) -> None:
    """Run the scenarios that match ``only`` on these clouds, or on all three, and print a verdict on each.

    Exits with 1 if a scenario did not converge, and with 2 if nothing matches.
    """
    clouds = selected_clouds(clouds or get_args(Cloud), only)
    if sample < 0:
        exit_with_usage(f"SAMPLE={sample}: a number of steps, 0 (or nothing) for every step")
    another_model()  # before the clouds' processes would all train it at once
    selection = Selection(only, sample, random.randrange(10**6) if seed is None else seed)  # noqa: S311
    if len(clouds) == 1:
        sys.exit(report(clouds[0], selection))
    print(f"seed {selection.seed}", flush=True)
    sys.exit(_side_by_side(clouds, selection))


def _side_by_side(clouds: Sequence[str], selection: Selection) -> int:
    """Run a process for each cloud; returns the highest exit code."""
    options = [
        f"--only={selection.only}",
        f"--sample={selection.sample}",
        f"--seed={selection.seed}",
    ]
    command = [sys.executable, "-m", "operations", "crash", *options]
    running = [subprocess.Popen([*command, cloud], cwd=HOME) for cloud in clouds]
    try:
        return max(process.wait() for process in running)
    finally:
        for process in running:
            process.terminate()
