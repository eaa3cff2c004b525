"""The deregistration of an endpoint from automatic scaling, before an update to another machine.

Application Auto Scaling refuses an UpdateEndpoint that changes the instance type of a variant that is a scalable
target, or that removes such a variant; so another name for the variant would not help. The target must be
deregistered first, and registered again afterwards.
https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
https://github.com/hashicorp/terraform-provider-aws/issues/14337

The target's own resource cannot do it: it is created after the endpoint, and so is changed after it, too.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.aws.dynamic.clients import client
from components.dynamic import Props, Provider, wait_for

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
# As long as the provider waits for a deregistration.
DEREGISTRATION_SECONDS = 5 * 60


def resource_id(endpoint: str, variant: str) -> str:
    """The name of an endpoint's variant in Application Auto Scaling."""
    return f"endpoint/{endpoint}/variant/{variant}"


class ScalingDeregistrationProvider(Provider):
    """Deregisters the variant if the endpoint runs on another machine. Idempotent."""

    replace_on = frozenset({"endpoint", "region", "variant"})

    def create(self, props: Props) -> CreateResult:
        _deregister_for(props)
        return CreateResult(props["endpoint"], {**props, "generation": "0"})

    def read(self, id_: str, props: Props) -> ReadResult:
        # An import has read nothing before.
        return ReadResult(id_, {**props, "generation": props.get("generation") or "0"})

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        _deregister_for(news)
        # Also when there was nothing to deregister: an earlier run may have done it, and have ended before it
        # could register the target again.
        return UpdateResult({**news, "generation": str(int(olds["generation"]) + 1)})

    # No delete: what is registered is deregistered by its own resource.


class ScalingDeregistration(Resource, module="triplane", name="AwsScalingDeregistration"):
    """The endpoint's variant is no scalable target while the endpoint changes its machine."""

    generation: pulumi.Output[str]
    """Another value after each change of the machine: then the target must be registered again."""

    def __init__(
        self,
        name: str,
        *,
        region: str,
        endpoint: str,
        variant: str,
        machine: str,
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {"region": region, "endpoint": endpoint, "variant": variant, "machine": machine}
        super().__init__(ScalingDeregistrationProvider(), name, {**props, "generation": None}, opts)


def _deregister_for(props: Props) -> None:
    """Deregister the variant, unless the endpoint does not exist or is on the wanted machine already."""
    if _machine(props) in (None, props["machine"]):
        return
    scaling = client("application-autoscaling", props["region"])
    target = resource_id(props["endpoint"], props["variant"])
    try:
        scaling.deregister_scalable_target(
            ServiceNamespace=NAMESPACE, ResourceId=target, ScalableDimension=DIMENSION
        )
    except scaling.exceptions.ObjectNotFoundException:
        return

    def gone() -> bool | None:
        found = scaling.describe_scalable_targets(
            ServiceNamespace=NAMESPACE, ResourceIds=[target], ScalableDimension=DIMENSION
        )
        return None if found["ScalableTargets"] else True

    wait_for(gone, what=f"deregistration of {target}", seconds=DEREGISTRATION_SECONDS)


def _machine(props: Props) -> str | None:
    """The instance type that the endpoint runs on; None if there is no endpoint. Empty if it cannot be known,
    because the configuration in use was deleted, which AWS allows."""
    sagemaker = client("sagemaker", props["region"])
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=props["endpoint"])
    except sagemaker.exceptions.ClientError as error:
        if "Could not find endpoint" in str(error):
            return None
        raise
    try:
        configuration: dict[str, Any] = sagemaker.describe_endpoint_config(
            EndpointConfigName=endpoint["EndpointConfigName"]
        )
    except sagemaker.exceptions.ClientError as error:
        if "Could not find endpoint configuration" in str(error):
            return ""
        raise
    variants = configuration["ProductionVariants"]
    return next(
        (str(v.get("InstanceType", "")) for v in variants if v["VariantName"] == props["variant"]),
        "",
    )
