"""What must be true after a journey: what stands, what the state says, and what a preview would change."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rehearsal.kinds import SIGNATURE
from tools.crash.clone import Clone
from tools.crash.journey import DYNAMIC, PACKAGES, Step, Verdict, steps_of


@dataclass
class Reference:
    """What an undisturbed run did, and what it left."""

    steps: list[Step]
    left: Counter[str]
    state: dict[str, Any] | None = None
    """As `normal` has it; None if there was no such run."""
    strangers: Counter[str] = field(default_factory=Counter)
    """What was left on purpose and is not the state's any more: enabled APIs, former model versions."""


def undisturbed(clone: Clone, operation: str) -> Reference:
    """Do the operation in peace."""
    clone.run(*clone.play(operation))
    left, state = standing(clone), normal(clone.state())
    return Reference(steps_of(clone.events), left, state, strangers(clone))


def judge(clone: Clone, operation: str, reference: Reference, verdict: Verdict) -> None:
    """Compare what stands with the state, and both with those of the undisturbed run."""
    state = clone.state()
    verdict.orphaned += strangers(clone) - reference.strangers
    verdict.lost += [" ".join(each) for each in sorted(known(clone) - {_id(e) for e in own(clone)})]
    stands = standing(clone)
    for what, times in stands.items():
        if times > max(1, reference.left[what]):
            verdict.doubled.append(what)
        elif not reference.left[what]:
            verdict.orphaned.append(what)
    verdict.lost += [what for what in reference.left if not stands[what]]
    if pending := state.get("pending_operations"):
        verdict.other.append(f"{len(pending)} operations are still pending")
    if reference.state is not None:
        verdict.other += differences(reference.state, normal(state))
    if operation == "delete":
        return
    again = clone.preview()
    if again.returncode:
        verdict.other.append(f"the next preview has changes:\n{again.stdout[-1500:]}")


def own(clone: Clone) -> list[dict[str, Any]]:
    """What the cloud has of the stack's program."""
    of = f"urn:pulumi:{clone.stack}"
    return [each for each in clone.ask("resources") if each["urn"].split("::")[0] == of]


def standing(clone: Clone) -> Counter[str]:
    """How many of each resource of the program the cloud has; a model's name has its version in it."""
    return Counter(plain(f"{each['token']} {each['name']}") for each in own(clone))


def strangers(clone: Clone) -> Counter[str]:
    """What the cloud has of the program without the state's knowing it."""
    ours = known(clone)
    return Counter(
        plain(f"{each['token']} {each['name']}") for each in own(clone) if _id(each) not in ours
    )


def known(clone: Clone) -> set[tuple[str, str]]:
    """Types and ids that the state holds. Dynamic resources stand in no cloud of the rehearsal."""
    return {
        (each["type"], each["id"])
        for each in clone.state().get("resources") or ()
        if each["type"].startswith(PACKAGES) and not each["type"].startswith(DYNAMIC)
    }


def _id(record: dict[str, Any]) -> tuple[str, str]:
    return record["token"], record["id"]


RANDOM = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"[0-9a-f]{6,}"), "<hex>"),
    (re.compile(r"\d{8,}"), "<number>"),
)
COUNTERS = frozenset({"created", "modified", "sourcePosition", "stackTrace", "lastModified"})


def normal(state: dict[str, Any]) -> dict[str, Any]:
    """The resources by URN, without what differs between any two runs."""
    return {
        f"{each['urn']}{' (to be deleted)' if each.get('delete') else ''}": {
            "inputs": plain(each.get("inputs")),
            "outputs": sorted(each.get("outputs") or ()),
            "dependencies": sorted(each.get("dependencies") or ()),
        }
        for each in state.get("resources") or ()
        if not each["type"].startswith("pulumi:providers")
    }


def plain(value: Any) -> Any:
    """Without what differs between any two runs."""
    if isinstance(value, dict):
        if SIGNATURE in value and "ciphertext" in value:
            return "<secret>"
        # Azure has ids for keys.
        return {plain(name): plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str):
        for pattern, instead in RANDOM:
            value = pattern.sub(instead, value)
    return value


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """A line for each resource that is not as in the undisturbed run."""
    lines = []
    for urn in sorted(wanted.keys() | found.keys()):
        name = "::".join(urn.split("::")[2:])
        if urn not in found:
            lines.append(f"not in the state: {name}")
        elif urn not in wanted:
            lines.append(f"in the state, but not in an undisturbed one: {name}")
        elif wanted[urn] != found[urn]:
            parts = [
                f"{part}: {json.dumps(wanted[urn][part])} became {json.dumps(found[urn][part])}"
                for part in wanted[urn]
                if wanted[urn][part] != found[urn][part]
            ]
            lines.append(f"{name} differs: {'; '.join(parts)[:1500]}")
    return lines
