# ruff: noqa: UP007, UP042, UP045  # as the SDKs write their types
"""What is read of the installed SDKs: types, what is required, what replaces, defaults and the form of ids.

The facts are those of the SDKs' own documentation; the extracting process reads the same in another process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Optional, Union

import pulumi
import pulumi_aws
import pulumi_azure_native  # noqa: F401  # registers its types
import pulumi_gcp  # noqa: F401  # registers its types
import pytest

from rehearsal.core import extract
from rehearsal.core.extract import Describer, describe, optional, suggested_values


@cache
def of(token: str) -> dict[str, Any]:
    return describe(token)


class Colour(str, Enum):
    RED = "red"
    BLUE = "blue"


class Strict(Enum):
    ONE = "1"


@pytest.mark.parametrize(
    ("hint", "described"),
    [
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (bool, "boolean"),
        (pulumi.Output[str], "string"),
        (pulumi.Output[Optional[int]], "integer"),
        (Optional[bool], "boolean"),
        (str | None, "string"),
        (list[str], ["list", "string"]),
        (Sequence[int], ["list", "integer"]),
        (dict[str, str], ["map", "string"]),
        (Mapping[str, list[int]], ["map", ["list", "integer"]]),
        (Strict, ["enum", ["1"]]),
        (Union[str, Colour], "string"),
        (Union[int, Strict], ["union", ["integer", ["enum", ["1"]]]]),
        (Union[str, int], ["union", ["string", "integer"]]),
        (pulumi.Archive, "asset"),
        (pulumi.FileAsset, "asset"),
        (Any, "any"),
        (bytes, "any"),
    ],
)
def test_an_annotation_of_an_sdk_is_plain_data(hint: Any, described: Any) -> None:
    assert Describer().annotation(hint) == described


@pytest.mark.parametrize(
    ("hint", "values"),
    [
        (Union[str, Colour], ["red", "blue"]),
        (Optional[str | Colour], ["red", "blue"]),
        (Sequence[str | Colour], ["red", "blue"]),
        (Mapping[str, str | Colour], []),
        (str, []),
        (Strict, []),
    ],
)
def test_the_values_of_a_relaxed_enumeration_are_a_suggestion(hint: Any, values: list[str]) -> None:
    assert suggested_values(hint) == values


def test_an_output_may_be_absent_if_its_type_says_so() -> None:
    assert optional(pulumi.Output[Optional[str]])
    assert not optional(pulumi.Output[str])
    assert not optional(str)


def facts(token: str, property: str, which: str = "inputs") -> dict[str, Any]:
    found: dict[str, Any] = of(token)[which][property]
    return found


# https://www.pulumi.com/registry/packages/aws/api-docs/sqs/queue/ and its siblings
@pytest.mark.parametrize(
    ("token", "property", "expected"),
    [
        (
            "aws:sqs/queue:Queue",
            "delaySeconds",
            {"type": "integer", "required": False, "default": "0"},
        ),
        (
            "aws:sqs/queue:Queue",
            "fifoQueue",
            {"type": "boolean", "required": False, "default": "false"},
        ),
        ("aws:sqs/queue:Queue", "tags", {"type": ["map", "string"], "required": False}),
        ("aws:s3/bucketVersioning:BucketVersioning", "bucket", {"required": True}),
        ("aws:cloudwatch/alarmMuteRule:AlarmMuteRule", "name", {"replaces": True}),
        ("gcp:storage/bucket:Bucket", "location", {"type": "string", "required": True}),
        ("azure-native:storage:StorageAccount", "kind", {"type": "string", "required": True}),
        ("azure-native:storage:StorageAccount", "tags", {"type": ["map", "string"]}),
    ],
)
def test_an_input_has_its_type_and_what_its_documentation_says(
    token: str, property: str, expected: dict[str, Any]
) -> None:
    found = facts(token, property)
    assert {name: found.get(name) for name in expected} == expected
    if "default" not in expected and "replaces" not in expected:
        assert "default" not in found


def test_nested_types_are_named_and_described_once() -> None:
    versioning = of("aws:s3/bucketVersioning:BucketVersioning")
    kind, name = versioning["inputs"]["versioningConfiguration"]["type"]
    assert (kind, name) == (
        "object",
        "pulumi_aws.s3._inputs.BucketVersioningVersioningConfigurationArgs",
    )
    assert versioning["types"][name] == {
        "status": {"type": "string", "required": True},
        "mfaDelete": {"type": "string", "required": False},
    }
    kind, name = facts(
        "aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration", "outputs"
    )["type"]
    assert name.startswith("pulumi_aws.s3.outputs.")
    assert "status" in versioning["types"][name]
    sku = of("azure-native:storage:StorageAccount")["inputs"]["sku"]["type"][1]
    assert of("azure-native:storage:StorageAccount")["types"][sku]["name"]["required"]


@pytest.mark.parametrize(
    ("token", "template"),
    [
        ("gcp:pubsub/topic:Topic", "projects/{project}/topics/{name}"),
        ("aws:sqs/queue:Queue", "{url}"),
        ("aws:s3/bucketVersioning:BucketVersioning", ""),
        ("azure-native:storage:StorageAccount", ""),
    ],
)
def test_the_form_of_an_id_is_that_of_the_documented_import(token: str, template: str) -> None:
    assert of(token)["id_template"] == template


def test_an_output_is_required_unless_it_may_be_absent() -> None:
    assert facts("aws:sqs/queue:Queue", "arn", "outputs") == {"type": "string", "required": True}
    assert not facts("aws:sqs/queue:Queue", "kmsMasterKeyId", "outputs")["required"]


def test_an_unknown_type_is_answered_with_three_similar_ones() -> None:
    assert of("aws:sqs/queue:Queu") == {
        "similar": [
            "aws:sqs/queue:Queue",
            "aws:sqs/queuePolicy:QueuePolicy",
            "aws:connect/queue:Queue",
        ]
    }
    assert extract.resource_class("aws:sqs/queue:Queue") is pulumi_aws.sqs.Queue
    assert extract.resource_class("aws:none/none:None") is None


def test_the_cloud_s_own_rules_of_a_type_come_along() -> None:
    rules = of("azure-native:storage:StorageAccount")["rules"]
    assert rules["source"]
    assert rules["rule"]


def test_the_extracting_process_answers_each_line_with_one_line() -> None:
    command = [sys.executable, "-m", "rehearsal.core.extract", "pulumi_aws"]
    asked = "aws:sqs/queue:Queue\naws:sqs/queue:Queu\n"
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert '"delaySeconds"' in first
    assert '"similar"' in second
