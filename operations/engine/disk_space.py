"""Free disk space for an update. Pulumi's state is cut off half-written on a full disk.

What a person sees and does: docs/reference/refusals.md.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from config.model_store import STORE
from operations.engine.installation import HOME
from rehearsal.supervisor import state_folder

MIB = 2**20
REQUIRED = 64 * MIB
"""Free space on each disk before a run begins. A first `make up` writes 4 MiB on AWS, 4 on Google Cloud and
8 on Azure, and a delivery twice that."""
MINIMUM = 16 * MIB
"""With less than this the engine is stopped. On a full disk it overwrites the state and its previous copy with
the first half of the new state. What it writes while it stops is not a tenth of this."""


def written_folders() -> tuple[Path, ...]:
    """The folders in which an update writes: the state, the rehearsal's clouds, the models."""
    return HOME / ".pulumi", state_folder(HOME), STORE


def disk_shortages(required: int = REQUIRED) -> list[str]:
    """Reasons to refuse or to stop: each disk with less free space than ``required`` bytes."""
    short: dict[int, tuple[Path, int]] = {}
    for folder in written_folders():
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(existing).free
        if free < required:
            short.setdefault(existing.stat().st_dev, (folder, free))
    return [
        f"the disk with {folder} has {free / MIB:.1f} MiB free, and an update needs"
        f" {required // MIB}, so that nothing is cut off half-written. Make room there and run the same"
        " command again"
        for folder, free in short.values()
    ]
