"""The drift that a refresh reports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operations.engine import previews
from tests.operations.engine.test_guards import PLATFORM

DEPLOYMENT = "pulumi-python:dynamic/triplane:VertexDeployment"
FUNCTION = "aws:lambda/function:Function"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
SUMMARY = json.dumps({"summaryEvent": {"resourceChanges": {"same": 1}}})


def event(op: str, token: str, name: str, **more: Any) -> str:
    """A line of the event log of a refresh."""
    metadata = {"op": op, "urn": f"{PLATFORM}${token}::{name}", **more}
    return json.dumps({"resOutputsEvent": {"metadata": metadata}})


def drift(*events: str) -> dict[str, list[str]]:
    """The drift in the event log, by the resources' names."""
    found = previews.drift(previews.refresh_steps("\n".join([*events, SUMMARY])))
    return {urn.rpartition("::")[2]: properties for urn, properties in found.items()}


def test_drift_is_named_by_resource_and_property() -> None:
    paths = {"timeout": {"kind": "update"}, "environment.variables.ACCESS": {"kind": "update"}}
    changed = event("update", FUNCTION, "f", detailedDiff=paths)
    gone = event("delete", "aws:iam/role:Role", "gone")
    assert drift(changed, gone) == {"f": ["environment", "timeout"], "gone": ["gone"]}


def test_drift_of_dynamic_resources_is_named_without_a_detailed_diff() -> None:
    new = {
        "inputs": {"__provider": "p", "machine": "n1", "max_instances": 2, "min_instances": 1},
        "outputs": {"machine": "n1", "max_instances": 9, "min_instances": 5, "computed": "new"},
    }
    changed = event("update", DEPLOYMENT, "d", new=new)
    assert drift(changed) == {"d": ["max_instances", "min_instances"]}


def test_drift_that_the_engine_does_not_show_is_drift_all_the_same() -> None:
    same = {"inputs": {"value": SECRET}, "outputs": {"value": SECRET}}
    assert drift(event("update", DEPLOYMENT, "key", old=same, new=same)) == {
        "key": [previews.UNNAMED]
    }


def test_values_that_only_the_cloud_chooses_are_no_drift() -> None:
    old = {"inputs": {"timeout": 30}, "outputs": {"timeout": 30, "etag": "1"}}
    new = {"inputs": {"timeout": 30}, "outputs": {"timeout": 30, "etag": "2"}}
    assert drift(event("same", FUNCTION, "f", old=old, new=new)) == {}


def test_an_interrupted_refresh_is_not_a_stack_without_drift() -> None:
    with pytest.raises(ValueError, match="interrupted"):
        previews.refresh_steps(event("same", FUNCTION, "f"))


@pytest.mark.parametrize("member", ["steps", "diagnostics", "changeSummary"])
def test_what_a_failed_or_empty_preview_prints_is_a_preview(member: str) -> None:
    assert previews.preview_document(json.dumps({member: []})) == {member: []}


@pytest.mark.parametrize(
    "text", ["", '{"steps": [', "[]", "{}", '{"version": 3, "deployment": {}}']
)
def test_anything_else_is_no_preview(text: str) -> None:
    with pytest.raises(ValueError, match="is not, or not completely, what `pulumi preview --json`"):
        previews.preview_document(text)


def test_the_event_log_of_a_preview_has_the_steps_of_its_json() -> None:
    """https://github.com/pulumi/pulumi/blob/v3.250.0/sdk/go/common/apitype/events.go (StepEventMetadata)"""
    metadata = {
        "op": "replace",
        "urn": "u",
        "old": {"id": "1"},
        "new": {"id": "2"},
        "detailedDiff": {"a": {}},
        "diffs": ["a"],
        "keys": ["b"],
    }
    lines = [
        {"preludeEvent": {}},
        {"resourcePreEvent": {"metadata": metadata}},
        {"summaryEvent": 1},
    ]
    assert previews.previewed_steps("\n".join(map(json.dumps, lines))) == [
        {
            "op": "replace",
            "urn": "u",
            "oldState": {"id": "1"},
            "newState": {"id": "2"},
            "detailedDiff": {"a": {}},
            "diffReasons": ["a"],
            "replaceReasons": ["b"],
        }
    ]


def test_only_errors_are_errors_and_a_line_that_was_cut_hides_none() -> None:
    lines = [
        '{"diagnosticEvent": {"severity": "err',
        json.dumps({"diagnosticEvent": {"severity": "warning", "message": "old"}}),
        json.dumps({"diagnosticEvent": {"severity": "error", "message": "no room"}}),
        json.dumps({"summaryEvent": {}}),
        json.dumps({"diagnosticEvent": {"severity": "error"}}),
        json.dumps({"diagnosticEvent": {"severity": "error", "message": "no key"}}),
    ]
    assert previews.errors_in("\n".join(lines)) == "no room\n\nno key"
    assert previews.errors_in("") == ""
