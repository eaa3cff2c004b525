"""The ids that recovery works out from inputs are those under which everything stands."""

from __future__ import annotations

from bench.harness import Stack
from components.resource_types import RESOURCE_TYPES
from operations.recovery import physical_ids


def test_the_id_that_recovery_works_out_is_the_one_that_it_has(stack: Stack) -> None:
    resources = stack.resources()
    checked = {}
    for each in resources:
        worked_out = physical_ids.physical_id(each, resources)
        if worked_out and RESOURCE_TYPES[each["type"]].keeps_import_id:
            checked[each["urn"]] = (worked_out, each["id"])
    assert len(checked) > 8
    assert {urn: pair for urn, pair in checked.items() if pair[0] != pair[1]} == {}
