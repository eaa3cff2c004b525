"""After a run that was cut short: learn what the cloud has made that the state does not know.

When the engine is killed, or an answer is lost, the cloud may have made what was asked for, and nobody
took down its id. To clear such an operation (``pulumi refresh --clear-pending-creates``) is to forget
it: the next run makes a second one, or is refused because the name is taken. But the engine did take
down the inputs, the name that autonaming chose among them, and from those the id follows. So it is put
into the state for the engine to look (a refresh): what is there stays, what is not there goes again.

Three witnesses: the pending operations in the state (the engine was killed), the event log of the last
run (the engine lived on; for a create that failed it keeps nothing in the state), and, if a recovery was
itself cut short, the list of doubts that it wrote down first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.schema import StackConfig
from operations.engine import account, guards, preflight
from operations.engine.stack import Stack
from operations.recovery.physical_ids import AS_ASKED, Resource, physical_id
from operations.terminal import fail, say
from rehearsal.core.assets import SIGNATURE
from rehearsal.core.files import write_private
from rehearsal.core.wire import DEFAULTS

LOOKING = "--was-it-made"
"""Ends the name of what is only being looked for; a replacement has its predecessor's URN."""
UNSEEN = "unseen"
"""The word that goes on without having looked: ``ALLOW=unseen``."""

Operation = dict[str, Any]
"""One of a state's ``pending_operations``: ``type`` (``creating``, …) and ``resource``. ``live``: the id that
the state had for it when a recovery wrote it down."""


def recover(stack: Stack, config: StackConfig) -> None:
    """Clean up after a run that was killed: its lock, and operations whose end nobody saw."""
    stack.unlock()
    state = stack.export()
    deployment = without_looks(state.get("deployment") or {})
    doubts = noted(state.get("deployment") or {}, stack.doubts)
    lost = unfinished(deployment, doubts, stack.events)
    if not doubts and not lost:
        return
    # What follows believes the cloud more than the state: first of all, is it the right one?
    guards.refuse(account.another(stack, config))
    if UNSEEN in guards.allowed():
        stack.write(state | {"deployment": deployment})
    else:
        say(f"a run was cut short in {max(len(doubts), len(lost))} operations; asking the cloud")
        # A state that is written anew has no pending operations any more.
        write_private(stack.doubts, json.dumps(doubts))
        look(stack, state, deployment, doubts, lost)
    stack.events.unlink(missing_ok=True)
    stack.doubts.unlink(missing_ok=True)


def look(
    stack: Stack,
    state: dict[str, Any],
    deployment: dict[str, Any],
    doubts: Iterable[Operation],
    lost: Collection[Resource],
) -> None:
    """Ask the cloud for what is in doubt, and for nothing else: what was not cannot be dropped."""
    looking = look_for(deployment, lost)
    unclear = [each["urn"] for each in looks(looking)]
    unclear += [each["resource"]["urn"] for each in doubts if each["type"] != "creating"]
    state, found = ask(stack, state, looking, unclear, lost, UNCLEAR, began(stack.events))
    stack.write(state)
    for urn in found:
        say(f"it had been made, and is the stack's now: {_name(urn)}")


UNCLEAR = (
    "Refused: the cloud did not tell whether {names} were made or changed by the run that was"
    " cut short; its reason is above. Nothing in the cloud was changed. Run the same command again once it"
    " can be asked, with credentials that may read them; to go on without knowing, so that what"
    f" was made may be made twice: ALLOW={UNSEEN}"
)


def ask(
    stack: Stack,
    state: dict[str, Any],
    looking: dict[str, Any],
    unclear: Iterable[str],
    asked: Iterable[Resource],
    refusal: str,
    since: datetime | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Have the engine read these URNs: the state with what is there, yet to be written, and what was found.

    Leaves with ``refusal``, which names them, when the cloud does not tell.
    """
    there = {each["urn"] for each in looking["resources"]}
    stack.write(state | {"deployment": looking})
    targets = [word for urn in unclear if urn in there for word in ("--target", urn)]
    if not targets:
        return state | {"deployment": looking}, []
    options = ("--yes", "--skip-preview", "--suppress-outputs")
    if stack.pulumi("refresh", *options, *targets, check=False):
        fail(refusal.format(names=", ".join(sorted(_name(urn) for urn in unclear))))
    state = stack.export()
    deployment, found = settle(state["deployment"], since)
    return state | {"deployment": named(deployment, asked)}, found


def without_looks(deployment: dict[str, Any]) -> dict[str, Any]:
    """The deployment without what is only being looked for."""
    resources = deployment.get("resources") or ()
    kept = [each for each in resources if not each["urn"].endswith(LOOKING)]
    return {**deployment, "resources": kept}


def looks(deployment: dict[str, Any]) -> list[Resource]:
    """What is only being looked for."""
    resources = deployment.get("resources") or ()
    return [each for each in resources if each["urn"].endswith(LOOKING)]


def noted(deployment: dict[str, Any], file: Path) -> list[Operation]:
    """The pending operations of the state, or of the state before a recovery that was cut short.

    If that was on another machine, where the file is, what it was looking for still stands in the state.
    """
    live = _live(deployment)
    pending = deployment.get("pending_operations") or ()
    if not pending and file.exists():
        return list(json.loads(file.read_text()))
    looked_for = (
        {"type": "creating", "resource": {**each, "urn": each["urn"].removesuffix(LOOKING)}}
        for each in looks(deployment)
    )
    return [{**each, "live": live.get(each["resource"]["urn"])} for each in (*looked_for, *pending)]


def unfinished(
    deployment: dict[str, Any], doubts: Iterable[Operation], events: Path
) -> list[Resource]:
    """What was being created when the last run ended, unless another run has made it since.

    An engine that `make` did not start writes no such log, and its run may have made another one.
    """
    live = _live(deployment)
    told = [
        *_failed(events),  # first, as the weakest word: it shows secrets as `[secret]`
        *((each["resource"], each["live"]) for each in doubts if each["type"] == "creating"),
    ]
    return list(
        {each["urn"]: each for each, was in told if live.get(each["urn"]) in (None, was)}.values()
    )


def _live(deployment: dict[str, Any]) -> dict[str, str | None]:
    """The ids that the state has, by URN, of what is not about to be deleted."""
    resources = deployment.get("resources") or ()
    return {each["urn"]: each.get("id") for each in resources if not each.get("delete")}


def _failed(events: Path) -> Iterator[tuple[Resource, str | None]]:
    """What the last run could not create, and the id that it should have replaced.

    Killed, it may have left half a line.
    """
    for line in events.read_text().splitlines() if events.exists() else ():
        try:
            metadata = json.loads(line)["resOpFailedEvent"]["metadata"]
        except (ValueError, KeyError):
            continue
        if metadata["op"] in ("create", "create-replacement"):
            new = metadata["new"]
            kept = ("urn", "type", "custom", "parent", "provider", "inputs")
            resource = {each: _unmarked(new[each]) for each in kept if new.get(each)}
            yield resource, (metadata.get("old") or {}).get("id")


def _unmarked(value: Any) -> Any:
    """With the word ``[secret]`` where the log has it for a ciphertext, which no state may have.

    The refresh brings what the cloud has; should a provider not tell it, the next update writes it again.
    """
    if isinstance(value, dict):
        if SIGNATURE in value and "ciphertext" in value:
            return value["ciphertext"]
        return {name: _unmarked(each) for name, each in value.items()}
    return [_unmarked(each) for each in value] if isinstance(value, list) else value


def began(events: Path) -> datetime | None:
    """When the last run began, by its log."""
    if not events.exists():
        return None
    with events.open() as lines:
        try:
            return datetime.fromtimestamp(json.loads(next(lines, ""))["timestamp"], UTC)
        except (ValueError, KeyError):
            return None


def look_for(deployment: dict[str, Any], wanted: Iterable[Resource]) -> dict[str, Any]:
    """The deployment with each of ``wanted`` whose id is known in it, for a refresh to look at.

    To a provider it is an import, or a read of what was asked for where the provider knows no import.
    """
    resources = without_looks(deployment)["resources"]
    known = {each["urn"] for each in resources}
    for each in wanted:
        id_ = each.get("id") or physical_id(each, resources)
        if id_ and each.get("parent") in known | {None}:
            outputs = dict(each["inputs"]) if each["type"].startswith(AS_ASKED) else {}
            # Should plain Pulumi come upon it, which knows it from no program: it is to forget it only.
            left = {"outputs": outputs, "retainOnDelete": True}
            asked = {**each, "id": id_, "urn": each["urn"] + LOOKING, **left}
            resources.append(only_on(asked, known))
    return {**deployment, "resources": resources}


def settle(
    deployment: dict[str, Any], since: datetime | None = None
) -> tuple[dict[str, Any], list[str]]:
    """After the refresh: the deployment with what was found under its own name; and what that is.

    What was made before ``since``, when the run began, is somebody else's, and the run was refused the
    name: a few names on Google Cloud are given by the platform, and another stack may have them.
    """
    found = looks(deployment)
    resources = without_looks(deployment)["resources"]
    held = {(each["type"], each.get("id")) for each in resources}
    news = []
    for each in found:
        if (each["type"], each["id"]) in held:
            continue  # the state knows it already
        if _older(each, since):
            say(f"{each['id']} is older than the run that was cut short, and not the stack's")
            continue
        each.pop("retainOnDelete")
        each["urn"] = each["urn"].removesuffix(LOOKING)
        news.append(each["urn"])
        former = next((old for old in resources if _same(old, each)), None)
        place = resources.index(former) if former else len(resources)
        before = {old["urn"] for old in resources[:place]}
        resources.insert(place, only_on(each, before))
        if former and former.pop("pendingReplacement", False):
            resources.remove(former)  # deleted already, to make room for this one
        elif former:
            former["delete"] = True  # as the engine marks it once its replacement stands
    return {**deployment, "resources": resources}, news


def named(deployment: dict[str, Any], asked: Iterable[Resource]) -> dict[str, Any]:
    """The deployment with the names that Pulumi chose marked as its own, as they were when asked for.

    An import marks none (``__defaults`` is empty), and the next update would take a name that the program
    does not give for another, and replace what has it:
    https://github.com/pulumi/pulumi-terraform-bridge/blob/master/pkg/tfbridge/schema.go (applyDefaults)
    """
    before = {each["urn"]: each["inputs"] for each in asked}
    for each in deployment["resources"]:
        inputs, was = each.get("inputs") or {}, before.get(each["urn"], {})
        if DEFAULTS in inputs:
            kept = [name for name in was.get(DEFAULTS, ()) if inputs.get(name) == was.get(name)]
            inputs[DEFAULTS] = sorted({*inputs[DEFAULTS], *kept})
    return deployment


def _older(resource: Resource, since: datetime | None) -> bool:
    """Whether the cloud says that it made the resource before then, give or take the clocks' difference."""
    created = (resource.get("outputs") or {}).get("createTime")
    if not created or since is None:
        return False
    return datetime.fromisoformat(created) < since - preflight.SKEW


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1].removesuffix(LOOKING)


def _same(old: Resource, new: Resource) -> bool:
    return old["urn"] == new["urn"] and not old.get("delete")


def only_on(resource: Resource, known: set[str]) -> Resource:
    """The resource without dependencies that are not there; the next update writes all of them."""
    return {
        **resource,
        "dependencies": [urn for urn in resource.get("dependencies") or () if urn in known],
        "propertyDependencies": {
            name: [urn for urn in urns or () if urn in known]
            for name, urns in (resource.get("propertyDependencies") or {}).items()
        },
    }
