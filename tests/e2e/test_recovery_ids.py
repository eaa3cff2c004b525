"""The ids that recovery works out from inputs are the ids that the cloud gave."""

from __future__ import annotations

import json

from bench.harness import Stack
from components.resource_types import RESOURCE_TYPES
from operations.engine.state_file import exported_state
from operations.recovery import physical_ids


def test_an_id_worked_out_from_inputs_is_the_id_that_the_cloud_gave(stack: Stack) -> None:
    resources = stack.resources()
    checked = {}
    for each in resources:
        worked_out = physical_ids.physical_id(each, resources)
        if worked_out and RESOURCE_TYPES[each["type"]].keeps_import_id:
            checked[each["urn"]] = (worked_out, each["id"])
    assert len(checked) > 8
    assert {urn: pair for urn, pair in checked.items() if pair[0] != pair[1]} == {}


def test_a_states_file_is_read_as_the_engine_exports_it(stack: Stack) -> None:
    assert exported_state(stack.state) == json.loads(stack.pulumi("stack", "export"))
