"""`make backup` copies the lake's data, and `make restore` copies it into a new platform, on any of the clouds.

``BACKUP`` names the place of the backup: a folder, or another lake's URI. Default for a stack of this clone: ``.backups``.
"""

from __future__ import annotations

import os

from operations.commands.check_account import refuse_unprepared_account
from operations.commands.model_versions import copy_models, other_models
from operations.commands.preparation import (
    ensure_models,
    prepare,
    read_settings,
    refuse_missing,
    refuse_unreadable_state,
)
from operations.commands.update import bring_up, refuse_losses, report_update
from operations.data import backup
from operations.data.backup import Copied, Overwritten
from operations.data.lake import Lake
from operations.data.lake_locations import open_lake
from operations.data.state_copy import (
    UnreadableCopy,
    lake_of,
    read_state_copy,
    stacks_with_copy,
    state_copy_name,
    write_state_copy,
)
from operations.engine import cloud_errors
from operations.engine.gateway import served_versions
from operations.engine.guards import allowed, refuse
from operations.engine.resources import stack_outputs
from operations.engine.stack import NamedStack
from operations.engine.state_signature import with_signature
from operations.recovery import copy_signature, kept_key
from operations.recovery.copy_search import ALLOW_WITHOUT_COPY, StateCopy
from operations.terminal import fail, say, waiting

MIB = 2**20
AGAIN = (
    "back it up again (`make backup` with the CLOUD= or STACK= of that platform, and this BACKUP=)"
)
ALLOW_OTHER_MODEL = "model"
"""The word that restores with other model versions than those that served: ``ALLOW=model``."""


def back_up(stack: NamedStack) -> None:
    """Copy the lake's objects that are new, or were written again since the last backup, and the state."""
    target = _backup_of(stack)
    stack.start()
    refuse_unreadable_state(stack)  # the backup has a copy of it
    refuse_missing(stack)
    source = lake_of(stack)
    if source is None:
        fail(f"Stack {stack.name} has no lake to back up.")
    result = copied(source, target, "all")
    # When a cloud is gone, only this knows which models served, and has the callers' key. It is encrypted.
    write_state_copy(target, stack.name, with_signature(stack, stack.export()))
    print(
        f"Backup: {result.copied} of {result.found} objects were new or changed, {result.size / MIB:.1f} MiB."
    )


def restore(stack: NamedStack) -> None:
    """Build the platform again if it is gone, and fill its lake from the backup. Existing objects stay.

    ``KEY=keep``: with the key of the platform that the backup is of, on whichever cloud that was.
    """
    keep_key = kept_key.is_wanted()
    source = _backup_of(stack)
    stack.start()
    former = _former_stack(source, stack)
    served = served_versions(stack_outputs(former[1].resources)) if former else {}
    if not copy_models(source, champions=served):
        fail("The backup is empty, or not at the place in BACKUP: nothing to restore from.")
    key = _former_key(stack, former) if keep_key else None
    ensure_models(stack)
    if ALLOW_OTHER_MODEL not in allowed():
        reasons = other_models(stack, read_settings(stack), served)
        refuse([f"{each}; or accept it: ALLOW={ALLOW_OTHER_MODEL}" for each in reasons])
    if key:
        refuse(kept_key.another_key(stack, key))
    config = prepare(stack, create=True)  # with the region its state may be gone
    refuse_unprepared_account(stack, config)
    refuse_losses(stack)
    if key:
        kept_key.put_key(stack, key)
    bring_up(stack)
    target = lake_of(stack)
    if target is None:
        fail(f"Stack {stack.name} came up without a lake: nowhere to restore to.")
    result = copied(source, target, "nothing")
    print(
        f"Restored {result.copied} of {result.found} objects, {result.size / MIB:.1f} MiB; the others exist already."
    )
    report_update(stack)


def copied(source: Lake, target: Lake, overwrite: Overwritten) -> Copied:
    """Copy one lake into another. Leaves with a reason if that stops."""
    result = Copied()

    def so_far() -> str:
        return f"{result.copied} of {result.found} objects so far, {result.size / MIB:.1f} MiB"

    try:
        with waiting("the copy of the lake", so_far):
            return backup.copy(source, target, overwrite=overwrite, result=result)
    except Exception as error:  # a full disk, an expired login: each client has errors of its own
        fail(
            f"The copy has stopped: {cloud_errors.reason_of_stop(error)}\nEach object that is there is whole, and the source is unchanged: the next"
            " run copies what is missing."
        )


def _former_stack(source: Lake, stack: NamedStack) -> tuple[str, StateCopy] | None:
    """The stack that the backup is of, with its state; None if an older version made the backup.

    Leaves with a reason unless that state was signed with the secret of its stack.
    """
    if ALLOW_WITHOUT_COPY in allowed():
        return None
    without = "the former model versions and key are then not known"
    names = stacks_with_copy(source)
    if len(names) > 1:
        fail(
            f"The backup is of several stacks: {', '.join(names)}. Which one's models and key are meant is not"
            " known. Nothing was changed. Give each stack a place of its own in BACKUP."
        )
    for name in names:
        try:
            found = read_state_copy(source, name)
        except UnreadableCopy as error:
            fail(
                f"The state in the backup, {state_copy_name(name)}, cannot be read: {error}. Nothing was changed."
                f" If the platform of stack {name} still exists: {AGAIN}. To go on without it:"
                f" ALLOW={ALLOW_WITHOUT_COPY} ({without})."
            )
        if found:
            copy = StateCopy.signed(f"the backup of stack {name}", found)
            copy_signature.refuse_unsigned(copy, name, stack, allowed(), without)
            say(f"the backup has the state of stack {name} of {copy.time}")
            return name, copy
    return None


def _former_key(stack: NamedStack, former: tuple[str, StateCopy] | None) -> str:
    if former is None:
        fail(
            "KEY=keep: this backup has no state, so it has no key: an older version made it, or ALLOW=without-copy leaves"
            " it out. Nothing was changed."
            f" If its platform still exists: {AGAIN}. Otherwise leave out KEY=keep: then the gateway gets a key of its own."
        )
    key = kept_key.key_in_copy(stack, *former)
    if key is None:
        fail(
            f"KEY=keep: the gateway of stack {former[0]} had no key (access: public). Nothing was changed."
            " Leave out KEY=keep."
        )
    return key


def _backup_of(stack: NamedStack) -> Lake:
    place = os.environ.get("BACKUP") or stack.backup
    if place is None:
        fail(
            f"BACKUP=… is missing: the place of the backup of stack {stack.name}, another bucket or a folder"
            " (s3://…, gs://…, https://<account>.blob.core.windows.net). Not in this clone, whose own stacks have their"
            " backups there."
        )
    try:
        return open_lake(place)
    except ValueError as error:
        fail(f"BACKUP={place}: {error} Nothing was changed.")
