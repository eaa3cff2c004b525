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
    "::test_any_valid_stack_file_builds_on_every_cloud_and_renders_the_same_twice"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("files", nargs="?", type=int, default=10_000, help="stack files in all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = parser.parse_args()
    print(
        f"soak: {chosen.files} stack files, each built on three clouds and rendered twice on its own;"
        f" seed {chosen.seed}",
        flush=True,
    )
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", TEST]
    settings = {
        "TRIPLANE_SOAK_FILES": str(chosen.files),
        "TRIPLANE_SOAK_SEED": str(chosen.seed),
    }
    failed = subprocess.run(command, env={**os.environ, **settings}).returncode
    print(
        f"soak: {'FAILED' if failed else 'held'}; {4 * chosen.files} builds in"
        f" {time.monotonic() - started:.0f} s; the same again: FILES='{chosen.files} --seed {chosen.seed}'"
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()
