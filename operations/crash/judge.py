"""What must be true after a journey: of what stands, of the state, of the cloud that is asked, of a preview."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from operations.crash import vertex
from operations.crash.checkout import Clone
from operations.crash.scenario import DYNAMIC, PACKAGES, Step, Verdict, steps_of
from operations.engine import guards
from rehearsal.core.assets import SIGNATURE

Record = dict[str, Any]
"""What stands: ``token``, ``name``, ``id``, and ``created``, when the cloud made it."""


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
    stand, state = own(clone), clone.state()
    return Reference(steps_of(clone.events), named(stand), normal(state), strangers(stand, state))


def judge(
    clone: Clone, operation: str, reference: Reference, before: Sequence[Record], verdict: Verdict
) -> None:
    """Compare what stands with the state, with what stood ``before``, and with an undisturbed run."""
    state, stand = clone.state(), own(clone)
    verdict.orphaned += strangers(stand, state) - reference.strangers
    verdict.lost += [" ".join(each) for each in sorted(known(state) - {_id(e) for e in stand})]
    stands = named(stand)
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
    verdict.lost += exchanged(before, stand, reference.steps)
    try:
        drift = clone.drift()
    except ValueError as error:
        verdict.other.append(f"the cloud could not be asked for what it has: {error}")
    else:
        verdict.drifted += [f"{_short(urn)}: {', '.join(drift[urn])}" for urn in sorted(drift)]
    again = clone.preview()
    if again.returncode:
        verdict.other.append(f"the next preview has changes:\n{again.stdout[-1500:]}")


def exchanged(
    before: Sequence[Record], after: Sequence[Record], steps: Sequence[Step]
) -> list[str]:
    """What stood and does not any more, though there was no reason: another of its name may be empty.

    The undisturbed run's own replacements and deletions are reasons, but for what is precious nothing is.
    One that was made anew under the same name is told by its time.
    """
    anew = {(each.token, each.name) for each in steps if each.method != "update"}
    stands = {(*_id(each), each["created"]) for each in after}
    return [
        f"{each['token']} {each['name']}: {each['id']}, which stood before, is another one now, or gone"
        for each in before
        if (*_id(each), each["created"]) not in stands
        and (guards.plain(each["token"]) in guards.PRECIOUS or _what(each) not in anew)
    ]


def own(clone: Clone) -> list[Record]:
    """What the cloud has of the stack's program, what no provider's own resource makes included."""
    of = f"urn:pulumi:{clone.stack}"
    recorded = [each for each in clone.ask("resources") if each["urn"].split("::")[0] == of]
    return recorded + clone.served()


def known(state: dict[str, Any]) -> set[tuple[str, str]]:
    """Types and ids that the state holds, of all that has a life of its own in a cloud.

    Of the dynamic resources Vertex AI's have. The others are a property of something that is looked at
    (the traffic, the model that is served), or an image, which stays by design and is named by its content.
    """
    return {
        (each["type"], each["id"])
        for each in state.get("resources") or ()
        if each["type"] in vertex.TYPES
        or (each["type"].startswith(PACKAGES) and not each["type"].startswith(DYNAMIC))
    }


def named(records: Sequence[Record]) -> Counter[str]:
    """How many of each resource; a model's name has its version in it."""
    return Counter(plain(" ".join(_what(each))) for each in records)


def strangers(records: Sequence[Record], state: dict[str, Any]) -> Counter[str]:
    """What stands without the state's knowing it."""
    ours = known(state)
    return named([each for each in records if _id(each) not in ours])


def _id(record: Record) -> tuple[str, str]:
    return record["token"], record["id"]


def _what(record: Record) -> tuple[str, str]:
    return record["token"], record["name"]


def _short(urn: str) -> str:
    return f"{guards.kind(urn)} {urn.rsplit('::', 1)[-1]}"


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
