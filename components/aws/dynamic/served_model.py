"""The model that an endpoint really serves: after a rollback, SageMaker's update looks like a success."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.aws.dynamic.clients import client
from components.dynamic import Props, Provider, not_found, wait_for

# SageMaker gives up on an update by itself; the longest bake and rollback stay well below.
UPDATE_SECONDS = 60 * 60
SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")


class NotServed(Exception):
    """The endpoint does not serve the wanted configuration. The message has what it serves, and the reason."""


class ServedModelProvider(Provider):
    """A check that the endpoint serves the configuration, and the wait until it does."""

    replace_on = frozenset({"endpoint"})

    def create(self, props: Props) -> CreateResult:
        _confirm(props)
        return CreateResult(props["endpoint"], dict(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        sagemaker = client("sagemaker", props["region"])
        try:
            found = sagemaker.describe_endpoint(EndpointName=props["endpoint"])
        except sagemaker.exceptions.ClientError as error:
            if "Could not find endpoint" in str(error):
                return not_found()
            raise
        # Another configuration in service is a difference, and the next `up` checks it.
        serving = found["EndpointConfigName"]
        return ReadResult(id_, {**props, "configuration": serving})

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        _confirm(news)
        return UpdateResult(dict(news))

    # No delete: this is a check, and the endpoint is deleted by its own resource.


class ServedModel(Resource, module="triplane", name="AwsServedModel"):
    """The model version that an endpoint serves."""

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


def _confirm(props: Props) -> None:
    """Wait for the end of the endpoint's update. Raises NotServed unless it serves the wanted configuration."""
    sagemaker = client("sagemaker", props["region"])

    def settled() -> dict[str, Any] | None:
        found: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=props["endpoint"])
        return found if found["EndpointStatus"] in SETTLED else None

    found = wait_for(
        settled, what=f"endpoint {props['endpoint']}", seconds=UPDATE_SECONDS, every=15
    )
    if found["EndpointStatus"] == "InService" and (
        found["EndpointConfigName"] == props["configuration"]
    ):
        return
    if found["EndpointStatus"] == "Failed":
        raise NotServed(
            f"endpoint {props['endpoint']} failed: {found.get('FailureReason', 'SageMaker gives no reason')}."
            f" Logs: /aws/sagemaker/Endpoints/{props['endpoint']}."
            # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
            " SageMaker allows nothing but its deletion now. Mend the model: the next update by make or by the delivery"
            " deletes the endpoint and creates it again. With plain Pulumi:"
            f" aws sagemaker delete-endpoint --endpoint-name {props['endpoint']} --region {props['region']};"
            " pulumi refresh; pulumi up"
        )
    raise NotServed(
        f"endpoint {props['endpoint']} is {found['EndpointStatus']} with configuration"
        f" {found['EndpointConfigName']}, not with {props['configuration']} of model version"
        f" {props['model_version']}: {found.get('FailureReason', 'it was rolled back')}."
        f" Logs: /aws/sagemaker/Endpoints/{props['endpoint']}."
        " Set `model` back, or mend the new version and run `pulumi up` again"
    )
