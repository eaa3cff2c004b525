"""The guards with real previews: another account, and the loss of something precious."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.harness import Stack
from components.resource_types import PRECIOUS
from operations.engine import guards
from operations.engine.previews import Step
from operations.engine.resources import resource_type

ELSEWHERE: dict[str, dict[str, Any]] = {
    "aws": {"aws:assumeRoles": [{"roleArn": "arn:aws:iam::210987654321:role/deploy"}]},
    "gcp": {"gcp:project": "another-project"},
    "azure": {"azure-native:subscriptionId": "99999999-aaaa-4bbb-8ccc-000000000001"},
}
ANOTHER_REGION = {
    "aws": {"aws:region": "eu-west-2"},
    "gcp": {"gcp:region": "europe-west4"},
    "azure": {"azure-native:location": "northeurope"},
}


def steps(stack: Stack, *words: str, **settings: Any) -> list[Step]:
    """A preview's steps with other settings, which are restored afterwards."""
    before = dict(stack.settings)
    stack.configure(**settings)
    try:
        return list(json.loads(stack.pulumi(*words, "--json"))["steps"])
    finally:
        stack.settings = before
        stack.configure()


def test_another_account_is_refused(stack: Stack) -> None:
    elsewhere = ELSEWHERE[stack.settings["triplane:cloud"]]
    [reason] = guards.preview_account_refusals(steps(stack, "preview", **elsewhere))
    assert "the stack was created in" in reason


def test_replacing_the_lake_is_refused_until_it_is_named(stack: Stack) -> None:
    lake = next(
        each["urn"]
        for each in stack.resources()
        if PRECIOUS.get(resource_type(each["urn"])) == "lake"
    )
    costly = steps(stack, "preview", "--replace", lake)
    reasons = "\n".join(guards.update_losses(costly, frozenset()))
    assert "replaces the lake" in reasons
    named = {step["urn"] for step in costly}
    assert guards.update_losses(costly, named) == []


def test_another_region_would_cost_the_lake_and_is_refused(stack: Stack) -> None:
    elsewhere = ANOTHER_REGION[stack.settings["triplane:cloud"]]
    refused = guards.update_losses(steps(stack, "preview", **elsewhere), frozenset())
    assert any("replaces the lake" in reason for reason in refused), refused


def test_a_refresh_in_another_account_is_refused(stack: Stack) -> None:
    if stack.settings["triplane:cloud"] != "aws":
        pytest.skip("ids of Google Cloud and Azure name the project or subscription to look in")
    # With the program's settings; without, a refresh takes the provider's from the state.
    seen = steps(stack, "refresh", "--run-program", "--preview-only", **ELSEWHERE["aws"])
    assert "resources gone" in guards.refresh_losses(seen, frozenset())[0]
