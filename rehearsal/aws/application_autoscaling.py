"""Application Auto Scaling: checked and recorded, not run."""

from __future__ import annotations

import re
from typing import ClassVar

from rehearsal.aws.sagemaker import ENDPOINT
from rehearsal.aws.tags import check_tags
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType


class ScalingTarget(ResourceType):
    """What is scaled, and between which limits."""

    token = "aws:appautoscaling/target:Target"
    source = (
        "https://docs.aws.amazon.com/autoscaling/application/APIReference/"
        "API_RegisterScalableTarget.html"
    )
    replace_on = frozenset({"resourceId", "scalableDimension", "serviceNamespace"})

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)
        if inputs.get("minCapacity", 0) > inputs.get("maxCapacity", float("inf")):
            raise CheckFailure("maxCapacity", "ValidationException: it is below minCapacity")

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["resourceId"]
        found = re.fullmatch(r"endpoint/([^/]+)/variant/[^/]+", record.id)
        if found and context.find(ENDPOINT, name=found[1]) is None:
            raise Refusal(
                "ValidationException",
                f"Endpoint {found[1]} or its variant does not exist: {record.id}",
            )


class ScalingPolicy(ResourceType):
    """A rule by which a target would be scaled."""

    token = "aws:appautoscaling/policy:Policy"
    source = (
        "https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html"
    )
    replace_on = frozenset({"name", "resourceId", "scalableDimension", "serviceNamespace"})
    references: ClassVar = {"resourceId": ScalingTarget.token}

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["name"]
