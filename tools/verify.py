"""`make test`: every check and every test, one after the other, with a summary of what passed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from operations.engine import environment
from operations.engine.installation import HOME, PYTHON
from operations.started_processes import end_with_this_process
from operations.terminal import end_with_reader, take_interrupts
from policy import tool_environment

BIN = PYTHON.parent
PYTEST = [str(PYTHON), "-m", "pytest", "-q"]
# On every core, but on no more than 4: each worker imports the three SDKs, which takes seconds and 400 MB.
# Idle workers take tests from the others, because a property-based test takes a thousand times as long as a simple one.
SPREAD = ["-n", "logical", "--maxprocesses", "4", "--dist", "worksteal"]
# Two at a time: each test waits for the engine and its processes. With a third worker all of them take 50 % longer.
BY_CLOUD = ["-n", "2", "--dist", "loadgroup"]
LONG = (
    "test_fresh_account.py",
    "test_fresh_machine.py",
    "test_generated_files.py",
    "test_isolation.py",
    "test_killed_targets.py",
    "test_move.py",
    "test_printed_commands.py",
    "test_realistic.py",
    "test_shell_stack.py",
)
"""Files of tests/e2e that take minutes of their own: each brings up platforms that no other test shares."""
E2E = [*PYTEST, *BY_CLOUD, "--durations=12"]
STAGES = {
    "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
    "lint": [str(BIN / "ruff"), "check", "--quiet", "."],
    "types": [str(BIN / "mypy")],
    "imports": [str(BIN / "lint-imports"), "--no-logo"],
    "secrets": [str(PYTHON), "-m", "tools.secret_scan"],
    "unit": [*PYTEST, *SPREAD, "tests", "--ignore=tests/e2e", "--ignore=tests/judge"],
    "e2e": [
        *(*E2E, "tests/e2e", "--ignore=tests/e2e/pack"),
        *(f"--ignore=tests/e2e/{file}" for file in LONG),
    ],
    "e2e-long": [*E2E, *(f"tests/e2e/{file}" for file in LONG)],
    "pack": [*PYTEST, "tests/e2e/pack"],
    "judge": [*PYTEST, "tests/judge"],
    "screenshots": [*PYTEST, "tests/e2e/test_screenshots.py", "-k", "aws"],
    "fuzz": [
        *PYTEST,
        "tests/unit/lambda/test_raw_http.py",
        "tests/unit/lambda/test_gateway_openapi.py",
        "tests/e2e/test_raw_http.py",
    ],
}
CHECKERS = {"unit": "audit", "judge": "moto"}
"""The environment of `policy.tool_environment` that a stage's tests use. It is created before the stage: the tests have neither
the machine's proxies nor its certificates."""
ON_DEMAND = ("e2e-long", "pack", "judge", "fuzz", "screenshots")
"""Stages that take longer than `make test` may, or need more than it should install. CI runs them apart."""


def run(stages: list[str]) -> Iterator[tuple[str, bool, float]]:
    """Each stage's name, whether it passed, and its seconds. A failed stage does not stop the others."""
    # Of this clone's environment only where Pulumi is: an e2e test starts a rehearsal of its own, and must not
    # reach another one.
    variables = {
        **os.environ,
        "PATH": environment.pulumi_environment()["PATH"],
        # import-linter imports the packages; those that run in a cloud are below lambda/.
        "PYTHONPATH": os.pathsep.join([str(HOME), str(HOME / "lambda")]),
        **environment.bytecode_cache(),
    }
    for number, stage in enumerate(stages, 1):
        print(f"\n== {stage} ({number} of {len(stages)}) ==", flush=True)
        started = time.monotonic()
        try:
            if checker := CHECKERS.get(stage):
                tool_environment.created(checker)
            subprocess.run(STAGES[stage], cwd=HOME, env=variables, check=True)
            passed = True
        except subprocess.CalledProcessError:
            passed = False
        yield stage, passed, time.monotonic() - started


def main() -> None:
    take_interrupts()
    end_with_this_process()
    chosen = sys.argv[1:] or [stage for stage in STAGES if stage not in ON_DEMAND]
    if unknown := [stage for stage in chosen if stage not in STAGES]:
        sys.exit(f"{unknown[0]}: no such stage. There are: {', '.join(STAGES)}. Nothing was run.")
    try:
        results = list(run(chosen))
    except KeyboardInterrupt:
        sys.exit(130)
    print()
    for stage, passed, seconds in results:
        print(f"  {stage:<8} {'passed' if passed else 'FAILED':<8} {seconds:6.1f} s")
    failed = sum(not passed for _, passed, _ in results)
    # A machine reads this line.
    print(f"stages: {len(results) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    with end_with_reader():
        main()
