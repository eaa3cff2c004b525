"""`make backup` copies the lake's data, and `make restore` copies it into a new platform.

``BACKUP`` names the place of the backup: a folder, or another lake's URI. Default for a stack of this clone: ``.backups``.
"""

from __future__ import annotations

import os

from components.contracts import Zone
from config.model_store import STORE
from operations.commands.preparation import prepare, refuse_missing
from operations.commands.update import bring_up, report_update
from operations.data import backup
from operations.data.folder_lake import FolderLake
from operations.data.lake import Lake
from operations.data.lake_locations import open_lake
from operations.data.state_copy import lake_of
from operations.engine.stack import NamedStack
from operations.terminal import fail

MIB = 2**20


def back_up(stack: NamedStack) -> None:
    """Copy the lake's objects that are new, or were written again since the last backup."""
    target = _backup_of(stack)
    stack.start()
    refuse_missing(stack)
    source = lake_of(stack)
    if source is None:
        fail(f"Stack {stack.name} has no lake to back up.")
    found, copied, size = backup.copy(source, target, update=True)
    print(f"Backup: {copied} of {found} objects were new or changed, {size / MIB:.1f} MiB.")


def restore(stack: NamedStack) -> None:
    """Build the platform again if it is gone, and fill its lake from the backup. Existing objects stay."""
    source = _backup_of(stack)
    _restore_model_store(source)
    prepare(stack, create=True)  # with the region its state may be gone
    bring_up(stack)
    target = lake_of(stack)
    if target is None:
        fail(f"Stack {stack.name} came up without a lake: nowhere to restore to.")
    found, copied, size = backup.copy(source, target)
    print(f"Restored {copied} of {found} objects, {size / MIB:.1f} MiB; the others exist already.")
    report_update(stack)


def _restore_model_store(source: Lake) -> None:
    """Copy the backup's models that this clone does not have: the platform is built with one of them."""
    names = list(source.names(f"{Zone.MODELS}/"))
    if not names:
        fail("The backup is empty, or not at the place in BACKUP: nothing to restore from.")
    store = FolderLake(STORE)
    existing = set(store.names())
    for name in names:
        file = name.removeprefix(f"{Zone.MODELS}/")
        if file and file not in existing and (data := source.read(name)) is not None:
            store.write(file, data)


def _backup_of(stack: NamedStack) -> Lake:
    place = os.environ.get("BACKUP") or stack.backup
    if place is None:
        fail(
            f"BACKUP=… is missing: the place of the backup of stack {stack.name}, another bucket or a folder"
            " (s3://…, gs://…, https://<account>.blob.core.windows.net). Not in this clone, whose own stacks have their"
            " backups there."
        )
    return open_lake(place)
