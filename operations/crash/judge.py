"""What must be true after a scenario: of the existing resources, the state, the cloud's answers and a preview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from components.resource_types import PRECIOUS
from operations.crash.checkout import Checkout
from operations.crash.normal_form import differences, normal_form
from operations.crash.resources import (
    Record,
    count_by_name,
    existing_resources,
    managed_ids,
    type_and_id,
    type_and_name,
    unmanaged,
)
from operations.crash.steps import CrashStep, steps_in
from operations.crash.verdict import Verdict
from operations.engine.resources import resource_type, without_api_version


@dataclass
class Reference:
    """What a run without faults did, and what it left."""

    steps: list[CrashStep]
    left: Counter[str]
    """The resources that exist afterwards, by type and name."""
    state: dict[str, Any] | None = None
    """Its normal form; None if there was no such run."""
    unmanaged: Counter[str] = field(default_factory=Counter)
    """Resources left on purpose that the state manages no longer: enabled APIs, former model versions."""


def run_without_faults(checkout: Checkout, operation: str) -> Reference:
    """Run the operation without faults; returns what scenarios are compared with."""
    checkout.run(*checkout.command(operation))
    resources, state = existing_resources(checkout), checkout.state()
    return Reference(
        steps_in(checkout.event_log),
        count_by_name(resources),
        normal_form(state),
        unmanaged(resources, state),
    )


def judge(
    checkout: Checkout,
    operation: str,
    reference: Reference,
    before: Sequence[Record],
    verdict: Verdict,
) -> None:
    """Compare the existing resources with the state, with those of ``before``, and with the reference."""
    state, resources = checkout.state(), existing_resources(checkout)
    _compare_with_state(resources, state, reference, verdict)
    _compare_with_reference(resources, state, reference, verdict)
    if pending := state.get("pending_operations"):
        verdict.other.append(f"{len(pending)} operations are still pending")
    if operation == "delete":
        return
    verdict.lost += lost_or_replaced(before, resources, reference.steps)
    _query_cloud(checkout, verdict)
    preview = checkout.preview()
    if preview.returncode:
        verdict.other.append(f"the next preview has changes:\n{preview.stdout[-1500:]}")


def _compare_with_state(
    resources: Sequence[Record], state: dict[str, Any], reference: Reference, verdict: Verdict
) -> None:
    """Each existing resource is managed by the state, and each resource of the state exists."""
    verdict.orphaned += unmanaged(resources, state) - reference.unmanaged
    missing = managed_ids(state) - {type_and_id(each) for each in resources}
    verdict.lost += [" ".join(each) for each in sorted(missing)]


def _compare_with_reference(
    resources: Sequence[Record], state: dict[str, Any], reference: Reference, verdict: Verdict
) -> None:
    """There are as many of each resource as after the run without faults, and the state is the same."""
    counts = count_by_name(resources)
    for name, count in counts.items():
        if count > max(1, reference.left[name]):
            verdict.duplicated.append(name)
        elif not reference.left[name]:
            verdict.orphaned.append(name)
    verdict.lost += [name for name in reference.left if not counts[name]]
    if reference.state is not None:
        verdict.other += differences(reference.state, normal_form(state))


def _query_cloud(checkout: Checkout, verdict: Verdict) -> None:
    """The cloud reports what the state has."""
    try:
        drift = checkout.drift()
    except ValueError as error:
        verdict.other.append(f"the cloud could not be queried for its resources: {error}")
    else:
        verdict.drifted += [
            f"{resource_type(urn)} {urn.rsplit('::', 1)[-1]}: {', '.join(drift[urn])}"
            for urn in sorted(drift)
        ]


def lost_or_replaced(
    before: Sequence[Record], after: Sequence[Record], steps: Sequence[CrashStep]
) -> list[str]:
    """The resources that existed before and are gone or replaced without a reason: a new one may be empty.

    A replacement or deletion of the run without faults is a reason, but for a precious resource nothing is.
    The time of its creation shows that a resource was created again under the same name.
    """
    with_reason = {(each.token, each.name) for each in steps if each.method != "update"}
    existing = {(*type_and_id(each), each["created"]) for each in after}
    return [
        f"{each['token']} {each['name']}: {each['id']}, which existed before, is replaced or gone"
        for each in before
        if (*type_and_id(each), each["created"]) not in existing
        and (
            without_api_version(each["token"]) in PRECIOUS or type_and_name(each) not in with_reason
        )
    ]
