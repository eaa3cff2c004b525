"""After an interrupted run: find out what the cloud has that the state does not know.

**The problem.** An engine is killed, or an answer is lost, after the cloud has created a resource and before its
id is in the state. To clear such an operation (``pulumi refresh --clear-pending-creates``) means to forget the
resource: the next run creates a second one, or is refused because the name is taken.

**What helps.** The engine has recorded the inputs, with the name that autonaming chose, and the id follows from
the inputs. So this module, in this order:

1. removes the stale lock of the exited process;
2. collects the operations with an unknown result from three sources: the pending operations in the state
   (the engine was killed); the event log of the last run (the engine lived on, and keeps nothing in the state
   about a create that failed); and the list that an interrupted recovery has left;
3. checks that the credentials belong to the stack's own account;
4. writes the list of these unresolved operations to a file, because a state that is written again loses its
   pending operations;
5. lets the engine read these resources from the cloud, and nothing else (`operations.recovery.probes`): what
   exists becomes part of the state, what does not exist is forgotten.

Each step can be interrupted, and begins again with the next run. Nothing is created, changed or deleted in the
cloud. When the cloud does not answer, nothing is assumed: the run is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.files import write_private
from config.schema import StackConfig
from operations.engine import account, guards
from operations.engine.resources import Resource, resource_name
from operations.engine.stack import Stack
from operations.engine.wire import SIGNATURE
from operations.recovery.deployment import Deployment
from operations.recovery.probes import PROBE_SUFFIX, probe, probes, without_probes
from operations.recovery.refusals import ALLOW_UNRESOLVED, OPERATIONS_UNREADABLE
from operations.terminal import say

Operation = dict[str, Any]
"""One of a state's ``pending_operations``: ``type`` (``creating``, …) and ``resource``. ``live``: the id that
the state had for this URN when a recovery recorded the operation."""


def recover(stack: Stack, config: StackConfig) -> None:
    """Remove the stale lock of an interrupted run, and resolve its operations with an unknown result."""
    stack.remove_stale_locks()
    state = stack.export()
    deployment = state.get("deployment") or {}
    unresolved = unresolved_operations(deployment, stack.unresolved_file)
    lost = lost_creations(deployment, unresolved, stack.event_log)
    if not unresolved and not lost:
        return
    # From here on the cloud is trusted more than the state, so it has to be the right one.
    guards.refuse(account.account_refusals(stack, config))
    if ALLOW_UNRESOLVED in guards.allowed():
        stack.import_state(state | {"deployment": without_probes(deployment)})
    else:
        count = max(len(unresolved), len(lost))
        say(f"the last run was interrupted in {count} operations; reading them from the cloud")
        write_private(stack.unresolved_file, json.dumps(unresolved))
        _resolve(stack, state, unresolved, lost)
    stack.event_log.unlink(missing_ok=True)
    stack.unresolved_file.unlink(missing_ok=True)


def _resolve(
    stack: Stack,
    state: dict[str, Any],
    unresolved: Iterable[Operation],
    lost: Collection[Resource],
) -> None:
    """Read the unresolved resources from the cloud, and nothing else, so that nothing else can leave the state."""
    changed = [each["resource"]["urn"] for each in unresolved if each["type"] != "creating"]
    since = run_start(stack.event_log)
    state, found = probe(stack, state, lost, OPERATIONS_UNREADABLE, others=changed, since=since)
    stack.import_state(state)
    for urn in found:
        say(f"the interrupted run has created it, and the state has it now: {resource_name(urn)}")


def unresolved_operations(deployment: Deployment, file: Path) -> list[Operation]:
    """The pending operations of the state, or those that an interrupted recovery has written to ``file``.

    If that recovery ran on another machine, which has the file, its probes are still in the state.
    """
    pending = deployment.get("pending_operations") or ()
    if not pending and file.exists():
        return list(json.loads(file.read_text()))
    probed = (
        {"type": "creating", "resource": {**each, "urn": each["urn"].removesuffix(PROBE_SUFFIX)}}
        for each in probes(deployment)
    )
    ids = _ids_by_urn(deployment)
    return [{**each, "live": ids.get(each["resource"]["urn"])} for each in (*probed, *pending)]


def lost_creations(
    deployment: Deployment, unresolved: Iterable[Operation], events: Path
) -> list[Resource]:
    """What was being created when the last run ended, unless another run has created it since.

    An engine that `make` did not start writes no such log: it may have created another resource since.
    """
    ids = _ids_by_urn(without_probes(deployment))
    creations = [
        *_failed_creations(
            events
        ),  # first, so that the others win: the log has `[secret]` for secrets
        *((each["resource"], each["live"]) for each in unresolved if each["type"] == "creating"),
    ]
    current = (each for each, old_id in creations if ids.get(each["urn"]) in (None, old_id))
    return list({each["urn"]: each for each in current}.values())


def _ids_by_urn(deployment: Deployment) -> dict[str, str | None]:
    """The ids that the state has, by URN, of what is not about to be deleted."""
    resources = deployment.get("resources") or ()
    return {each["urn"]: each.get("id") for each in resources if not each.get("delete")}


def _failed_creations(events: Path) -> Iterator[tuple[Resource, str | None]]:
    """What the last run could not create, and the id of the resource that it was to replace.

    The last line can be incomplete, if the run was killed.
    """
    for line in events.read_text().splitlines() if events.exists() else ():
        try:
            metadata = json.loads(line)["resOpFailedEvent"]["metadata"]
        except (ValueError, KeyError):
            continue
        if metadata["op"] in ("create", "create-replacement"):
            new = metadata["new"]
            kept = ("urn", "type", "custom", "parent", "provider", "inputs")
            resource = {name: _without_ciphertexts(new[name]) for name in kept if new.get(name)}
            yield resource, (metadata.get("old") or {}).get("id")


def _without_ciphertexts(value: Any) -> Any:
    """The value with the plain word ``[secret]`` where the log has it as a ciphertext, which no state accepts.

    The refresh reads the real value. If a provider does not return it, the next update writes it again.
    """
    if isinstance(value, dict):
        if SIGNATURE in value and "ciphertext" in value:
            return value["ciphertext"]
        return {name: _without_ciphertexts(each) for name, each in value.items()}
    return [_without_ciphertexts(each) for each in value] if isinstance(value, list) else value


def run_start(events: Path) -> datetime | None:
    """When the last run began, by its event log; None without one."""
    if not events.exists():
        return None
    with events.open() as lines:
        try:
            return datetime.fromtimestamp(json.loads(next(lines, ""))["timestamp"], UTC)
        except (ValueError, KeyError):
            return None
