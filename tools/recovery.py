"""After a run that was cut short: learn what the cloud has made that the state does not know.

When the engine is killed, or an answer is lost, the cloud may have made what was asked for, and nobody
took down its id. To clear such an operation (``pulumi refresh --clear-pending-creates``) is to forget
it: the next run makes a second one, or is refused because the name is taken. But the engine did take
down the inputs, the name that autonaming chose among them, and from those the id follows. So it is put
into the state for the engine to look (a refresh): what is there stays, what is not there goes again.

Two witnesses: the pending operations in the state (the engine was killed), and the event log of the
last run (the engine lived on; for a create that failed it keeps nothing in the state).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stack_config import StackConfig
from tools import account, guards
from tools.bootstrap import say
from tools.engine import Stack
from tools.ids import Resource, physical_id

LOOKING = "--was-it-made"
"""Ends the name of what is only being looked for; a replacement has its predecessor's URN."""


def recover(stack: Stack, config: StackConfig) -> None:
    """Clean up after a run that was killed: its lock, and operations whose end nobody saw."""
    stack.unlock()
    state = stack.export()
    deployment = state.get("deployment") or {}
    pending = deployment.get("pending_operations") or []
    lost = unfinished(deployment, stack.events)
    if not pending and not lost:
        return
    # What follows believes the cloud more than the state: first of all, is it the right one?
    guards.refuse(account.another(stack, config))
    say(f"a run was cut short in {max(len(pending), len(lost))} operations; asking the cloud")
    deployment = look_for(deployment, lost)
    unclear = [each["urn"] for each in deployment["resources"] if each["urn"].endswith(LOOKING)]
    unclear += [each["resource"]["urn"] for each in pending if each["type"] != "creating"]
    stack.write(state | {"deployment": deployment})
    if unclear:  # and nothing else: what was not in doubt is not asked for, and cannot be dropped
        targets = (word for urn in unclear for word in ("--target", urn))
        stack.pulumi("refresh", "--yes", "--skip-preview", "--suppress-outputs", *targets)
        state = stack.export()
        state["deployment"], found = settle(state["deployment"])
        stack.write(state)
        for urn in found:
            say(f"it had been made, and is the stack's now: {urn.rsplit('::', 1)[-1]}")
    stack.events.unlink(missing_ok=True)


def unfinished(deployment: dict[str, Any], events: Path) -> list[Resource]:
    """What was being created when the last run ended, by either witness, or a look that was cut short."""
    told = [
        *_failed(events),  # first, as the weakest word: it shows secrets as `[secret]`
        *(
            {**each, "urn": each["urn"].removesuffix(LOOKING)}
            for each in deployment.get("resources") or ()
            if each["urn"].endswith(LOOKING)
        ),
        *(
            operation["resource"]
            for operation in deployment.get("pending_operations") or ()
            if operation["type"] == "creating"
        ),
    ]
    return list({each["urn"]: each for each in told}.values())


def _failed(events: Path) -> Iterator[Resource]:
    """What the last run could not create. Killed, it may have left half a line."""
    for line in events.read_text().splitlines() if events.exists() else ():
        try:
            metadata = json.loads(line)["resOpFailedEvent"]["metadata"]
        except (ValueError, KeyError):
            continue
        if metadata["op"] in ("create", "create-replacement"):
            new = metadata["new"]
            kept = ("urn", "type", "custom", "parent", "provider", "inputs")
            yield {each: new[each] for each in kept if new.get(each)}


def look_for(deployment: dict[str, Any], wanted: Iterable[Resource]) -> dict[str, Any]:
    """The deployment with each of ``wanted`` whose id is known in it, for a refresh to look at."""
    resources = [
        each for each in deployment.get("resources") or () if not each["urn"].endswith(LOOKING)
    ]
    known = {each["urn"] for each in resources}
    for each in wanted:
        id_ = physical_id(each, resources)
        if id_ and each.get("parent") in known | {None}:
            asked = {**each, "id": id_, "urn": each["urn"] + LOOKING, "outputs": {}}
            resources.append(_only_on(asked, known))
    return {**deployment, "resources": resources}


def settle(deployment: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """After the refresh: the deployment with what was found under its own name; and what that is."""
    resources = list(deployment.get("resources") or ())
    found = [each for each in resources if each["urn"].endswith(LOOKING)]
    resources = [each for each in resources if not each["urn"].endswith(LOOKING)]
    held = {(each["type"], each.get("id")) for each in resources}
    news = []
    for each in found:
        if (each["type"], each["id"]) in held:
            continue  # the state knows it already
        each["urn"] = each["urn"].removesuffix(LOOKING)
        news.append(each["urn"])
        former = next((old for old in resources if _same(old, each)), None)
        place = resources.index(former) if former else len(resources)
        before = {old["urn"] for old in resources[:place]}
        resources.insert(place, _only_on(each, before))
        if former and former.pop("pendingReplacement", False):
            resources.remove(former)  # deleted already, to make room for this one
        elif former:
            former["delete"] = True  # as the engine marks it once its replacement stands
    return {**deployment, "resources": resources}, news


def _same(old: Resource, new: Resource) -> bool:
    return old["urn"] == new["urn"] and not old.get("delete")


def _only_on(resource: Resource, known: set[str]) -> Resource:
    """The resource without dependencies that are not there; the next update writes all of them."""
    return {
        **resource,
        "dependencies": [urn for urn in resource.get("dependencies") or () if urn in known],
        "propertyDependencies": {
            name: [urn for urn in urns or () if urn in known]
            for name, urns in (resource.get("propertyDependencies") or {}).items()
        },
    }
