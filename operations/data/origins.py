"""Which lakes a lake has been filled from: `make move` records it, so that a later run knows its own data again."""

from __future__ import annotations

import json
from collections.abc import Iterator

from components.contracts import Zone
from operations.data.backup import ZONES
from operations.data.lake import Lake

ORIGINS = f"{Zone.STATE}/moved-from.json"
"""The object with the URIs. No workload may write there."""


def origins(lake: Lake) -> list[str]:
    """The URIs of the lakes that this lake has been filled from."""
    found = lake.read(ORIGINS)
    return list(json.loads(found)) if found else []


def add_origin(lake: Lake, uri: str) -> None:
    """Record that this lake is filled from the one with this URI."""
    if uri not in (known := origins(lake)):
        lake.write(ORIGINS, json.dumps([*known, uri]).encode())


def foreign_objects(target: Lake, source: Lake) -> Iterator[str]:
    """The data in the target that is not in the source. Models are none: the program itself has written one there."""
    for zone in ZONES:
        if zone != Zone.MODELS:
            names = set(source.names(f"{zone}/"))
            yield from (each for each in target.names(f"{zone}/") if each not in names)
