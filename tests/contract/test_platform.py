"""The contract: what holds for the platform on every cloud, whatever it is made of there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from components import build_context
from components.platform import WORKLOADS
from config.clouds import Cloud
from config.tags import PLATFORM_TAGS
from policy.mock_engine import Build, Built, Engine
from rehearsal.aws.profile import RESOURCE_TYPES as AWS
from rehearsal.azure.profile import RESOURCE_TYPES as AZURE
from rehearsal.core.records import Inputs
from rehearsal.gcp.profile import RESOURCE_TYPES as GCP
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

LONG = 4000
"""A build context, packed into a request."""
SNAPSHOTS = Path(__file__).parent.parent / "snapshots"
CLOUDS: tuple[Cloud, ...] = ("aws", "gcp", "azure")
OUTPUTS = {
    "cloud",
    "environment",
    "lake_uri",
    "image",
    "model_version",
    "endpoint_name",
    "endpoint_url",
    "gateway_url",
    "gateway_key",
}
NOUNS = {
    "Foundation",
    "DataLake",
    "ImageRegistry",
    "ImageBuild",
    "Identity",
    "ModelArtifact",
    "ModelEndpoint",
    "ApiKey",
    "Gateway",
}


@pytest.fixture(scope="module", params=CLOUDS)
def built(request: pytest.FixtureRequest, platform: Build) -> Built:
    return platform(request.param)


def test_every_cloud_exports_the_same_contract(built: Built) -> None:
    _, outputs = built
    assert set(outputs) == OUTPUTS | {"readme"}
    assert all(isinstance(value, str) and value for value in outputs.values()), outputs


def test_every_noun_stands_on_every_cloud(built: Built) -> None:
    engine, outputs = built
    prefix = f"triplane:{outputs['cloud']}:"
    assert {r.type.removeprefix(prefix) for r in engine if r.type.startswith(prefix)} == NOUNS


def test_the_readme_names_the_gateway_but_never_the_key(built: Built) -> None:
    _, outputs = built
    assert outputs["gateway_url"] in outputs["readme"]
    assert outputs["gateway_key"] not in outputs["readme"]


def test_two_builds_of_the_same_settings_are_identical(built: Built, platform: Build) -> None:
    first, outputs = built
    second, again = platform(outputs["cloud"])
    assert rendered(first) == rendered(second)
    assert outputs == again


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_public_gateway_has_no_key(cloud: Cloud, platform: Build) -> None:
    engine, outputs = platform(cloud, gateway={"access": "public"})
    assert "gateway_key" not in outputs
    assert not engine.of(f"triplane:{cloud}:ApiKey")


def test_the_plan_is_the_one_that_was_reviewed(built: Built) -> None:
    """Everything the program registers, held against ``tests/snapshots``.

    A difference is a change of what is built: read it, then accept it with ``make snapshots``.
    """
    engine, outputs = built
    cloud = outputs["cloud"]
    plan, file = rendered(engine), SNAPSHOTS / f"{cloud}.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(plan)
    assert file.exists(), f"{file.name} is missing: make snapshots"
    assert plan == file.read_text(), f"the plan for {cloud} changed: review it, then make snapshots"


def rendered(engine: Engine) -> str:
    """The record as JSON, sorted; what depends on the machine or on the workloads' code is not part of a plan."""
    plan = [
        {"type": r.type, "name": r.name, "inputs": neutral(r.inputs)} for r in engine if r.custom
    ]
    text = json.dumps(plan, indent=1, sort_keys=True, default=neutral) + "\n"
    return text.replace(build_context.content_hash(WORKLOADS), "CONTENT-HASH-OF-THE-WORKLOADS")


def neutral(value: Any) -> Any:
    """Files by their name only: their content is the business of other tests."""
    if isinstance(value, Mapping):
        return {key: neutral(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [neutral(item) for item in value]
    if hasattr(value, "path"):
        return f"file:{Path(str(value.path)).name}"
    if hasattr(value, "assets"):
        return {key: neutral(item) for key, item in value.assets.items()}
    if isinstance(value, str) and len(value) > LONG:
        return f"text of more than {LONG} characters"
    if isinstance(value, str) and value.startswith(("/", "..")):
        return f"file:{Path(value).name}"
    return value


RULES: dict[Cloud, tuple[type[ResourceType], ...]] = {"aws": AWS, "gcp": GCP, "azure": AZURE}
TAGS_OF: dict[Cloud, tuple[int, int, int]] = {
    "aws": (46, 127, 255),
    "gcp": (59, 63, 63),
    "azure": (46, 128, 256),
}
"""How many there may be beside the platform's own, and the lengths of the longest key and value."""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_as_many_and_as_long_tags_as_a_stack_may_set_are_taken_everywhere(
    cloud: Cloud, platform: Build
) -> None:
    most, key, value = TAGS_OF[cloud]
    tags = {"k" * key: "v" * value} | {f"tag-{number}": "" for number in range(most - 1)}
    delivery = json.dumps({"repository": "acme/triplane"})
    machine = json.dumps({"aws": "ml.m5.large"})
    registered, _ = platform(
        cloud,
        **{
            "triplane:tags": json.dumps(tags),
            "triplane:delivery": delivery,
            "triplane:machine": machine,
        },
    )
    rules = {kind.token: kind() for kind in RULES[cloud]}
    word = "labels" if cloud == "gcp" else "tags"
    held = {
        each.type: each.inputs[word]
        for each in registered
        if word in each.inputs and not each.type.startswith("pulumi-python:dynamic/")
    }
    assert len(held) >= 5
    for type_, given in held.items():
        assert set(PLATFORM_TAGS) <= given.keys(), f"{type_} lacks the platform's own"
        rules[type_].check(cast(Context, None), Inputs({word: given}, frozenset({"template"})))
    assert len(tags) + len(PLATFORM_TAGS) in map(len, held.values())
