"""What must not happen by accident: functions of what Pulumi's ``--json`` previews say, and of ``ALLOW``.

``make up``, ``make repair`` and ``make destroy`` ask them before anything is changed. For plain Pulumi:
``pulumi preview --json | python -m tools.guards``, which leaves with 1 when it refuses.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

Step = dict[str, Any]
"""One of ``steps`` in what ``pulumi preview --json`` prints."""

PRECIOUS = {
    "aws:s3/bucket:Bucket": "lake",
    "aws:ecr/repository:Repository": "registry",
    "aws:sagemaker/endpoint:Endpoint": "endpoint",
    "aws:secretsmanager/secret:Secret": "vault",
    "gcp:storage/bucket:Bucket": "lake",
    "gcp:artifactregistry/repository:Repository": "registry",
    "gcp:vertex/aiEndpoint:AiEndpoint": "endpoint",
    "gcp:secretmanager/secret:Secret": "vault",
    "azure-native:resources:ResourceGroup": "resource group",
    "azure-native:storage:StorageAccount": "lake",
    "azure-native:storage:BlobContainer": "lake",
    "azure-native:containerregistry:Registry": "registry",
    "azure-native:machinelearningservices:Workspace": "workspace",
    "azure-native:machinelearningservices:OnlineEndpoint": "endpoint",
    "azure-native:keyvault:Vault": "vault",
}
"""What holds data or an address that callers know: to replace it is to lose it."""

VANISHED = "vanished"
"""The word that allows a refresh to drop many resources: ``ALLOW=vanished``."""
MANY = 1 / 4
"""A stack that lost more than this part of its resources was not tidied by hand: it burned, or the
refresh is looking in the wrong place. The two need different answers, so a person decides."""

ENDS = {"delete": "deletes", "replace": "replaces", "delete-replaced": "replaces"}


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
    """Refuse an update that replaces or deletes what is precious, unless it is allowed by name."""
    found = {}
    for step in steps:
        urn, does = step["urn"], ENDS.get(step["op"])
        what = PRECIOUS.get(plain(kind(urn)))
        if does and what and not _names(urn) & set(allow):
            because = ", ".join(step.get("replaceReasons") or step.get("diffReasons") or [])
            found[urn] = (
                f"this run {does} the {what} {_name(urn)} ({kind(urn)})"
                + (f", because of {because}" if because else "")
                + f". If that is meant: ALLOW={_name(urn)}"
            )
    return list(found.values())


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


def main() -> None:
    """Read a preview on standard input, and refuse or not."""
    try:
        steps = json.load(sys.stdin)["steps"] or []
    except (ValueError, KeyError):
        sys.exit("guards: standard input is not what `pulumi preview --json` prints")
    refuse(account(steps) or losses(steps, allowed()))


if __name__ == "__main__":
    main()
