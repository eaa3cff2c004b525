"""What an endpoint really serves: after a rollback, SageMaker's update looks like a success."""

from __future__ import annotations

from typing import Any

import boto3
import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.dynamic import Props, Provider, gone, wait_for

# SageMaker gives up on an update by itself; the longest bake and rollback stay well below.
SECONDS = 60 * 60
SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")


class NotServed(Exception):
    """The endpoint serves something else than was asked for; says what, and why."""


class ServedModelProvider(Provider):
    """Reads the region from the inputs and the credentials, as boto3 does, when it acts."""

    replace_on = frozenset({"endpoint"})

    def create(self, props: Props) -> CreateResult:
        confirm(props)
        return CreateResult(props["endpoint"], dict(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        sagemaker = boto3.client("sagemaker", region_name=props["region"])
        try:
            found = sagemaker.describe_endpoint(EndpointName=props["endpoint"])
        except sagemaker.exceptions.ClientError as error:
            if "Could not find endpoint" in str(error):
                return gone()
            raise
        # Another configuration in service shows as a difference, which the next `up` looks into.
        serving = found["EndpointConfigName"]
        return ReadResult(id_, {**props, "configuration": serving})

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        confirm(news)
        return UpdateResult(dict(news))

    # Deleting does nothing: this is a check, and the endpoint is deleted by its own resource.


class ServedModel(Resource, module="triplane", name="AwsServedModel"):
    """The model version that an endpoint was seen to serve."""

    model_version: pulumi.Output[str]
    """Known once the endpoint serves it."""

    def __init__(
        self,
        name: str,
        *,
        region: str,
        endpoint: pulumi.Input[str],
        configuration: pulumi.Input[str],
        model_version: str,
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {
            "region": region,
            "endpoint": endpoint,
            "configuration": configuration,
            "model_version": model_version,
        }
        super().__init__(ServedModelProvider(), name, props, opts)


def confirm(props: Props) -> None:
    """Wait until the endpoint rests; raise NotServed unless it serves the wanted configuration."""
    sagemaker = boto3.client("sagemaker", region_name=props["region"])

    def rested() -> dict[str, Any] | None:
        found: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=props["endpoint"])
        return found if found["EndpointStatus"] in SETTLED else None

    found = wait_for(rested, what=f"endpoint {props['endpoint']}", seconds=SECONDS, every=15)
    if found["EndpointStatus"] == "InService" and (
        found["EndpointConfigName"] == props["configuration"]
    ):
        return
    raise NotServed(
        f"endpoint {props['endpoint']} is {found['EndpointStatus']} with configuration"
        f" {found['EndpointConfigName']}, not with {props['configuration']} of model version"
        f" {props['model_version']}: {found.get('FailureReason', 'it was rolled back')}."
        f" Logs: /aws/sagemaker/Endpoints/{props['endpoint']}."
        " Set `model` back, or mend the new version and run `pulumi up` again"
    )
