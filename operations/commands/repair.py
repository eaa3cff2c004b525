"""`make repair`, `adopt`, `backup` and `restore`: the ways back, each of them one command."""

from __future__ import annotations

import os
import shutil
import sys

from components.contracts import Zone
from config import schema
from config.model_store import STORE
from operations.commands.deploy import apply, check, guard, prepare, start_rehearsal, tell, train
from operations.data import backup
from operations.data.folder_lake import FolderLake
from operations.data.lake import Lake
from operations.data.lake_locations import open_lake
from operations.data.state_copy import lake_of
from operations.engine import account, guards, previews
from operations.engine.guards import allowed, refuse
from operations.engine.installation import HOME
from operations.engine.resources import resource_type
from operations.engine.stack import Stack
from operations.engine.state_file import intact_copies
from operations.recovery import importer, interrupted_run, state_copies
from operations.recovery.discovered_resource import stack_tags
from operations.recovery.trial_stack import trial_stack
from operations.terminal import fail, say


def look(stack: Stack, config: schema.StackConfig) -> dict[str, list[str]]:
    """The drift, printed; refuses to believe what the wrong account shows, or a cloud without a stack."""
    refuse(account.another_account(stack, config))
    steps = stack.steps("refresh", "--preview-only")
    found = previews.drift(steps)
    for urn, properties in found.items():
        print(f"  {resource_type(urn)} {urn.rsplit('::', 1)[-1]}: {', '.join(properties)}")
    refuse(guards.refresh_losses(steps, allowed()))
    print(f"{len(found)} of {len(steps)} resources are not as the state has them.")
    return found


def repair(stack: Stack) -> None:
    """Take note of the drift, then bring everything back to what the program says."""
    look(stack, prepare(stack))
    stack.pulumi("refresh", "--yes", "--skip-preview", "--suppress-outputs")
    guard(stack)
    apply(stack)
    tell(stack)


def take_over(stack: Stack) -> None:
    """Put the newest copy of the state in place of the lost one, and see that it fits what stands."""
    start_rehearsal()
    train()
    config = check(stack)
    os.environ.update(stack.environment)
    wrong = stack.state_problem()
    if not wrong and stack.exists() and stack.resources():
        fail(f"Stack {stack.name} has its state: there is nothing to adopt. See `make preview`.")
    stack.remove_stale_locks()
    copy = state_copies.newest_copy(
        state_copies.newest_lake_copy(config, stack.name), intact_copies(stack.state, stack.name)
    )
    if wrong:
        say(wrong)
    drift: dict[str, list[str]] = {}
    # Until it is known to be this account's, and to fit what stands, nothing of the clone is touched.
    with trial_stack(stack, copy) as tried:
        if copy:
            say(f"adopting the resources in the copy {copy.place} of {copy.time}")
            interrupted_run.recover(tried, config)
            drift = look(tried, config)
            tried.pulumi("refresh", "--yes", "--skip-preview", "--suppress-outputs")
        else:
            say("there is no copy of the state: looking for what stands by its names and tags")
        result = importer.import_resources(tried, config)
        if not copy and not result.imported:
            tags = ", ".join(f"{k}={v}" for k, v in stack_tags(config, stack.name).items())
            fail(
                f"No lake of {config.cloud} that these credentials can see holds a state of stack"
                f" {stack.name}, Pulumi has kept no whole copy, and nothing stands that carries its tags"
                f" ({tags}). Right account and project? If the region is gone: make restore. If it was the"
                " first `make up` that was cut off, nothing is left of it: make up"
            )
        if wrong:
            aside = stack.state.with_suffix(".broken")
            shutil.copyfile(stack.state, aside)
            say(f"the broken state is kept as {aside.name}")
        tried.replace_state_of(stack)
    say(f"it is stack {stack.name}'s state now; this is what the program would change")
    changes = [step for step in result.steps if step["op"] != "same"]
    creates = [step for step in changes if step["op"] == "create"]
    replaced = [step for step in changes if "replace" in step["op"]]
    for step in (*creates, *replaced):
        seen = "is gone" if drift.get(step["urn"]) == ["gone"] else "was not found"
        why = ", ".join(step.get("replaceReasons") or ()) or seen
        print(
            f"  {step['op']} {resource_type(step['urn'])} {step['urn'].rsplit('::', 1)[-1]}: {why}"
        )
    print(
        f"Adopted {len(stack.resources())} resources. The program would now create {len(creates)},"
        f" replace {len(replaced)} and change {len(changes) - len(creates) - len(replaced)}."
    )
    # What it would replace is in the state, and stands: the program has changed since the copy was
    # written, and `make up` guards what is precious.
    if any(drift.get(step["urn"]) != ["gone"] for step in creates):
        sys.exit(
            "What was not found may stand all the same, with other tags or another name. See to it before"
            " `make up`, which would make another."
        )
    print("`make up` brings the outputs back, and the copy of the state.")


def folder(stack: Stack) -> Lake:
    """Where the backup is: ``BACKUP``, a folder or another lake's URI."""
    return open_lake(os.environ.get("BACKUP") or str(HOME / ".backups" / stack.name))


def keep(stack: Stack) -> None:
    """Copy to the backup what it has not yet of the lake, and what was written again since."""
    start_rehearsal()
    source = lake_of(stack)
    if source is None:
        fail(f"Stack {stack.name} has no lake to back up.")
    found, copied, size = backup.copy(source, folder(stack), update=True)
    print(f"Backup: {copied} of {found} objects were new or changed, {size / 2**20:.1f} MiB.")


def restore(stack: Stack) -> None:
    """Build the platform anew, if it is gone, and fill its lake from the backup; what is there stays."""
    copies, store = folder(stack), FolderLake(STORE)
    names = list(copies.names(f"{Zone.MODELS}/"))
    if not names:
        fail("The backup is empty, or not where BACKUP says: nothing to restore from.")
    there = set(store.names())
    for name in names:
        file = name.removeprefix(f"{Zone.MODELS}/")
        if file and file not in there and (data := copies.read(name)) is not None:
            store.write(file, data)
    prepare(stack)
    apply(stack)
    target = lake_of(stack)
    if target is None:
        fail(f"Stack {stack.name} came up without a lake: nowhere to restore to.")
    found, copied, size = backup.copy(copies, target)
    print(f"Restored {copied} of {found} objects, {size / 2**20:.1f} MiB; the others stood.")
    tell(stack)


COMMANDS = {
    "repair": repair,
    "adopt": take_over,
    "backup": keep,
    "restore": restore,
}
