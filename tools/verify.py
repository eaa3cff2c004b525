"""`make test`: every check and every test, one after the other, with a summary of what held."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from operations.engine import environment
from operations.engine.installation import HOME, PYTHON

BIN = PYTHON.parent
PYTEST = [str(PYTHON), "-m", "pytest", "-q"]
# On every core, but no more than 4: each worker imports the three SDKs, which takes seconds and 400 MB.
# Work is stolen, not dealt out, because a drawn test takes a thousand times as long as a plain one.
SPREAD = ["-n", "logical", "--maxprocesses", "4", "--dist", "worksteal"]
# Two at a time: each test waits for the engine and its processes; with a third all of them take half as long again.
BY_CLOUD = ["-n", "2", "--dist", "loadgroup"]
STAGES = {
    "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
    "lint": [str(BIN / "ruff"), "check", "--quiet", "."],
    "types": [str(BIN / "mypy")],
    "imports": [str(BIN / "lint-imports"), "--no-logo"],
    "unit": [*PYTEST, *SPREAD, "tests", "--ignore=tests/e2e"],
    "e2e": [*PYTEST, *BY_CLOUD, "--durations=12", "tests/e2e", "--ignore=tests/e2e/pack"],
    "pack": [*PYTEST, "tests/e2e/pack"],
}
ON_DEMAND = ("pack",)
"""What needs more than `make test` should install."""


def run(stages: list[str]) -> Iterator[tuple[str, bool, float]]:
    """Each stage's name, whether it held, and its seconds. A failure does not stop the others."""
    # Only where Pulumi is: an e2e test starts a rehearsal of its own, and no other may answer for it.
    place = {
        **os.environ,
        "PATH": environment.pulumi_environment()["PATH"],
        # import-linter imports the packages; those that run in a cloud are below lambda/.
        "PYTHONPATH": os.pathsep.join([str(HOME), str(HOME / "lambda")]),
        **environment.bytecode_cache(),
    }
    for number, stage in enumerate(stages, 1):
        print(f"\n== {stage} ({number} of {len(stages)}) ==", flush=True)
        started = time.monotonic()
        held = subprocess.run(STAGES[stage], cwd=HOME, env=place).returncode == 0
        yield stage, held, time.monotonic() - started


def main() -> None:
    chosen = sys.argv[1:] or [stage for stage in STAGES if stage not in ON_DEMAND]
    results = list(run(chosen))
    print()
    for stage, held, seconds in results:
        print(f"  {stage:<8} {'held' if held else 'FAILED':<8} {seconds:6.1f} s")
    failed = sum(not held for _, held, _ in results)
    # The line by which a machine reads what ran.
    print(f"stages: {len(results) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
