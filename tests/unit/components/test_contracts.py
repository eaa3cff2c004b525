"""The components' interfaces: what a cloud's component may be given."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components import clouds
from components.contracts import (
    Access,
    ApiKeyArgs,
    DataLakeArgs,
    FoundationArgs,
    Grant,
    ImageRegistryArgs,
    Zone,
)
from policy.mock_engine import build

ARGS = FoundationArgs(region="eu-west-1", environment="dev", tags={}, keep_data=True)


def test_a_component_of_another_cloud_is_refused_naming_both_classes() -> None:
    aws, azure = clouds.load("aws"), clouds.load("azure")

    def program() -> dict[str, Any]:
        foundation = aws.Foundation("f", ARGS)
        with pytest.raises(
            TypeError,
            match=r"components\.azure\.foundation\.Foundation is needed, and"
            r" components\.aws\.foundation\.Foundation was given",
        ):
            azure.ApiKey("k", ApiKeyArgs(foundation=foundation, rotation=1))
        return {"done": pulumi.Output.from_input(True)}

    build(program)


def test_a_grant_names_a_zone_if_and_only_if_its_target_is_a_lake() -> None:
    aws = clouds.load("aws")

    def program() -> dict[str, Any]:
        foundation = aws.Foundation("f", ARGS)
        registry = aws.ImageRegistry("r", ImageRegistryArgs(foundation=foundation))
        lake = aws.DataLake(
            "l", DataLakeArgs(foundation=foundation, captures_days=1, noncurrent_days=1)
        )
        with pytest.raises(TypeError, match="if, and only if"):
            Grant(lake, Access.READ)
        with pytest.raises(TypeError, match="if, and only if"):
            Grant(registry, Access.PULL, Zone.RAW)
        return {"done": pulumi.Output.from_input(True)}

    build(program)
