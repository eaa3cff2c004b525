"""`make adopt`: take over the existing platform when Pulumi's state is lost or broken.

The newest copy of the state is tried on a trial stack, refreshed, and completed with what exists in the cloud and
is not in the copy. Until all of that has succeeded, nothing of the stack is changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from config.schema import StackConfig
from operations.commands.preparation import ensure_models, read_settings
from operations.commands.repair import drift_to_repair, refresh
from operations.engine.guards import allowed
from operations.engine.previews import Step
from operations.engine.resources import resource_name, resource_type
from operations.engine.stack import NamedStack
from operations.recovery import copy_search, copy_signature, importer, interrupted_run
from operations.recovery.copy_search import StateCopy
from operations.recovery.discovered_resource import stack_tags
from operations.recovery.refusals import lakes_unreadable
from operations.recovery.trial_stack import TrialStack, trial_stack
from operations.terminal import fail, say


def adopt(stack: NamedStack) -> None:
    """Replace the lost state by its newest copy, completed by what exists in the cloud."""
    stack.start()
    ensure_models(stack)
    config = read_settings(stack)
    os.environ.update(stack.environment)
    problem = stack.state_problem()
    if not problem and stack.exists() and not stack.is_empty():
        fail(
            f"Stack {stack.name} has its state: there is nothing to adopt. See `{stack.make('preview')}`."
        )
    if reason := stack.not_adoptable():
        fail(reason)
    stack.remove_stale_locks()
    if problem:
        say(problem)
    copy = _newest_copy(stack, config)
    with trial_stack(stack, copy) as trial:
        drift = _adopt_copy(trial, config, copy)
        result = importer.import_resources(trial, config)
        if not copy and not result.imported:
            _fail_without_resources(stack, config)
        if problem:
            stack.set_broken_state_aside()
        trial.replace_state_of(stack)
    say(f"it is stack {stack.name}'s state now; this is what the program would change")
    _report_adoption(stack, result.steps, drift)


def _newest_copy(stack: NamedStack, config: StackConfig) -> StateCopy | None:
    """The newest copy that can be trusted: the lake's has to be signed. Leaves with a reason if that one is not."""
    try:
        in_lake = (
            None
            if copy_search.ALLOW_WITHOUT_COPY in allowed()
            else copy_search.newest_lake_copy(config, stack.name)
        )
    except copy_search.BrokenCopy as broken:
        fail(
            f"Refused: the copy of the state of stack {stack.name} in {broken.place} cannot be read: {broken.reason}. Nothing"
            f" was changed. To go on without it: ALLOW={copy_search.ALLOW_WITHOUT_COPY}"
        )
    except Exception as error:  # each cloud's client has errors of its own
        fail(lakes_unreadable(config.cloud, error))
    newest = copy_search.newest_copy(in_lake, stack.kept_copies())
    if newest and newest is in_lake:
        without = "the resources are found by their names and tags"
        copy_signature.refuse_unsigned(newest, stack.name, stack, allowed(), without)
        copy_signature.report_replay(newest, stack.name)
    return newest


def _adopt_copy(
    trial: TrialStack, config: StackConfig, copy: StateCopy | None
) -> dict[str, list[str]]:
    """Recover and refresh the copy of the state, if there is one; returns the drift since it was written."""
    if copy is None:
        say("there is no copy of the state: looking for existing resources by their names and tags")
        return {}
    say(f"adopting the resources in the copy {copy.place} of {copy.time}")
    interrupted_run.recover(trial, config)
    drift = drift_to_repair(trial, config)
    refresh(trial)
    return drift


def _fail_without_resources(stack: NamedStack, config: StackConfig) -> NoReturn:
    tags = ", ".join(f"{k}={v}" for k, v in stack_tags(config, stack.name).items())
    fail(
        f"No lake of {config.cloud} that these credentials can see holds a state of stack"
        f" {stack.name}, Pulumi has kept no intact copy, and no resource exists that carries its tags"
        f" ({tags}). Right account and project? If the region is gone: {stack.make('restore')}. If it was"
        f" the first `{stack.make('up')}` that was interrupted, nothing is left of it: {stack.make('up')}"
    )


def _report_adoption(
    stack: NamedStack, steps: Sequence[Step], drift: Mapping[str, Sequence[str]]
) -> None:
    """Print what the program would change. Leaves with 1 if it would create what may exist already."""
    changes = [step for step in steps if step["op"] != "same"]
    creates = [step for step in changes if step["op"] == "create"]
    replaces = [step for step in changes if "replace" in step["op"]]
    missing = {urn for urn, properties in drift.items() if properties == ["gone"]}
    for step in (*creates, *replaces):
        urn = step["urn"]
        found = "is gone" if urn in missing else "was not found"
        why = ", ".join(step.get("replaceReasons") or ()) or found
        print(f"  {step['op']} {resource_type(urn)} {resource_name(urn)}: {why}")
    print(
        f"Adopted {len(stack.resources())} resources. The program would now create {len(creates)},"
        f" replace {len(replaces)} and change {len(changes) - len(creates) - len(replaces)}."
    )
    # What it would replace is in the state, and exists: the program has changed since the copy was
    # written. `make up` guards the precious resources among them.
    if any(step["urn"] not in missing for step in creates):
        sys.exit(
            "What was not found may exist all the same, with other tags or another name. Look for it before"
            f" `{stack.make('up')}`, which would create another."
        )
    print(f"`{stack.make('up')}` brings the outputs back, and the copy of the state.")
