"""The contract: the rules for the platform on every cloud, whatever its resources are there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest

from components import build_context
from components import platform as components_platform
from components.contracts import Image
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
from tests.contract.outputs import MODEL_OUTPUTS, OUTPUTS

LONG = 4000
"""A build context, packed into a request."""
HOME = str(Path(__file__).resolve().parents[2])
SNAPSHOTS = Path(__file__).parent.parent / "snapshots"
CLOUDS: tuple[Cloud, ...] = ("aws", "gcp", "azure")
COMPONENTS = {
    "Foundation",
    "DataLake",
    "ImageRegistry",
    "ImageBuild",
    "Identity",
    "ModelArtifact",
    "ModelEndpoint",
    "Workspace",
    "ApiKey",
    "Gateway",
}


@pytest.fixture(scope="module", params=CLOUDS)
def built(request: pytest.FixtureRequest, platform: Build) -> Built:
    return platform(request.param)


def test_every_cloud_exports_the_same_contract(built: Built) -> None:
    _, outputs = built
    assert set(outputs) == OUTPUTS | {"readme"}  # exported on Pulumi Cloud only
    texts = {name: value for name, value in outputs.items() if name != "models"}
    assert all(isinstance(value, str) and value for value in texts.values()), outputs
    assert outputs["models"].keys() == {"flight-delay"}
    for model in outputs["models"].values():
        assert model.keys() == MODEL_OUTPUTS
        assert all(isinstance(value, str) and value for value in model.values())


def test_every_component_exists_on_every_cloud(built: Built) -> None:
    engine, outputs = built
    prefix = f"triplane:{outputs['cloud']}:"
    assert {r.type.removeprefix(prefix) for r in engine if r.type.startswith(prefix)} == COMPONENTS


def test_the_readme_names_the_gateway_but_never_the_key(built: Built) -> None:
    _, outputs = built
    assert outputs["gateway_url"] in outputs["readme"]
    assert outputs["gateway_key"] not in outputs["readme"]


@pytest.mark.parametrize(
    ("organization", "reference"),
    [(None, "{stack}"), ("organization", "{stack}"), ("acme", "acme/triplane/{stack}")],
)
def test_the_readmes_command_for_the_key_names_its_stack_whichever_one_is_selected(
    organization: str | None, reference: str, platform: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulumi, "get_organization", lambda: organization)
    _, outputs = platform("aws")
    named = reference.format(stack=pulumi.get_stack())
    assert f"gateway_key --show-secrets --stack {named})" in outputs["readme"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_readme_of_a_public_stack_shows_a_command_without_a_key(
    cloud: Cloud, platform: Build
) -> None:
    _, outputs = platform(cloud, gateway=json.dumps({"access": "public"}))
    assert "curl" in outputs["readme"]
    assert "gateway_key" not in outputs["readme"]


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
    """Everything the program registers, compared with ``tests/snapshots``.

    A difference is a change of what is built: read it, then accept it with ``make snapshots``.
    """
    engine, outputs = built
    cloud = outputs["cloud"]
    plan, file = rendered(engine), SNAPSHOTS / f"{cloud}.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(plan)
    assert file.exists(), f"{file.name} is missing: make snapshots"
    assert plan == file.read_text(), f"the plan for {cloud} changed: review it, then make snapshots"


EVERYTHING: dict[Cloud, dict[str, Any]] = {
    cloud: {
        "keep_data": True,
        "endpoint": {"min_instances": 2, "max_instances": 4},
        "gateway": {"max_concurrency": 200, "captures": "sync"},
        "delivery": {"repository": "acme/triplane", "environment": "production"},
        **({"machine": {"aws": "ml.m5.large"}} if cloud == "aws" else {}),
    }
    for cloud in CLOUDS
}
"""Settings that register what the plan without them leaves out: instances that scale, a delivery, data that stays."""


def test_what_more_settings_register_is_what_was_reviewed(built: Built, platform: Build) -> None:
    """The resources that are not, or not the same, in the plan above."""
    engine, outputs = built
    cloud = outputs["cloud"]
    more, _ = platform(cloud, **EVERYTHING[cloud])
    usual = json.loads(rendered(engine))
    added = [each for each in json.loads(rendered(more)) if each not in usual]
    text = json.dumps(added, indent=1, sort_keys=True) + "\n"
    file = SNAPSHOTS / f"{cloud}-everything.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(text)
    assert file.exists(), f"{file.name} is missing: make snapshots"
    assert text == file.read_text(), f"the plan for {cloud} changed: review it, then make snapshots"


def rendered(engine: Engine) -> str:
    """The record as sorted JSON, without what depends on the machine or on the workloads' code."""
    plan = [
        {
            "type": r.type,
            "name": r.name,
            "inputs": neutral(r.inputs),
            "options": options(engine.options(r)),
        }
        for r in engine
        if r.custom
    ]
    text = json.dumps(plan, indent=1, sort_keys=True, default=neutral) + "\n"
    text = re.sub(rf"({'|'.join(Image)})-[0-9a-f]{{16}}\b", r"\1-CONTENT-HASH", text)
    return text.replace(build_context.content_hash(WORKLOADS / Image.GATEWAY), "CONTENT-HASH")


def options(request: Any) -> dict[str, Any]:
    """The options of a resource, without those that it leaves at their default.

    https://github.com/pulumi/pulumi/blob/master/proto/pulumi/resource.proto (RegisterResourceRequest)
    """
    deletes_first = request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None
    timeouts = {
        name: getattr(request.customTimeouts, name) for name in ("create", "update", "delete")
    }
    found = {
        "parent": short(request.parent),
        "depends_on": sorted(map(short, request.dependencies)),
        "deleted_with": short(request.deletedWith),
        "protect": request.protect,
        "retain_on_delete": request.retainOnDelete,
        "ignore_changes": list(request.ignoreChanges),
        "replace_on_changes": list(request.replaceOnChanges),
        "secret_outputs": list(request.additionalSecretOutputs),
        "timeouts": {name: text for name, text in timeouts.items() if text},
    }
    shown = {name: value for name, value in found.items() if value}
    # False is an option of its own here: it overrules the provider.
    return shown if deletes_first is None else {**shown, "delete_before_replace": deletes_first}


def short(urn: str) -> str:
    """Type and name of a URN's resource, without the types of its parents."""
    _, _, rest = urn.partition("::triplane::")
    return rest.rpartition("$")[2]


def neutral(value: Any) -> Any:
    """Files by their name only: other tests check their content."""
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
    if isinstance(value, str) and value.startswith((HOME, "..")):
        return f"file:{Path(value).name}"
    return value


def test_a_snapshot_hides_the_places_of_this_machine_and_shows_those_in_a_cloud() -> None:
    log_group = "/aws/sagemaker/Endpoints/triplane-endpoint-dev-serverless"
    assert neutral({"name": log_group, "path": "/healthz"}) == {
        "name": log_group,
        "path": "/healthz",
    }
    assert neutral([f"{HOME}/lambda/Dockerfile", "../models/a"]) == ["file:Dockerfile", "file:a"]


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize(
    ("file", "ours", "others"),
    [
        ("gateway/page.js", "triplane-gateway", "triplane-(image|endpoint)"),
        ("model_server/serve.py", "triplane-(image|endpoint)", "triplane-gateway"),
        ("training/fit.py", "nothing", "triplane"),
    ],
)
def test_a_change_of_the_gateway_or_of_the_model_server_changes_nothing_of_the_other(
    cloud: Cloud,
    file: str,
    ours: str,
    others: str,
    platform: Build,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another model server is a rollout of the model: twenty minutes, and twice the machines, on Vertex AI."""
    monkeypatch.setattr(Engine, "new_resource", with_digest_of_tag(Engine.new_resource))
    copy = shutil.copytree(WORKLOADS, tmp_path / "lambda")
    monkeypatch.setattr(components_platform, "WORKLOADS", copy)
    before = inputs_by_name(platform(cloud)[0])
    (copy / file).write_text((copy / file).read_text() + "\n")
    after = inputs_by_name(platform(cloud)[0])
    assert before.keys() == after.keys()
    changed = {name for name, inputs in after.items() if inputs != before[name]}
    assert not [name for name in changed if re.match(others, name)]
    assert changed == {name for name in changed if re.match(ours, name)}
    assert bool(changed) == (ours != "nothing")


def with_digest_of_tag(new_resource: Any) -> Any:
    """Registers a built image with a digest that depends on its tag, as in a registry."""

    def registered(engine: Engine, args: Any) -> tuple[str, dict[str, Any]]:
        id_, outputs = new_resource(engine, args)
        if args.typ.endswith("BuiltImage"):
            digest = hashlib.sha256(outputs["tag"].encode()).hexdigest()
            outputs["image"] = f"{outputs['repository']}@sha256:{digest}"
        return id_, outputs

    return registered


def inputs_by_name(engine: Engine) -> dict[str, Any]:
    """The inputs of each resource, with the content of the files among them."""

    def read(value: Any) -> Any:
        if hasattr(value, "assets"):
            return {name: read(asset) for name, asset in value.assets.items()}
        return Path(value.path).read_bytes() if hasattr(value, "path") else value

    return {
        f"{r.name} {r.type}": {name: read(value) for name, value in r.inputs.items()}
        for r in engine
        if r.custom
    }


RULES: dict[Cloud, tuple[type[ResourceType], ...]] = {"aws": AWS, "gcp": GCP, "azure": AZURE}
TAGS_OF: dict[Cloud, tuple[int, int, int]] = {
    "aws": (46, 127, 255),
    "gcp": (59, 63, 63),
    "azure": (46, 128, 256),
}
"""How many there may be beside the platform's own, and the lengths of the longest key and value."""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_resource_takes_the_most_and_longest_tags_that_a_stack_may_set(
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
    rules = {type_.token: type_() for type_ in RULES[cloud]}
    input_name = "labels" if cloud == "gcp" else "tags"
    tagged = {
        each.type: each.inputs[input_name]
        for each in registered
        if input_name in each.inputs and not each.type.startswith("pulumi-python:dynamic/")
    }
    assert len(tagged) >= 5
    for type_, given in tagged.items():
        assert set(PLATFORM_TAGS) <= given.keys(), f"{type_} lacks the platform's own"
        rules[type_].check(
            cast(Context, None), Inputs({input_name: given}, frozenset({"template"}))
        )
    assert len(tags) + len(PLATFORM_TAGS) in map(len, tagged.values())


RETAINED: dict[Cloud, set[str]] = {
    "aws": {
        *(f"triplane-lake-{part}" for part in ("bucket", "encryption", "lifecycle", "ownership")),
        *(f"triplane-lake-{part}" for part in ("policy", "public-access", "versioning")),
        "triplane-registry-lifecycle",
        "triplane-registry-repository",
    },
    "gcp": {"triplane-lake-bucket"},
    "azure": {
        "triplane-foundation-group",
        *(f"triplane-lake-{zone}" for zone in ("builds", "captures", "curated", "models", "raw")),
        *(f"triplane-lake-{part}" for part in ("blob-service", "lifecycle", "state")),
        "triplanelake",
        "triplaneregistry",
    },
}
"""What a destroy leaves with ``keep_data``, beside the model's own objects."""


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("keep", [True, False])
def test_a_destroy_leaves_the_lake_if_the_data_is_kept_and_nothing_otherwise(
    cloud: Cloud, keep: bool, platform: Build
) -> None:
    engine, _ = platform(cloud, keep_data=keep)
    retained = {r.name for r in engine if engine.options(r).retainOnDelete}
    # The objects of a model go with their bucket, and stay with it.
    retained = {name for name in retained if not name.startswith("triplane-model-")}
    assert retained == (RETAINED[cloud] if keep else set())
