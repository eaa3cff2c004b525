"""What must not happen by accident: functions of what Pulumi's ``--json`` previews say, and of ``ALLOW``.

``make up``, ``make repair`` and the delivery ask them before anything is changed; ``make destroy`` asks for
the account only (`operations.engine.account`), for what it takes away is its purpose. For plain Pulumi:
``pulumi preview --json --show-replacement-steps | python -m operations.engine.guards``, which leaves with 1 when it
refuses.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from components.resource_types import PRECIOUS

Step = dict[str, Any]
"""One of ``steps`` in what ``pulumi preview --json`` prints."""

VANISHED = "vanished"
"""The word that allows a refresh to drop many resources: ``ALLOW=vanished``."""
MANY = 1 / 4
"""A stack that lost more than this part of its resources was not tidied by hand: it burned, or the
refresh is looking in the wrong place. The two need different answers, so a person decides."""

REPLACES = frozenset(("replace", "create-replacement", "import-replacement"))
"""Steps of a replacement, one of which every replacement shows; ``replace`` is there always.
https://github.com/pulumi/pulumi/blob/master/sdk/go/common/apitype/history.go"""
DELETES = frozenset(("delete", "delete-replaced"))
"""Not ``discard`` and ``discard-replaced``, which end what the program only reads and leave it where it is,
nor ``remove-pending-replace``, which takes note that something is gone already."""


def allowed() -> frozenset[str]:
    """What the engineer allows: the names, URNs and words of ``ALLOW``, separated by commas or spaces."""
    return frozenset(re.split(r"[,\s]+", os.environ.get("ALLOW", "").strip()))


def refuse(reasons: list[str]) -> None:
    """Leave before anything is changed, if there is a reason to."""
    if reasons:
        sys.exit("\n".join(f"Refused: {each}" for each in reasons))


def account(steps: Iterable[Step]) -> list[str]:
    """Refuse when the credentials lead to another account than the one that the stack was made with.

    The platform's foundation carries the account as an input: the AWS account that the credentials
    belong to, the Google Cloud project of the settings (its credentials belong to no project), the
    Azure subscription. A stack that was last brought up before it did passes.
    """
    for step in steps:
        was, now = recorded([step.get("oldState")]), recorded([step.get("newState")])
        if refused := elsewhere(was, now):
            return refused
    return []


def recorded(resources: Iterable[Step | None]) -> str | None:
    """The account that the foundation among these resources was made in."""
    for each in resources:
        if each and each["type"].endswith(":Foundation"):
            return (each.get("inputs") or {}).get("account")
    return None


def elsewhere(was: str | None, now: str | None) -> list[str]:
    """Refuse when two accounts are known, and are not the same."""
    if not was or not now or was == now:
        return []
    return [
        f"the stack was made in {was}, but these credentials and settings lead to {now}. Nothing was"
        " changed. Sign in to the first, or name it in the settings; or choose another stack for the"
        " second."
    ]


def losses(steps: Iterable[Step], allow: Collection[str]) -> list[str]:
    """Refuse an update that replaces or deletes what is precious, unless it is allowed by name.

    Each is named once, though a replacement is up to three steps. One that only deletes what was replaced
    ends an earlier run that was cut short; previews hide it without ``--show-replacement-steps``.
    """
    found: dict[str, list[Step]] = {}
    for step in steps:
        urn = step["urn"]
        precious = plain(kind(urn)) in PRECIOUS and not _names(urn) & set(allow)
        if precious and step["op"] in REPLACES | DELETES:
            found.setdefault(urn, []).append(step)
    return [_loss(urn, of) for urn, of in found.items()]


def _loss(urn: str, steps: Sequence[Step]) -> str:
    """What these steps of one resource cost."""
    what, ops = PRECIOUS[plain(kind(urn))], {step["op"] for step in steps}
    # Only some of a replacement's steps say why.
    told = (step.get("replaceReasons") or step.get("diffReasons") for step in steps)
    reasons: list[str] = next(filter(None, told), [])
    if ops & REPLACES:
        does = f"replaces the {what}"
    elif "delete" in ops:
        does = f"deletes the {what}"
    else:
        does = f"deletes the former {what}"
        reasons = reasons or ["a replacement that was cut short"]
    because = ", ".join(reasons)
    return (
        f"this run {does} {_name(urn)} ({kind(urn)})"
        + (f", because of {because}" if because else "")
        + f". If that is meant: ALLOW={_name(urn)}"
    )


def vanished(steps: Sequence[Step], allow: Collection[str]) -> list[str]:
    """Refuse a refresh that finds so much gone that it may be looking in the wrong place."""
    cloud = [step for step in steps if _in_a_cloud(step["urn"])]
    gone = [step["urn"] for step in cloud if step["op"] == "delete"]
    precious = [urn for urn in gone if PRECIOUS.get(plain(kind(urn)))]
    dear = [urn for urn in precious if not _names(urn) & set(allow)]
    if VANISHED in allow or not (dear or len(gone) > len(cloud) * MANY):
        return []
    names = ", ".join(_name(urn) for urn in dear or gone[:5])
    return [
        f"a refresh finds {len(gone)} of {len(cloud)} resources gone, among them {names}. It would"
        " drop them from the state, and the next run would make new, empty ones. Nothing was"
        " changed. Do these credentials and this region show the stack's resources? If they are"
        f" really gone: ALLOW={VANISHED}"
    ]


def drift(steps: Iterable[Step]) -> dict[str, list[str]]:
    """What a refresh found: the URN of each changed resource, with its changed properties.

    A resource that is gone has the one entry ``gone``.
    """
    found = {}
    for step in steps:
        if step["op"] == "delete":
            found[step["urn"]] = ["gone"]
        elif _in_a_cloud(step["urn"]) and (changed := _changed(step)):
            found[step["urn"]] = changed
    return found


def _changed(step: Step) -> list[str]:
    """The inputs, or else the outputs, that differ. Inputs first: outputs mostly follow them."""
    old, new = step.get("oldState") or {}, step.get("newState") or {}
    for part in ("inputs", "outputs"):
        was, now = old.get(part) or {}, new.get(part) or {}
        if names := sorted(name for name in was | now if was.get(name) != now.get(name)):
            return names
    return []


def kept(resources: Sequence[Step], nouns: Collection[str]) -> list[str]:
    """URNs of these nouns' resources, and of all that they stand on, from a stack's exported state.

    A destroy that spares them must spare what they depend on: a storage account's resource group.
    """
    by_urn = {each["urn"]: each for each in resources}
    keep = [urn for urn in by_urn if any(_inside(urn, noun) for noun in nouns)]
    seen: dict[str, None] = {}
    while keep:
        urn = keep.pop()
        if urn in by_urn and urn not in seen:
            seen[urn] = None
            each = by_urn[urn]
            keep += [each.get("parent", ""), *each.get("dependencies", [])]
            keep.append(each.get("provider", "").rpartition("::")[0])
    return list(seen)


def _inside(urn: str, noun: str) -> bool:
    return any(
        re.fullmatch(rf"triplane:\w+:{noun}", part) for part in urn.split("::")[2].split("$")
    )


def kind(urn: str) -> str:
    """A resource's type."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def plain(token: str) -> str:
    """A type without Azure's API version: ``azure-native:storage/v20240101:StorageAccount``."""
    return re.sub(r"^(azure-native:\w+)/v\w+:", r"\1:", token)


def _in_a_cloud(urn: str) -> bool:
    return not kind(urn).startswith(("pulumi:", "triplane:"))


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _names(urn: str) -> set[str]:
    return {urn, _name(urn)}


def previewed(text: str) -> list[Step]:
    """The steps of what ``pulumi preview --json`` prints; raises ValueError unless it is all of a good one.

    A pipe loses Pulumi's exit code: that it failed is told by its diagnostics, and that it was interrupted
    by the summary that is not there.
    """
    try:
        told = json.loads(text)
    except ValueError as error:
        told = error
    if not isinstance(told, dict):
        raise ValueError(
            "standard input is not, or not to its end, what `pulumi preview --json` prints"
            f" ({told if isinstance(told, ValueError) else 'JSON of another kind'})"
        )
    errors = [
        str(each.get("message", "")).strip()
        for each in told.get("diagnostics") or ()
        if each.get("severity") == "error"
    ]
    if errors:
        raise ValueError(f"the preview failed: {errors[0].rstrip('.')}")
    if not told.get("changeSummary"):
        raise ValueError("the preview has no summary: it was interrupted, or is none of Pulumi's")
    return list(told.get("steps") or ())


def main() -> None:
    """Read a preview on standard input, and refuse or not."""
    try:
        steps = previewed(sys.stdin.read())
    except ValueError as error:
        sys.exit(
            f"Refused: {error}. So nobody knows what an update would do: see that `pulumi preview` ends well."
        )
    refuse(account(steps) or losses(steps, allowed()))


if __name__ == "__main__":
    main()
