"""`make crash`: the scenarios of the crash matrix, a line for each as it ends, and the counts."""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import get_args

from config.clouds import Cloud
from operations.crash.cloud_run import Selection, another_model, report
from operations.crash.matrix import selected_clouds
from operations.engine.installation import HOME


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m operations.crash", description=__doc__)
    parser.add_argument("cloud", nargs="*", default=[], help="default: all three, side by side")
    parser.add_argument("--only", default="*", metavar="GLOB", help="aws/create/kill-*")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="steps of each scenario")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    arguments = parser.parse_args()
    clouds = selected_clouds(arguments.cloud or get_args(Cloud), arguments.only)
    if arguments.sample < 0:
        parser.error(f"SAMPLE={arguments.sample}: a number of steps, 0 (or nothing) for every step")
    # So that the rehearsal is stopped when this process is terminated.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    another_model()  # before the clouds' processes would all train it at once
    selection = Selection(arguments.only, arguments.sample, arguments.seed)
    if len(clouds) == 1:
        sys.exit(report(clouds[0], selection))
    print(f"seed {selection.seed}", flush=True)
    sys.exit(side_by_side(clouds, selection))


def side_by_side(clouds: Sequence[str], selection: Selection) -> int:
    """Run a process for each cloud; returns the highest exit code."""
    options = [
        f"--only={selection.only}",
        f"--sample={selection.sample}",
        f"--seed={selection.seed}",
    ]
    command = [sys.executable, "-m", "operations.crash", *options]
    running = [subprocess.Popen([*command, cloud], cwd=HOME) for cloud in clouds]
    try:
        return max(process.wait() for process in running)
    finally:
        for process in running:
            process.terminate()


if __name__ == "__main__":
    main()
