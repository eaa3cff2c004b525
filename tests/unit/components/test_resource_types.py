"""The facts about resource types: complete, without strangers, and the same wherever they are needed twice."""

from __future__ import annotations

import re
from importlib import import_module
from typing import get_args

import pytest

from api_models import arm
from components.resource_type import DYNAMIC, SHARED, DeployPermissions
from components.resource_types import BY_CLOUD, RESOURCE_TYPES
from config.clouds import Cloud
from operations.recovery import physical_ids
from policy.mock_engine import Build


@pytest.mark.parametrize("cloud", get_args(Cloud))
def test_every_registered_type_has_an_entry_and_every_entry_is_registered(
    platform: Build, cloud: Cloud
) -> None:
    # With a delivery, and on instances: the most types that there can be.
    engine, _ = platform(
        cloud, delivery={"repository": "acme/triplane"}, machine={"aws": "ml.m5.large"}
    )
    assert {each.type for each in engine if each.custom} == BY_CLOUD[cloud].keys()


def test_only_shared_types_have_an_entry_on_more_than_one_cloud() -> None:
    tokens = [token for types in BY_CLOUD.values() for token in types]
    assert {token for token in tokens if tokens.count(token) > 1} == SHARED.keys()


def test_a_type_has_an_import_id_or_a_query_for_its_id_and_never_both() -> None:
    for token in physical_ids.QUERIES:
        assert RESOURCE_TYPES[token].import_id is None, token
    without = {token for token, type_ in RESOURCE_TYPES.items() if type_.import_id is None}
    # Recovery does not search for a scaling policy; a random key exists in the state only.
    assert without - physical_ids.QUERIES.keys() == {
        "aws:appautoscaling/policy:Policy",
        *SHARED,
    }


def test_ids_on_azure_follow_the_api_models_resource_manager_types() -> None:
    for token, type_ in BY_CLOUD["azure"].items():
        model = arm.TYPES.get(token.removeprefix("azure-native:"))
        if model is None:
            assert token.startswith("pulumi-python:"), token
            continue
        arm_type, names = model
        template = type_.import_id
        assert isinstance(template, str)
        if token != "azure-native:resources:ResourceGroup":  # a provider of its own in no id
            template = template.rpartition("/providers/")[2]
            # A storage account has one blob service, called default, and an app one policy for each way in.
            parts = re.sub(r"/(\{\w+\}|default|ftp$|scm$)", "", template)
            assert parts.lower() == arm_type.lower(), token
        assert tuple(re.findall(r"\{(\w+)\}", template))[-len(names) :] == names, token


def test_permissions_are_sorted_and_each_is_there_once() -> None:
    permissions = DeployPermissions.of(RESOURCE_TYPES).permissions
    assert permissions == sorted(set(permissions))


@pytest.mark.parametrize(
    ("cloud", "type_"),
    [("aws", "AwsBuiltImage"), ("azure", "AzureBuiltImage"), ("gcp", "GcpBuiltImage")],
)
def test_a_built_image_has_the_id_that_recovery_computes_from_its_inputs(
    monkeypatch: pytest.MonkeyPatch, cloud: Cloud, type_: str
) -> None:
    built_image = import_module(f"components.{cloud}.dynamic.built_image")
    monkeypatch.setattr(built_image.BuiltImageProvider, "digest", lambda *_: "sha256:00")
    inputs = {"repository": "registry/images", "tag": "abc", "region": "r", "project": "p"}
    resource = {"urn": "u", "type": f"{DYNAMIC}{type_}", "inputs": inputs}
    computed = physical_ids.physical_id(resource, [])
    provider = built_image.BuiltImageProvider()
    assert provider.create(inputs).id == computed == "registry/images:abc"
    assert provider.read(computed, inputs).id == computed
    # A state of an earlier version has the digest in the id; it keeps it, for an id is only changed by a replacement.
    assert provider.read("registry/images@sha256:00", inputs).id == "registry/images@sha256:00"
    assert provider.read(computed, inputs).outs["image"] == "registry/images@sha256:00"
