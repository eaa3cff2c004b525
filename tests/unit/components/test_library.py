"""The components in programs of other people: the examples are built, and the names that are public exist."""

from __future__ import annotations

import importlib
import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

import config.validation
from config.schema import StackConfig
from policy import mock_engine
from policy.mock_engine import Engine
from rehearsal.aws.conditions import like

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "how-to" / "use-as-a-library.md"


def built(
    name: str, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Engine, dict[str, Any]]:
    """An example's program under mocks, and what it exports."""
    project = yaml.safe_load((EXAMPLES / name / "Pulumi.yaml").read_text())["name"]
    exported: dict[str, Any] = {}
    monkeypatch.setattr(pulumi, "export", exported.__setitem__)
    values = {f"{project}:{key}": value for key, value in settings.items()}
    monkeypatch.setattr(pulumi.Config, "require", lambda _, key: values[f"{project}:{key}"])

    def program() -> dict[str, Any]:
        runpy.run_path(str(EXAMPLES / name / "__main__.py"))
        return exported

    return mock_engine.build(program)


def test_a_queue_beside_the_platform_hears_of_the_captures_and_of_nothing_else(
    configured: Callable[..., StackConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config.validation, "config_of_running_stack", lambda: configured("aws"))
    engine, exported = built("queue_beside_the_platform", {}, monkeypatch)
    assert exported.keys() == {"gateway_url", "captures_queue"}
    (notified,) = engine.one("aws:s3/bucketNotification:BucketNotification").inputs["queues"]
    assert notified["filterPrefix"] == "captures/"
    (statement,) = json.loads(engine.one("aws:sqs/queuePolicy:QueuePolicy").inputs["policy"])[
        "Statement"
    ]
    lake = engine.one("aws:s3/bucket:Bucket")
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": f"arn:aws:mock:::{lake.id}"}}
    plain, _ = mock_engine.platform(configured("aws"))
    assert {each.name for each in plain} < {each.name for each in engine}, "the platform is whole"


def test_a_lake_and_a_gateway_alone_serve_an_endpoint_that_exists_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version, endpoint = "ab" * 32, "Churn-Prod"
    settings = {"region": "eu-west-1", "model": "churn", "version": version, "endpoint": endpoint}
    engine, exported = built("lake_and_gateway", settings, monkeypatch)
    assert exported.keys() == {"lake_uri", "gateway_url"}
    components = {
        each.type.rpartition(":")[2] for each in engine if each.type.startswith("triplane:")
    }
    assert components == {"Foundation", "DataLake", "Identity", "Gateway"}
    variables = engine.one("aws:lambda/function:Function").inputs["environment"]["variables"]
    assert json.loads(variables["MODELS"]) == {"churn": [version, endpoint]}
    policies = [
        statement
        for each in engine.of("aws:iam/rolePolicy:RolePolicy")
        for statement in json.loads(each.inputs["policy"])["Statement"]
    ]
    allowed = {
        (action, resource)
        for each in policies
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
        for resource in (
            [each["Resource"]] if isinstance(each["Resource"], str) else each["Resource"]
        )
    }
    bucket = engine.one("aws:s3/bucket:Bucket").id
    contract = f"arn:aws:mock:::{bucket}/models/churn/{version}/contract.json"
    assert any(like(contract, resource) for action, resource in allowed if action == "s3:GetObject")
    (invoked,) = (resource for action, resource in allowed if action == "sagemaker:InvokeEndpoint")
    assert invoked.endswith(":endpoint/churn-prod")


def test_each_public_name_exists() -> None:
    section = PAGE.read_text().partition("## What is public")[2].partition("\n## ")[0]
    names = re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE)
    assert len(names) > 5
    for name in names:
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), name


def test_each_example_is_on_the_page() -> None:
    page = PAGE.read_text()
    for project in EXAMPLES.glob("*/Pulumi.yaml"):
        assert f"examples/{project.parent.name}`" in page
