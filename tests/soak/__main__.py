"""`make soak`: many more stack files than `make test` draws, on every core, with other ones each time."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time

TEST = (
    "tests/soak/test_no_op.py"
    "::test_any_valid_stack_file_gives_the_same_platform_twice_on_every_cloud"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("files", nargs="?", type=int, default=10_000, help="stack files in all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = parser.parse_args()
    workers = os.cpu_count() or 1
    settings = -(-chosen.files // (3 * workers))  # a settings file is three stack files
    print(
        f"soak: {settings * workers} settings x 3 clouds, each rendered twice,"
        f" on {workers} processes; seeds from {chosen.seed}",
        flush=True,
    )
    started = time.monotonic()
    running = [
        subprocess.Popen(
            [
                sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TEST,
                f"--hypothesis-seed={chosen.seed + worker}",
            ],
            env={**os.environ, "TRIPLANE_EXAMPLES": str(settings)},
        )
        for worker in range(workers)
    ]  # fmt: skip
    failed = sum(process.wait() != 0 for process in running)
    seconds = time.monotonic() - started
    files = settings * workers * 3
    print(f"soak: {files} stack files, {2 * files} builds in {seconds:.0f} s")
    print(f"soak: {'FAILED' if failed else 'held'}; the same again: --seed {chosen.seed}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
