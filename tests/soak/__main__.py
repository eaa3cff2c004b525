"""`make soak`: many more stack files than `make test` draws, and other ones each time.

First all of them run under mocks, on every core. Then some of them run on the real engine, one after the other.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

from config.arguments import ArgumentParser, positive
from operations.engine import environment
from operations.started_processes import end_with_this_process
from operations.terminal import end_with_reader, take_interrupts

MOCKS = (
    "tests/soak/test_no_op.py"
    "::test_any_valid_stack_file_builds_on_every_cloud_and_renders_the_same_twice"
)
ENGINE = "tests/e2e/test_generated_files.py"


def main() -> None:
    parser = ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument(
        "files", nargs="?", type=positive, default=10_000, help="number of stack files"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument(
        "--engine",
        type=positive,
        default=3,
        metavar="N",
        help="stack files for each cloud on the real engine",
    )
    chosen = parser.parse_args()
    take_interrupts()
    end_with_this_process()
    settings = {
        "PATH": environment.pulumi_environment()["PATH"],
        "TRIPLANE_SOAK_FILES": str(chosen.files),
        "TRIPLANE_SOAK_SEED": str(chosen.seed),
        "TRIPLANE_ENGINE_FILES": str(chosen.engine),
    }
    failed = False
    for title, tests in (
        (
            f"{chosen.files} stack files under mocks, {4 * chosen.files} builds",
            ["-n", "auto", MOCKS],
        ),
        (f"{chosen.engine} stack files a cloud on the real engine", [ENGINE]),
    ):
        print(f"soak: {title}", flush=True)
        started = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        code = subprocess.run(command, env={**os.environ, **settings}).returncode
        failed |= code != 0
        print(
            f"soak: {'FAILED' if code else 'passed'} in {time.monotonic() - started:.0f} s",
            flush=True,
        )
    print(f"soak: to repeat it: make soak FILES='{chosen.files} --seed {chosen.seed}'")
    sys.exit(failed)


if __name__ == "__main__":
    with end_with_reader():
        main()
