"""The resources that exist in a clone's cloud, and those that its state manages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from operations.crash import vertex
from operations.crash.checkout import Checkout
from operations.crash.normal_form import without_random_parts
from operations.crash.steps import PYTHON_PROVIDER, TYPES_OF_STEPS

Record = dict[str, Any]
"""An existing resource: ``token``, ``name``, ``id``, and ``created``, the time when the cloud created it."""


def existing_resources(checkout: Checkout) -> list[Record]:
    """What the cloud has of the stack's program, together with what no provider's own resource creates."""
    program = f"urn:pulumi:{checkout.stack}"
    resources = checkout.control("resources")
    recorded = [each for each in resources if each["urn"].split("::")[0] == program]
    return recorded + checkout.unrecorded_resources()


def managed_ids(state: dict[str, Any]) -> set[tuple[str, str]]:
    """Types and ids in the state, of everything that exists in a cloud by itself.

    Of the dynamic resources only Vertex AI's do. The others are a property of a resource that is compared (the
    traffic, the served model), or an image, which stays by design and is named by its content.
    """
    return {
        (each["type"], each["id"])
        for each in state.get("resources") or ()
        if each["type"] in vertex.TYPES
        or (
            each["type"].startswith(TYPES_OF_STEPS) and not each["type"].startswith(PYTHON_PROVIDER)
        )
    }


def count_by_name(records: Sequence[Record]) -> Counter[str]:
    """How many resources there are of each type and name. A model's name has its version in it."""
    return Counter(without_random_parts(" ".join(type_and_name(each))) for each in records)


def unmanaged(records: Sequence[Record], state: dict[str, Any]) -> Counter[str]:
    """The existing resources that the state does not manage, by type and name."""
    managed = managed_ids(state)
    return count_by_name([each for each in records if type_and_id(each) not in managed])


def type_and_id(record: Record) -> tuple[str, str]:
    return record["token"], record["id"]


def type_and_name(record: Record) -> tuple[str, str]:
    return record["token"], record["name"]
