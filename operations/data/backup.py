"""Copies that outlast a disaster: of the stack's state in its own lake, of the lake in another place.

The first is made by every `make up`, and `make adopt` finds it when the state is lost. The second is made
by `make backup`, and `make restore` fills a new lake from it when the region is lost.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from components.contracts import Zone
from operations.data.lake import Found, Lake

CARRIED = (Zone.RAW, Zone.CURATED, Zone.CAPTURES, Zone.MODELS)
"""What only the lake has. Builds are made anew from the repository; the state's copy describes
resources that went with the region."""
SKEW = timedelta(minutes=15)
"""How much later than an object's last change a copy must have been made to be believed: the two stores'
clocks differ, and the object may have been written again while it was copied."""


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


def copy(source: Lake, target: Lake, *, again: bool = False) -> tuple[int, int, int]:
    """Copy what is missing in the target, zone by zone: objects found, copied, and bytes copied.

    ``again``: what was written again since its copy was made, too.
    """
    found = copied = size = 0
    for zone in CARRIED:
        there = {each.name: each for each in target.objects(f"{zone}/")}
        for each in source.objects(f"{zone}/"):
            found += 1
            held = there.get(each.name)
            if held and not (again and changed(each, held)):
                continue
            data = source.read(each.name)
            if data is not None:  # else a lifecycle rule was quicker
                # With the time of the listing: what is written after it is copied the next time.
                target.write(each.name, data, each.changed)
                copied, size = copied + 1, size + len(data)
    return found, copied, size


def changed(original: Found, copy: Found) -> bool:
    """Whether an object may be another than the one that was copied, by what the listings say.

    Nothing is read for it. The hashes decide only when they are the same: one that was made with a key of
    KMS's is as long, and no MD5. If in doubt it is copied once more.
    """
    if original.size != copy.size:
        return True
    if copy.kept:
        return original.changed != copy.kept
    if original.md5 and original.md5 == copy.md5:
        return False
    return original.changed + SKEW > copy.changed
