"""Copies that outlast a disaster: of the stack's state in its own lake, of the lake in another place.

The first is made by every `make up`, and `make adopt` finds it when the state is lost. The second is made
by `make backup`, and `make restore` fills a new lake from it when the region is lost.
"""

from __future__ import annotations

import json
from typing import Any

from components.contracts import Zone
from tools.lake import Lake

CARRIED = (Zone.RAW, Zone.CURATED, Zone.CAPTURES, Zone.MODELS)
"""What only the lake has. Builds are made anew from the repository; the state's copy describes
resources that went with the region."""


def state_name(stack: str) -> str:
    """Where a stack's state lies in its lake."""
    return f"{Zone.STATE}/triplane/{stack}.json"


def keep_state(lake: Lake, stack: str, state: dict[str, Any]) -> None:
    """Copy an exported state into the lake; its secrets stay encrypted. Versions keep the former ones."""
    lake.write(state_name(stack), json.dumps(state, sort_keys=True).encode())


def kept_state(lake: Lake, stack: str) -> dict[str, Any] | None:
    """The state that a lake holds of a stack."""
    found = lake.read(state_name(stack))
    return None if found is None else json.loads(found)


def copy(source: Lake, target: Lake) -> tuple[int, int, int]:
    """Copy what is missing in the target, zone by zone: objects found, copied, and bytes copied.

    By name alone: every object of these zones is written once, under a name of its own.
    """
    found = copied = size = 0
    for zone in CARRIED:
        there = set(target.names(f"{zone}/"))
        for name in source.names(f"{zone}/"):
            found += 1
            if name in there:
                continue
            data = source.read(name)
            if data is not None:  # else a lifecycle rule was quicker
                target.write(name, data)
                copied, size = copied + 1, size + len(data)
    return found, copied, size
