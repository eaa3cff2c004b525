"""Backups: the data of one lake, copied into another lake or a folder.

`make backup` copies the lake, and `make restore` fills a new lake from the copy when a region is lost.
"""

from __future__ import annotations

from datetime import timedelta

from components.contracts import Zone
from operations.data.lake import Lake, StoredObject

ZONES = (Zone.RAW, Zone.CURATED, Zone.CAPTURES, Zone.MODELS)
"""The zones whose data exists only in the lake. Builds are built again from the repository. The copy of the
state describes resources that are lost with the region."""
SKEW = timedelta(minutes=15)
"""How much later than its original a copy must have been written to count as up to date. The two stores'
clocks differ, and an object may be written again while it is copied."""


def copy(source: Lake, target: Lake, *, update: bool = False) -> tuple[int, int, int]:
    """Copy objects that are missing in the target, zone by zone: the objects found, copied, and bytes copied.

    ``update``: also those that were written again since they were copied.
    """
    found = copied = size = 0
    for zone in ZONES:
        existing = {each.name: each for each in target.objects(f"{zone}/")}
        for each in source.objects(f"{zone}/"):
            found += 1
            former = existing.get(each.name)
            if former and not (update and may_differ(each, former)):
                continue
            data = source.read(each.name)
            if data is not None:  # otherwise a lifecycle rule has deleted it meanwhile
                # With the time from the listing: an object that is written later is copied the next time.
                target.write(each.name, data, each.written)
                copied, size = copied + 1, size + len(data)
    return found, copied, size


def may_differ(original: StoredObject, copy: StoredObject) -> bool:
    """Whether an object may have been written again since it was copied, judged by the listings alone.

    Equal hashes prove that it was not. Different hashes prove nothing: a hash made with a key of KMS has the
    same length, and is no MD5. In doubt the object is copied once more.
    """
    if original.size != copy.size:
        return True
    if copy.original_written:
        return original.written != copy.original_written
    if original.md5 and original.md5 == copy.md5:
        return False
    return original.written + SKEW > copy.written
