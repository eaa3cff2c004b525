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


NEXT_CLOUD = {"aws": "gcp", "gcp": "azure", "azure": "aws"}
ANOTHER_MACHINE = {
    "aws": {"aws": "ml.m5.large"},
    "gcp": {"gcp": "n1-standard-4"},
    "azure": {"azure": "Standard_DS4_v2"},
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
    if stack.settings["triplane:cloud"] == "gcp":
        printed = refused(stack, ("preview",), elsewhere)
        assert "write gcp:project: triplane-dev again" in printed, "the program knows its project"
        return
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


def refused(stack: Stack, command: tuple[str, ...], settings: dict[str, Any]) -> str:
    """What Pulumi prints when it fails with other settings, which are restored afterwards."""
    before = dict(stack.settings)
    stack.configure(**settings)
    try:
        return stack.pulumi(*command, code=1)
    finally:
        stack.settings = before
        stack.configure()


def existing_resources(stack: Stack) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """The URN and the id of each resource, and the outputs. Secrets are encrypted again each time a state is written.

    Sorted: the program's default provider and its stack, which no step creates, come in the order in which they were registered.
    """
    found = sorted((each["urn"], each.get("id", "")) for each in stack.resources())
    return found, stack.outputs()


def test_a_preview_with_values_has_the_old_and_the_new_one_and_no_secret(
    stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    before = dict(stack.settings)
    tags = before.get("triplane:tags") or {}
    stack.configure(**{"triplane:tags": {**tags, "team": "other-team"}})
    try:
        # Unchanged resources, too: that of the key is one.
        code, _ = stack.cli.streamed_preview("--diff", "--show-sames")
    finally:
        stack.settings = before
        stack.configure()
    shown = capfd.readouterr().out
    assert code == 0, shown
    assert "other-team" in shown
    assert f'"{tags["team"]}"' in shown
    assert "[secret]" in shown
    assert stack.outputs()["gateway_key"] not in shown


@pytest.mark.parametrize("what", ["cloud", "region"])
def test_plain_pulumi_refuses_another_cloud_or_region_and_nothing_changes(
    stack: Stack, what: str
) -> None:
    """The state names where the platform is; without `make` nothing else would ask."""
    cloud = stack.settings["triplane:cloud"]
    others = {"cloud": {"triplane:cloud": NEXT_CLOUD[cloud]}, "region": ANOTHER_REGION[cloud]}
    before, existing = dict(stack.settings), existing_resources(stack)
    for command in (("preview",), ("up", "--yes", "--skip-preview")):
        printed = refused(stack, command, others[what])
        ((key, written),) = others[what].items()
        assert f"stack {stack.name} exists elsewhere. Nothing was created or changed." in printed
        assert f"write {key}: {before[key]} again" in printed
        assert f"Pulumi.{stack.name}-{written}.yaml" in printed
        assert f"pulumi destroy --stack {stack.name}" in printed
        assert "Traceback" not in printed
    assert existing_resources(stack) == existing


def test_another_machine_is_brought_up_without_a_word_that_allows_it(stack: Stack) -> None:
    """On AWS from serverless to instances: another endpoint, which serves before the first one goes."""
    cloud = stack.settings["triplane:cloud"]
    machine = {**stack.settings["triplane:machine"], **ANOTHER_MACHINE[cloud]}
    words = ("preview", "--show-replacement-steps")
    changed = steps(stack, *words, **{"triplane:machine": machine})
    assert {step["op"] for step in changed} & {"update", "create-replacement"}
    assert guards.update_losses(changed, frozenset()) == []


def test_a_refresh_in_another_account_is_refused(stack: Stack) -> None:
    if stack.settings["triplane:cloud"] != "aws":
        pytest.skip("ids of Google Cloud and Azure name the project or subscription to look in")
    # With the program's settings; without, a refresh takes the provider's from the state.
    seen = steps(stack, "refresh", "--run-program", "--preview-only", **ELSEWHERE["aws"])
    assert "resources gone" in guards.refresh_losses(seen, frozenset())[0]
