"""Refuses a run that would lose data or change the wrong account, judged by a preview and by ``ALLOW``.

`make up`, `make repair` and the delivery call these functions before anything is changed. `make destroy` checks the
account only (`operations.engine.account`), because losing resources is its purpose. For plain Pulumi:
``pulumi preview --json --show-replacement-steps | python -m operations guard``, which leaves with 1 when it
refuses.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Sequence

from components.resource_types import PRECIOUS
from operations.engine.previews import Step, parse_preview
from operations.engine.resources import (
    is_cloud_resource,
    resource_name,
    resource_type,
    without_api_version,
)

ALLOW_VANISHED = "vanished"
"""The word that allows a refresh to drop many resources: ``ALLOW=vanished``."""
MANY = 1 / 4
"""The part of a stack's resources that a person may have deleted. If more are missing, they were lost in a
disaster, or the refresh reads from the wrong place. The two need different answers, so a person decides."""

REPLACES = frozenset(("replace", "create-replacement", "import-replacement"))
"""Steps of a replacement. Every replacement has at least one of them, and always ``replace``.
https://github.com/pulumi/pulumi/blob/master/sdk/go/common/apitype/history.go"""
DELETES = frozenset(("delete", "delete-replaced"))
"""Not ``discard`` and ``discard-replaced``, which drop what the program only reads from the state, nor
``remove-pending-replace``, which records that a resource is deleted already."""


def allowed() -> frozenset[str]:
    """What the engineer allows: the names, URNs and words of ``ALLOW``, separated by commas or spaces."""
    return frozenset(re.split(r"[,\s]+", os.environ.get("ALLOW", "").strip()))


def refuse(reasons: list[str]) -> None:
    """Leave before anything is changed, if there is a reason to."""
    if reasons:
        sys.exit("\n".join(f"Refused: {each}" for each in reasons))


def preview_refusals(steps: Sequence[Step]) -> list[str]:
    """Reasons to refuse an update with these steps: another account, or losses that ``ALLOW`` does not name."""
    return preview_account_refusals(steps) or update_losses(steps, allowed())


def preview_account_refusals(steps: Iterable[Step]) -> list[str]:
    """Reasons to refuse a preview whose credentials lead to another account than the stack's.

    The platform's foundation has the account as an input: the AWS account of the credentials, the Google
    Cloud project of the settings (its credentials belong to no project), the Azure subscription. A stack
    whose state has no account yet passes.
    """
    for step in steps:
        recorded = recorded_account([step.get("oldState")])
        if reasons := different_account_refusals(
            recorded, recorded_account([step.get("newState")])
        ):
            return reasons
    return []


def recorded_account(resources: Iterable[Step | None]) -> str | None:
    """The account in which the foundation among these resources was created."""
    for each in resources:
        if each and each["type"].endswith(":Foundation"):
            return (each.get("inputs") or {}).get("account")
    return None


def different_account_refusals(recorded: str | None, current: str | None) -> list[str]:
    """Reasons to refuse if both accounts are known, and are not the same."""
    if not recorded or not current or recorded == current:
        return []
    return [
        f"the stack was created in {recorded}, but these credentials and settings lead to {current}. Nothing"
        f" was changed. Sign in to {recorded}, or name it in the settings; or choose another stack for"
        f" {current}."
    ]


def update_losses(steps: Iterable[Step], allow: Collection[str]) -> list[str]:
    """Reasons to refuse an update: each precious resource that it replaces or deletes without ``ALLOW``.

    Each resource is named once, though a replacement has up to three steps. A step that only deletes what was
    replaced completes an interrupted run. Previews hide it without ``--show-replacement-steps``.

    An endpoint whose successor comes first is no loss: it holds no data, and callers know the gateway's address.
    """
    found: dict[str, list[Step]] = {}
    for step in steps:
        urn = step["urn"]
        if _is_precious(urn) and not _is_allowed(urn, allow) and step["op"] in REPLACES | DELETES:
            found.setdefault(urn, []).append(step)
    return [_loss(urn, of) for urn, of in found.items() if not _has_successor(urn, of)]


def _has_successor(urn: str, steps: Sequence[Step]) -> bool:
    """Whether these steps, in their order, replace an endpoint by one that exists before the old one is deleted."""
    if PRECIOUS[without_api_version(resource_type(urn))] != "endpoint":
        return False
    operations = [step["op"] for step in steps]
    if "create-replacement" in operations:
        return "delete-replaced" not in operations[: operations.index("create-replacement")]
    return set(operations) == {"delete-replaced"}  # the rest of a replacement that was interrupted


def _loss(urn: str, steps: Sequence[Step]) -> str:
    """What these steps do to one precious resource."""
    what = PRECIOUS[without_api_version(resource_type(urn))]
    operations = {step["op"] for step in steps}
    # Only some of a replacement's steps have the reasons.
    given = (step.get("replaceReasons") or step.get("diffReasons") for step in steps)
    reasons: list[str] = next(filter(None, given), [])
    if operations & REPLACES:
        does = f"replaces the {what}"
    elif "delete" in operations:
        does = f"deletes the {what}"
    else:
        does = f"deletes the former {what}"
        reasons = reasons or ["a replacement that was interrupted"]
    because = ", ".join(reasons)
    name = resource_name(urn)
    return (
        f"this run {does} {name} ({resource_type(urn)})"
        + (f", because of {because}" if because else "")
        + f". If that is meant: ALLOW={name}"
    )


def refresh_losses(steps: Sequence[Step], allow: Collection[str]) -> list[str]:
    """Reasons to refuse a refresh: so many resources are missing that it may read from the wrong place."""
    in_cloud = [step for step in steps if is_cloud_resource(step["urn"])]
    missing = [step["urn"] for step in in_cloud if step["op"] == "delete"]
    precious = [urn for urn in missing if _is_precious(urn) and not _is_allowed(urn, allow)]
    if ALLOW_VANISHED in allow or not (precious or len(missing) > len(in_cloud) * MANY):
        return []
    names = ", ".join(map(resource_name, precious or missing[:5]))
    return [
        f"a refresh finds {len(missing)} of {len(in_cloud)} resources gone, among them {names}. It would"
        " drop them from the state, and the next run would create new, empty ones. Nothing was"
        " changed. Do these credentials and this region show the stack's resources? If they are"
        f" really gone: ALLOW={ALLOW_VANISHED}"
    ]


def _is_precious(urn: str) -> bool:
    return without_api_version(resource_type(urn)) in PRECIOUS


def _is_allowed(urn: str, allow: Collection[str]) -> bool:
    return urn in allow or resource_name(urn) in allow


def guard_preview(text: str) -> None:
    """Leave with a reason unless ``text`` is a good preview that loses nothing and is of the stack's account."""
    try:
        steps = parse_preview(text)
    except ValueError as error:
        sys.exit(
            f"Refused: {error}. What an update would do is unknown. Run `pulumi preview` again until it succeeds."
        )
    refuse(preview_refusals(steps))
