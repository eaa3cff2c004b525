"""The scenarios by name, CLOUD/OPERATION/FAULT, and the choice of them with ONLY=."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from typing import NoReturn

from operations.crash.faults import FAULTS
from operations.crash.steps import OPERATIONS
from operations.engine.rehearsed_stack import unknown_cloud

Scenario = tuple[str, str]
"""An operation and the name of a fault."""


def all_scenarios() -> list[Scenario]:
    """Operations and faults, mixed so that the first eleven scenarios have all of both."""
    faults = list(FAULTS)
    mixed = [
        (OPERATIONS[at % len(OPERATIONS)], faults[at % len(faults)])  # 4 and 11 share no divisor
        for at in range(len(OPERATIONS) * len(faults))
    ]
    mixed.remove(("delete", "kill-before"))  # the engine requests no check before it deletes
    return mixed


def scenarios_of(cloud: str, only: str) -> list[Scenario]:
    """The scenarios of a cloud whose name matches the pattern."""
    return [each for each in all_scenarios() if fnmatch("/".join((cloud, *each)), only)]


def selected_clouds(clouds: Sequence[str], only: str) -> list[str]:
    """The clouds with a scenario that matches the pattern; exits with 2 if there is none at all."""
    for cloud in clouds:
        if problem := unknown_cloud(cloud):
            exit_with_usage(problem)
    selected = [cloud for cloud in clouds if scenarios_of(cloud, only)]
    if not selected:
        exit_with_usage(
            f"ONLY={only}: no such scenario. A scenario's name is CLOUD/OPERATION/FAULT:\n"
            f"  cloud      {', '.join(clouds)}\n"
            f"  operation  {', '.join(OPERATIONS)}\n"
            f"  fault      {', '.join(FAULTS)}\n"
            "* matches any of them: ONLY='*/update/kill-*'. Only delete/kill-before does not exist: before it"
            " deletes, the engine requests no check."
        )
    return selected


def exit_with_usage(text: str) -> NoReturn:
    """Exit with 2, as for any other wrong word on the command line."""
    print(text, file=sys.stderr)
    sys.exit(2)
