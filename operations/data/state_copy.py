"""The copy of a stack's state in its own lake: every `make up` writes it, and `make adopt` reads it.

The copy's secrets stay encrypted, as Pulumi exports them, and it is signed (`operations.engine.state_signature`). The
lake's versions keep the previous copies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from components.contracts import Zone
from operations.data.lake import Lake
from operations.data.lake_locations import open_lake
from operations.engine.resources import stack_outputs
from operations.engine.stack import Stack
from operations.engine.state_contents import parsed_state
from operations.engine.state_signature import with_signature
from operations.terminal import say, waiting


class UnreadableCopy(Exception):
    """A copy is there, and is not a state that can be read. The message has the reason."""


def state_copy_name(stack: str) -> str:
    """The name of the object that holds a stack's state."""
    return f"{Zone.STATE}/triplane/{stack}.json"


def write_state_copy(lake: Lake, stack: str, copy: dict[str, Any]) -> None:
    """Write an exported state, with its signature, into the lake."""
    lake.write(state_copy_name(stack), json.dumps(copy, sort_keys=True).encode())


def read_state_copy(lake: Lake, stack: str) -> dict[str, Any] | None:
    """The state that a lake holds of a stack, with its signature; None if it holds none with resources.

    Raises `UnreadableCopy`.
    """
    found = lake.read(state_copy_name(stack))
    if found is None:
        return None
    try:
        copy = parsed_state(found)
        if not copy["deployment"].get("resources"):
            return None
        datetime.fromisoformat(copy["deployment"]["manifest"]["time"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = error if isinstance(error, ValueError) else "it is not a state of Pulumi"
        raise UnreadableCopy(str(reason)) from None
    return dict(copy)


def stacks_with_copy(lake: Lake) -> list[str]:
    """The stacks whose state a lake or a backup holds."""
    folder = f"{Zone.STATE}/triplane/"
    return [Path(name).stem for name in lake.names(folder)]


def lake_of(stack: Stack) -> Lake | None:
    """The stack's lake, if its state has one."""
    return _lake_among(stack.resources(), stack)


def copy_state_into_lake(stack: Stack) -> dict[str, Any] | None:
    """Copy the stack's state into its lake; the state. A failure is only reported, and is None: the stack itself is up."""
    try:
        state = stack.export()
        resources = (state.get("deployment") or {}).get("resources") or ()
        if lake := _lake_among(resources, stack):
            with waiting("the lake, which gets a copy of the state"):
                write_state_copy(lake, stack.name, with_signature(stack, state))
        return state
    # Each cloud's client has errors of its own, and Pulumi's end the run: this one has its own end already.
    except (Exception, SystemExit) as error:
        say(f"the lake has no copy of the current state, only an older one: {error}")
        return None


def _lake_among(resources: Iterable[dict[str, Any]], stack: Stack) -> Lake | None:
    """The lake that the stack's output names: it is in the exported state, with everything else."""
    if not (uri := stack_outputs(resources).get("lake_uri")):
        return None
    os.environ.update(stack.environment)  # the clouds' clients read nothing else
    return open_lake(uri)
