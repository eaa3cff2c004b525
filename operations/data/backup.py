"""Copies of a lake's data in another lake or a folder.

`make backup` copies a lake, `make restore` fills a new lake from the copy when a region or a cloud is lost, and
`make move` fills another cloud's lake while the first one is still in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from components.contracts import Zone
from operations.data.lake import Lake, StoredObject

ZONES = tuple(zone for zone in Zone if zone not in (Zone.BUILDS, Zone.STATE))
"""The zones whose data exists only in the lake. Builds are built again from the repository. The copy of the
state describes resources that are lost with the region."""
SKEW = timedelta(minutes=15)
"""How much later than its original a copy must have been written to count as up to date. The two stores'
clocks differ, and an object may be written again while it is copied."""

Overwritten = Literal["nothing", "copies", "all"]
"""Which existing objects of the target are overwritten once the original was written again: none of them, those
that an earlier run has copied, or all of them, also those that no run has marked as a copy."""


@dataclass
class Copied:
    """What a run has found and copied."""

    found: int = 0
    copied: int = 0
    size: int = 0
    """Bytes copied."""
    kept: int = 0
    """Objects that the target has of its own, with another content than the source's, and that it keeps."""


def copy(
    source: Lake,
    target: Lake,
    *,
    overwrite: Overwritten = "nothing",
    result: Copied | None = None,
) -> Copied:
    """Copy objects that are missing in the target, zone by zone, and those that were written again since.

    Each object is written as a whole, so that an interrupted run is continued by the next one. ``result`` is counted up
    meanwhile.
    """
    result = result or Copied()
    for zone in ZONES:
        existing = {each.name: each for each in target.objects(f"{zone}/")}
        for each in source.objects(f"{zone}/"):
            result.found += 1
            former = existing.get(each.name)
            if former and (overwrite == "nothing" or is_same(each, former)):
                continue
            if former:
                copied = target.original_written(each.name)
                if copied is None and overwrite == "copies":
                    result.kept += 1
                    continue
                if not may_differ(each, former, copied):
                    continue
            data = source.read(each.name)
            if data is not None:  # otherwise a lifecycle rule has deleted it meanwhile
                # With the time from the listing: an object that is written later is copied the next time.
                target.write(each.name, data, each.written)
                result.copied, result.size = result.copied + 1, result.size + len(data)
    return result


def is_same(original: StoredObject, copy: StoredObject) -> bool:
    """Whether the listings prove that both have the same content.

    Equal hashes prove it. Different hashes prove nothing: a hash made with a key of KMS has the same length, and
    is no MD5.
    """
    return original.size == copy.size and bool(original.md5) and original.md5 == copy.md5


def may_differ(original: StoredObject, copy: StoredObject, copied: datetime | None) -> bool:
    """Whether an object may have been written again since it was copied. In doubt it is copied once more.

    ``copied``: when the original was last written, as the copy has it; None if an older version made the copy.
    """
    if original.size != copy.size:
        return True
    if copied:
        return original.written != copied
    return original.written + SKEW > copy.written
