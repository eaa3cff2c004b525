"""A stack stays in its cloud, region and project: an update elsewhere would delete its data."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from components import stack_place
from components.stack_place import Move
from config.clouds import Cloud
from config.schema import StackConfig

LAKES: dict[Cloud, str] = {
    "aws": "aws:s3/bucket:Bucket",
    "gcp": "gcp:storage/bucket:Bucket",
    "azure": "azure-native:storage:StorageAccount",
}
REGIONS: dict[Cloud, tuple[str, str, str]] = {
    "aws": ("aws:region", "eu-west-1", "eu-west-2"),
    "gcp": ("gcp:region", "europe-west1", "europe-west4"),
    "azure": ("azure-native:location", "westeurope", "northeurope"),
}
Configured = Callable[..., StackConfig]


def resources(cloud: Cloud, **outputs: str) -> list[dict[str, Any]]:
    """A state with a lake, and what its foundation recorded."""
    foundation = {"type": f"triplane:{cloud}:Foundation", "outputs": outputs}
    return [foundation, {"type": LAKES[cloud], "outputs": {}}]


@pytest.mark.parametrize("cloud", LAKES)
def test_another_cloud_is_a_move_and_the_own_one_is_none(
    cloud: Cloud, configured: Configured
) -> None:
    for other in LAKES:
        found = stack_place.moves(resources(other), configured(cloud))
        assert found == ([] if other == cloud else [Move("triplane:cloud", other, cloud)])


@pytest.mark.parametrize("cloud", REGIONS)
def test_another_region_is_a_move(cloud: Cloud, configured: Configured) -> None:
    key, region, elsewhere = REGIONS[cloud]
    existing = resources(cloud, region=region, project="triplane-dev")
    assert stack_place.moves(existing, configured(cloud)) == []
    moved = stack_place.moves(existing, configured(cloud, **{key: elsewhere}))
    assert moved == [Move(key, region, elsewhere)]


def test_another_project_is_a_move(configured: Configured) -> None:
    existing = resources("gcp", region="europe-west1", project="triplane-dev")
    moved = stack_place.moves(existing, configured("gcp", **{"gcp:project": "triplane-prod"}))
    assert moved == [Move("gcp:project", "triplane-dev", "triplane-prod")]


@pytest.mark.parametrize("cloud", REGIONS)
def test_a_state_of_an_earlier_version_has_no_region_and_is_accepted(
    cloud: Cloud, configured: Configured
) -> None:
    key, _, elsewhere = REGIONS[cloud]
    assert stack_place.moves(resources(cloud), configured(cloud, **{key: elsewhere})) == []


def test_a_stack_without_anything_precious_may_begin_again_anywhere(configured: Configured) -> None:
    role = {"type": "aws:iam/role:Role", "outputs": {}}
    foundation = {"type": "triplane:aws:Foundation", "outputs": {"region": "eu-west-1"}}
    assert stack_place.moves([foundation, role], configured("gcp")) == []
    assert stack_place.moves([], configured("gcp")) == []


@pytest.mark.parametrize(
    ("keep_data", "fate"),
    [(True, "delete it without its data"), (False, "delete it with its data")],
)
def test_the_refusal_has_the_place_the_rule_what_is_lost_and_three_ways_out(
    keep_data: bool, fate: str
) -> None:
    text = stack_place.refusal(
        "Pulumi.prod.yaml",
        "prod",
        [Move("triplane:cloud", "aws", "gcp")],
        keep_data=keep_data,
        beside="make up CLOUD=gcp",
        destroy="pulumi destroy --stack prod",
    )
    for part in (
        "Pulumi.prod.yaml: stack prod exists elsewhere. Nothing was created or changed.",
        "triplane:cloud: gcp",
        "exists in aws",
        fate,
        "write triplane:cloud: aws again",
        "make up CLOUD=gcp",
        "pulumi destroy --stack prod",
    ):
        assert part in text, part


EOF = "invocation of pulumi:pulumi:readStackResourceOutputs returned an error: failed to load checkpoint: EOF"


def test_a_state_that_is_being_written_is_read_again(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [Exception(EOF), Exception(EOF), {"outputs": {}}]

    def invoke(*_: object) -> SimpleNamespace:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(value=answer)

    monkeypatch.setattr("pulumi.runtime.invoke", invoke)
    monkeypatch.setattr(stack_place, "stack_reference", lambda: "organization/triplane/dev")
    monkeypatch.setattr(stack_place.time, "sleep", lambda _: None)
    stack_place.refuse_another_place(configured("aws"))
    assert answers == []

    answers += [Exception("failed to load checkpoint: invalid character"), {"outputs": {}}]
    with pytest.raises(Exception, match="invalid character"):
        stack_place.refuse_another_place(configured("aws"))
    answers[:] = [Exception(EOF)] * 100
    with pytest.raises(Exception, match="EOF"):
        stack_place.refuse_another_place(configured("aws"))
