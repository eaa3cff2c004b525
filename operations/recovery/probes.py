"""Probes: let the engine read from the cloud whether a resource exists that the state does not have.

The state can lack what the cloud has: an engine was killed before it wrote down an answer, or the state itself
is lost. The id of the resource is known or follows from its inputs (`operations.recovery.physical_ids`). So:

1. `with_probes` adds an entry with that id to the state. This probe has the resource's URN and a suffix,
   because a resource that replaces another one has the same URN as its predecessor.
2. ``pulumi refresh --target`` reads it. An entry that does not exist in the cloud leaves the state.
3. `with_found_resources` turns each probe that is left into the resource itself.
4. `with_autonaming_marks` restores what a read does not return: which names Pulumi has chosen.

Nothing here creates, changes or deletes a resource in the cloud. A probe that is left in the state by a killed
run is harmless: ``retainOnDelete`` makes plain Pulumi forget it without deleting anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from operations.engine.resources import Resource, resource_name
from operations.engine.stack import Stack
from operations.engine.state_file import CLOCK_SKEW
from operations.engine.wire import CREATE_BEFORE_DELETE, DEFAULTS
from operations.recovery.deployment import Deployment, with_known_dependencies
from operations.recovery.discovered_resource import autonamed_input
from operations.recovery.physical_ids import NOT_IMPORTABLE, physical_id
from operations.terminal import fail, say

PROBE_SUFFIX = "--was-it-made"
"""Ends the URN of a probe. States on disk can have it: do not change the value."""


def probe(
    stack: Stack,
    state: dict[str, Any],
    wanted: Iterable[Resource],
    refusal: str,
    *,
    others: Iterable[str] = (),
    since: datetime | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Read ``wanted`` from the cloud: the state with what exists, not yet written, and the URNs of that.

    ``others``: URNs of resources in the state that are read again, too. Leaves with ``refusal``, which has a
    place for ``{names}``, when the cloud does not answer.
    """
    wanted = list(wanted)
    deployment = with_probes(state.get("deployment") or {}, wanted)
    urns = [*(each["urn"] for each in probes(deployment)), *others]
    state = state | {"deployment": deployment}
    stack.import_state(state)
    known = {each["urn"] for each in deployment["resources"]}
    targets = [word for urn in urns if urn in known for word in ("--target", urn)]
    if not targets:
        return state, []
    options = ("--yes", "--skip-preview", "--suppress-outputs")
    if stack.pulumi("refresh", *options, *targets, check=False):
        names = sorted(resource_name(urn).removesuffix(PROBE_SUFFIX) for urn in urns)
        fail(refusal.format(names=", ".join(names)))
    state = stack.export()
    deployment, found = with_found_resources(state["deployment"], since)
    return state | {"deployment": with_autonaming_marks(deployment, wanted)}, found


def without_probes(deployment: Deployment) -> Deployment:
    """The deployment without its probes."""
    resources = deployment.get("resources") or ()
    return {**deployment, "resources": [each for each in resources if not _is_probe(each)]}


def probes(deployment: Deployment) -> list[Resource]:
    """The probes in the deployment."""
    return [each for each in deployment.get("resources") or () if _is_probe(each)]


def with_probes(deployment: Deployment, wanted: Iterable[Resource]) -> Deployment:
    """The deployment with a probe for each of ``wanted`` whose id is known.

    A refresh reads it like an import. Where the provider has no import, it needs the outputs, too: they are
    what the program has asked for.
    """
    resources = without_probes(deployment)["resources"]
    known = {each["urn"] for each in resources}
    for each in wanted:
        id_ = each.get("id") or physical_id(each, resources)
        if id_ and each.get("parent") in known | {None}:
            resources.append(with_known_dependencies(_probe_of(each, id_), known))
    return {**deployment, "resources": resources}


def _probe_of(resource: Resource, id_: str) -> Resource:
    outputs = dict(resource["inputs"]) if resource["type"] in NOT_IMPORTABLE else {}
    return {
        **resource,
        "id": id_,
        "urn": resource["urn"] + PROBE_SUFFIX,
        "outputs": outputs,
        # Plain Pulumi, which knows the probe from no program, forgets it and deletes nothing.
        "retainOnDelete": True,
    }


def with_found_resources(
    deployment: Deployment, since: datetime | None = None
) -> tuple[Deployment, list[str]]:
    """After the refresh: the deployment with the found resources under their own URNs; and those URNs.

    What was created before ``since``, the start of the interrupted run, belongs to somebody else: a few names on
    Google Cloud are chosen by the platform, another stack can have them, and the cloud refused them to the run.
    """
    resources = without_probes(deployment)["resources"]
    known = {(each["type"], each.get("id")) for each in resources}
    found = []
    for each in probes(deployment):
        if (each["type"], each["id"]) in known:
            continue
        if _is_older(each, since):
            say(f"{each['id']} is older than the interrupted run, and does not belong to the stack")
            continue
        resource = {name: value for name, value in each.items() if name != "retainOnDelete"}
        resource["urn"] = each["urn"].removesuffix(PROBE_SUFFIX)
        found.append(resource["urn"])
        _insert(resources, resource)
    return {**deployment, "resources": resources}, found


def _insert(resources: list[Resource], new: Resource) -> None:
    """Put the resource into the list; before its predecessor, if it replaces one."""
    place = next(
        (
            index
            for index, old in enumerate(resources)
            if old["urn"] == new["urn"] and not old.get("delete")
        ),
        None,
    )
    new = with_known_dependencies(new, {old["urn"] for old in resources[:place]})
    if place is None:
        resources.append(new)
    elif resources[place].get("pendingReplacement"):
        resources[place] = new  # the predecessor was deleted first, to make room
    else:
        # The engine marks a predecessor so once its replacement exists.
        resources[place] = {**resources[place], "delete": True}
        resources.insert(place, new)


def with_autonaming_marks(deployment: Deployment, wanted: Iterable[Resource]) -> Deployment:
    """The deployment in which the names that Pulumi chose are marked as its own again.

    An import marks none (``__defaults`` is empty). The next update would then see a name that the program does
    not give, and replace the resource:
    https://github.com/pulumi/pulumi-terraform-bridge/blob/master/pkg/tfbridge/schema.go (applyDefaults)
    On Azure the next replacement would delete the resource before its successor exists:
    https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/provider/provider.go (Diff)
    """
    wanted = list(wanted)
    inputs_of = {each["urn"]: each["inputs"] for each in wanted}
    random_names = {
        each["urn"]: name
        for each in wanted
        if each["inputs"].get(CREATE_BEFORE_DELETE) and (name := autonamed_input(each))
    }
    for each in deployment["resources"]:
        inputs, wanted_inputs = each.get("inputs") or {}, inputs_of.get(each["urn"], {})
        if DEFAULTS in inputs:
            unchanged = [
                name
                for name in wanted_inputs.get(DEFAULTS, ())
                if inputs.get(name) == wanted_inputs.get(name)
            ]
            inputs[DEFAULTS] = sorted({*inputs[DEFAULTS], *unchanged})
        name = random_names.get(each["urn"])
        if name and inputs.get(name) == wanted_inputs[name]:
            inputs[CREATE_BEFORE_DELETE] = True
    return deployment


def _is_probe(resource: Resource) -> bool:
    return str(resource["urn"]).endswith(PROBE_SUFFIX)


def _is_older(resource: Resource, since: datetime | None) -> bool:
    """Whether the cloud created the resource before ``since``, with a tolerance for wrong clocks."""
    created = (resource.get("outputs") or {}).get("createTime")
    if not created or since is None:
        return False
    return datetime.fromisoformat(created) < since - CLOCK_SKEW
