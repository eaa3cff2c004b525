"""An endpoint on instances on AWS: what only the real engine shows of its updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.harness import ROOT, Rehearsal, Stack
from config.stack_file import StackFile
from tests.e2e import clients

TARGET = "aws:appautoscaling/target:Target"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"


@pytest.fixture
def instances(rehearsal: Rehearsal, models: list[str], tmp_path: Path) -> Stack:
    """A stack on AWS whose endpoint will run on instances; nothing is created yet."""
    settings = StackFile.read(ROOT / "Pulumi.dev.yaml").settings
    wanted: dict[str, Any] = {"triplane:cloud": "aws", "triplane:machine": {"aws": "ml.m5.large"}}
    stack = Stack(rehearsal, "e2e-instances", tmp_path, {**settings, **wanted})
    stack.init()
    return stack


def test_another_machine_deregisters_the_scaling_and_registers_it_again(instances: Stack) -> None:
    instances.up()
    endpoint = instances.outputs()["models"]["flight-delay"]["endpoint_name"]
    instances.configure(**{"triplane:machine": {"aws": "ml.m5.xlarge"}})
    instances.up()
    client = clients.Aws(instances.outputs())
    sagemaker, scaling = client.client("sagemaker"), client.client("application-autoscaling")
    used = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=used)["ProductionVariants"]
    assert variant["InstanceType"] == "ml.m5.xlarge"
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert [each["ResourceId"] for each in targets] == [f"endpoint/{endpoint}/variant/live"]
    kept = {each["type"]: each["id"] for each in instances.resources() if "id" in each}
    assert kept[ENDPOINT] == endpoint
    assert TARGET in kept
    instances.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    instances.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
