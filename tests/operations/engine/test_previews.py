"""The drift that a refresh reports."""

from __future__ import annotations

from operations.engine import previews
from tests.operations.engine.test_guards import step


def test_drift_is_named_by_resource_and_property() -> None:
    changed = step(
        "refresh",
        "aws:lambda/function:Function",
        "f",
        oldState={"inputs": {"timeout": 30}, "outputs": {"timeout": 30, "etag": "1"}},
        newState={"inputs": {"timeout": 3}, "outputs": {"timeout": 3, "etag": "2"}},
    )
    same = step("refresh", "aws:iam/role:Role", "r", oldState={"inputs": {}}, newState={})
    gone = step("delete", "aws:iam/role:Role", "gone")
    found = previews.drift([changed, same, gone])
    assert found == {changed["urn"]: ["timeout"], gone["urn"]: ["gone"]}
