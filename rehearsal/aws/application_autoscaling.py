"""Application Auto Scaling: checked and recorded, not run."""

from __future__ import annotations

import hashlib
import re
from typing import ClassVar

from rehearsal.aws import authorization
from rehearsal.aws.arns import arn, set_arn
from rehearsal.aws.calls import Call
from rehearsal.aws.sagemaker import ENDPOINT, SCALING_TARGET
from rehearsal.aws.tags import check_tags
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

POLICY = "aws:appautoscaling/policy:Policy"


class ScalingTarget(ResourceType):
    """What is scaled, and between which limits."""

    token = SCALING_TARGET
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
        # AWS chooses the target's id: 34 characters.
        # https://docs.aws.amazon.com/autoscaling/application/APIReference/API_ScalableTarget.html
        digest = hashlib.sha256(record.id.encode()).hexdigest()[:34]
        set_arn(context, record, "application-autoscaling", f"scalable-target/{digest}")
        found = re.fullmatch(r"endpoint/([^/]+)/variant/[^/]+", record.id)
        if found and context.find(ENDPOINT, name=found[1]) is None:
            raise Refusal(
                "ValidationException",
                f"Endpoint {found[1]} or its variant does not exist: {record.id}",
            )

    def delete(self, context: Context, record: Record) -> None:
        """A deregistration deletes the target's policies, too.

        https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DeregisterScalableTarget.html
        """
        for policy in context.all(POLICY):
            if policy.inputs["resourceId"] == record.id:
                context.store.remove(policy)


class ScalingPolicy(ResourceType):
    """A rule by which a target would be scaled."""

    token = POLICY
    source = (
        "https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html"
    )
    replace_on = frozenset({"name", "resourceId", "scalableDimension", "serviceNamespace"})
    references: ClassVar = {"resourceId": ScalingTarget.token}

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["name"]


def describe_scalable_targets(call: Call) -> Json:
    """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DescribeScalableTargets.html"""
    call.require("application-autoscaling:DescribeScalableTargets")
    wanted = call.body.get("ResourceIds")
    targets = (each for each in call.context.all(SCALING_TARGET) if not wanted or each.id in wanted)
    return {
        "ScalableTargets": [
            {
                "ServiceNamespace": each.inputs["serviceNamespace"],
                "ResourceId": each.id,
                "ScalableDimension": each.inputs["scalableDimension"],
                "MinCapacity": int(each.inputs["minCapacity"]),
                "MaxCapacity": int(each.inputs["maxCapacity"]),
                "RoleARN": arn(call.context, "iam", "", "role/aws-service-role"),
                "CreationTime": each.created,
            }
            for each in targets
        ]
    }


def deregister_scalable_target(call: Call) -> Json:
    """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DeregisterScalableTarget.html"""
    target = call.body["ResourceId"]
    found = call.context.get(SCALING_TARGET, target)
    authorization.require(call, "application-autoscaling", "DeregisterScalableTarget", call.body)
    if found is None:
        raise Refusal(
            "ObjectNotFoundException",
            f"No scalable target found for service namespace: sagemaker, resource ID: {target}",
        )
    with call.context.store.transaction():
        ScalingTarget().delete(call.context, found)
        call.context.store.remove(found)
    return {}
