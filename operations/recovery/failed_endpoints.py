"""A SageMaker endpoint that failed: it can only be deleted, and its fixed name blocks the creation of the next.

The provider keeps an endpoint in the state whose creation failed, and the engine then updates it. SageMaker refuses
an update of a failed endpoint: "DeleteEndpoint is the only operation that can be performed on a failed endpoint".
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html

So before an update a failed endpoint is deleted, and a refresh takes it out of the state: the update creates it. It
serves nothing that could be lost. Vertex AI and Azure ML accept an update of what failed.
"""

from __future__ import annotations

import time
from typing import Any

from config.schema import StackConfig
from operations.engine import account, guards
from operations.engine.resources import Resource
from operations.engine.stack import Stack
from operations.terminal import fail, say

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
SERVED_MODEL = "pulumi-python:dynamic/triplane:AwsServedModel"
DELETION_SECONDS = 10 * 60


def delete_failed_endpoints(stack: Stack, config: StackConfig) -> None:
    """Delete the stack's endpoint if it failed, and remove it from the state."""
    if config.cloud != "aws":
        return
    for endpoint in unconfirmed_endpoints(stack.resources()):
        guards.refuse(account.account_refusals(stack, config))
        if _delete_if_failed(endpoint["id"], config.region):
            options = ("--yes", "--skip-preview", "--suppress-outputs")
            stack.pulumi("refresh", *options, "--target", endpoint["urn"])


def unconfirmed_endpoints(resources: list[Resource]) -> list[Resource]:
    """The endpoints in a state that may have failed: the last operation on one ended with an error, or it was
    never seen to serve. So nothing is queried in a usual run."""
    confirmed = any(
        each["type"] == SERVED_MODEL and not each.get("initErrors") for each in resources
    )
    return [
        each
        for each in resources
        if each["type"] == ENDPOINT
        and not each.get("delete")
        and each.get("id")
        and (each.get("initErrors") or not confirmed)
    ]


def _delete_if_failed(name: str, region: str) -> bool:
    """Whether the endpoint had failed; it is deleted then."""
    import boto3

    sagemaker = boto3.client("sagemaker", region_name=region)
    found = _described(sagemaker, name)
    if found is None or found["EndpointStatus"] != "Failed":
        return False
    say(
        f"endpoint {name} failed, and SageMaker allows nothing but its deletion: it is deleted, and created again."
        f" It failed because: {found.get('FailureReason', 'SageMaker gives no reason')}"
    )
    sagemaker.delete_endpoint(EndpointName=name)
    deadline = time.monotonic() + DELETION_SECONDS
    while _described(sagemaker, name):
        if time.monotonic() > deadline:
            fail(f"SageMaker is still deleting endpoint {name}. Run the same command again later.")
        time.sleep(2)
    return True


def _described(sagemaker: Any, name: str) -> dict[str, Any] | None:
    try:
        return dict(sagemaker.describe_endpoint(EndpointName=name))
    except sagemaker.exceptions.ClientError as error:
        if "Could not find endpoint" in str(error):
            return None
        raise
