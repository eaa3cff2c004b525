"""The one command line of the operations, as `make` calls it."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from operations.__main__ import _parser
from operations.delivery import gates
from operations.engine.installation import HOME

VARIABLES = {
    "": ["CLOUD=gcp", "STACK=staging"],
    "all variables": [
        *("CLOUD=gcp", "STACK=staging", "VERSION=abc", "BASE=HEAD", "TESTS=none", "P95_MS=1"),
        *("ERRORS=0.5", "ONLY=aws/create/kill-*", "SAMPLE=4", "SEED=7"),
    ],
}


@pytest.mark.parametrize("variables", VARIABLES.values(), ids=VARIABLES)
def test_each_command_of_the_makefile_is_parsed(variables: list[str]) -> None:
    targets = re.findall(
        r"^([a-z-]+):.*\n\t@.* -m operations ", (HOME / "Makefile").read_text(), re.M
    )
    assert {"up", "deliver", "release", "drift", "review", "drill", "crash"} <= set(targets)
    for target in targets:
        recipe = subprocess.run(
            ["make", "--dry-run", target, *variables],
            cwd=HOME, check=True, capture_output=True, text=True, timeout=60,
        ).stdout.splitlines()  # fmt: skip
        (command,) = (line for line in recipe if " -m operations " in line)
        words = shlex.split(command.partition(" -m operations ")[2])
        assert _parser().parse_args(words).run


@pytest.mark.parametrize("selection", [*gates.TESTS, "none"])
def test_each_selection_of_tests_can_be_chosen_for_a_delivery(selection: str) -> None:
    assert _parser().parse_args(["deliver", "--tests", selection]).tests == selection
