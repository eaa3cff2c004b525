"""What the dynamic resources of AWS ask, and what they make of the answers; botocore checks both against AWS's models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from components import dynamic
from components.aws.dynamic.built_image import BuiltImageProvider
from components.aws.dynamic.scaling_deregistration import ScalingDeregistrationProvider
from components.aws.dynamic.served_model import NotServed, ServedModelProvider
from components.built_image import BuildFailed

Stubs = Callable[[str], Stubber]
SERVED = {"region": "eu-west-1", "endpoint": "e", "configuration": "c2", "model_version": "v2"}
SCALED = {"region": "eu-west-1", "endpoint": "e", "variant": "all", "machine": "ml.m5.xlarge"}
REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/triplane"
IMAGE = {"region": "eu-west-1", "project": "p", "repository": REPOSITORY, "tag": "t"}
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:it/it"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
NAME = "endpoint/e/variant/all"


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubs]:
    """Of each service a client with answers that are written down, all of which must have been asked for."""
    made: dict[str, Stubber] = {}
    create = boto3.client

    def stub(service: str) -> Stubber:
        if service not in made:
            keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
            made[service] = Stubber(create(service, region_name="eu-west-1", **keys))
            made[service].activate()
        return made[service]

    def client(service: str, region_name: str) -> Any:
        assert region_name == "eu-west-1", "the stack's region, whatever the environment's"
        return stub(service).client

    monkeypatch.setattr(boto3, "client", client)
    monkeypatch.setattr(dynamic.time, "sleep", lambda _seconds: None)
    yield stub
    for each in made.values():
        each.assert_no_pending_responses()


def endpoint(status: str, configuration: str = "c2", **more: str) -> dict[str, Any]:
    return {
        "EndpointName": "e",
        "EndpointArn": ARN,
        "EndpointConfigName": configuration,
        "EndpointStatus": status,
        "CreationTime": 0,
        "LastModifiedTime": 0,
        **more,
    }


def described(stubs: Stubs, *answers: dict[str, Any]) -> None:
    for answer in answers:
        stubs("sagemaker").add_response("describe_endpoint", answer, {"EndpointName": "e"})


def missing(stubs: Stubs, operation: str, message: str) -> None:
    stubs("sagemaker").add_client_error(operation, "ValidationException", message)


def test_a_model_is_served_once_the_endpoint_has_its_configuration(stubs: Stubs) -> None:
    described(stubs, endpoint("Creating"), endpoint("Updating", "c1"), endpoint("InService"))
    created = ServedModelProvider().create(SERVED)
    assert (created.id, created.outs) == ("e", SERVED)
    described(stubs, endpoint("InService"))
    assert ServedModelProvider().update("e", {}, SERVED).outs == SERVED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (endpoint("InService", "c1"), "InService with configuration c1, not with c2 of model version v2: it was rolled"),
        (endpoint("UpdateRollbackFailed", "c1", FailureReason="bad"), "UpdateRollbackFailed .*: bad"),
        (endpoint("OutOfService"), "OutOfService"),
        (endpoint("Failed"), "failed: SageMaker gives no reason.*delete-endpoint --endpoint-name e --region eu-west-1"),
        (endpoint("Failed", FailureReason="no health"), "failed: no health"),
    ],
)  # fmt: skip
def test_an_endpoint_that_serves_something_else_is_an_error_with_its_reason(
    answer: dict[str, Any], reason: str, stubs: Stubs
) -> None:
    described(stubs, answer)
    with pytest.raises(NotServed, match=reason):
        ServedModelProvider().create(SERVED)


def test_another_configuration_in_service_is_read_as_a_difference(stubs: Stubs) -> None:
    described(stubs, endpoint("InService", "c1"))
    read = ServedModelProvider().read("e", SERVED)
    assert (read.id, read.outs) == ("e", {**SERVED, "configuration": "c1"})


def test_only_an_endpoint_that_does_not_exist_is_read_as_gone(stubs: Stubs) -> None:
    missing(stubs, "describe_endpoint", 'Could not find endpoint "e".')
    gone = ServedModelProvider().read("e", SERVED)
    assert (gone.id, gone.outs) == ("", {})
    missing(stubs, "describe_endpoint", "not allowed")
    with pytest.raises(Exception, match="not allowed"):
        ServedModelProvider().read("e", SERVED)


def configured(stubs: Stubs, machine: str | None) -> None:
    variant = {"VariantName": "all", **({"InstanceType": machine} if machine else {})}
    other = {"VariantName": "other", "InstanceType": "ml.c5.large"}
    described(stubs, endpoint("InService"))
    answer = {
        "EndpointConfigName": "c2",
        "EndpointConfigArn": ARN,
        "CreationTime": 0,
        "ProductionVariants": [other, variant],
    }
    asked = {"EndpointConfigName": "c2"}
    stubs("sagemaker").add_response("describe_endpoint_config", answer, asked)


def deregistered(stubs: Stubs) -> None:
    scaling = stubs("application-autoscaling")
    scaling.add_response("deregister_scalable_target", {}, {**TARGET, "ResourceId": NAME})
    left = {
        **TARGET,
        "ResourceId": NAME,
        "MinCapacity": 1,
        "MaxCapacity": 2,
        "RoleARN": "r",
        "CreationTime": 0,
    }
    for targets in ([left], []):
        asked = {**TARGET, "ResourceIds": [NAME]}
        scaling.add_response("describe_scalable_targets", {"ScalableTargets": targets}, asked)


# https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
@pytest.mark.parametrize("machine", ["ml.m5.large", None])
def test_a_variant_is_deregistered_before_its_machine_changes(
    machine: str | None, stubs: Stubs
) -> None:
    configured(stubs, machine)
    deregistered(stubs)
    created = ScalingDeregistrationProvider().create(SCALED)
    assert (created.id, created.outs) == ("e", {**SCALED, "generation": "0"})


def test_each_change_of_the_machine_is_another_generation(stubs: Stubs) -> None:
    configured(stubs, "ml.m5.large")
    deregistered(stubs)
    updated = ScalingDeregistrationProvider().update("e", {"generation": "4"}, SCALED)
    assert updated.outs == {**SCALED, "generation": "5"}


def test_an_endpoint_on_the_wanted_machine_stays_registered(stubs: Stubs) -> None:
    configured(stubs, "ml.m5.xlarge")
    ScalingDeregistrationProvider().create(SCALED)


def test_an_endpoint_that_does_not_exist_yet_has_nothing_to_deregister(stubs: Stubs) -> None:
    missing(stubs, "describe_endpoint", 'Could not find endpoint "e".')
    ScalingDeregistrationProvider().create(SCALED)


def test_an_endpoint_whose_configuration_is_deleted_is_deregistered(stubs: Stubs) -> None:
    described(stubs, endpoint("InService"))
    missing(stubs, "describe_endpoint_config", "Could not find endpoint configuration")
    deregistered(stubs)
    ScalingDeregistrationProvider().create(SCALED)


def test_a_variant_that_is_not_registered_needs_no_wait(stubs: Stubs) -> None:
    configured(stubs, "ml.m5.large")
    stubs("application-autoscaling").add_client_error(
        "deregister_scalable_target", "ObjectNotFoundException"
    )
    ScalingDeregistrationProvider().create(SCALED)


@pytest.mark.parametrize("operation", ["describe_endpoint", "describe_endpoint_config"])
def test_a_machine_that_cannot_be_asked_for_is_an_error(operation: str, stubs: Stubs) -> None:
    if operation == "describe_endpoint_config":
        described(stubs, endpoint("InService"))
    missing(stubs, operation, "not allowed")
    with pytest.raises(Exception, match="not allowed"):
        ScalingDeregistrationProvider().create(SCALED)


def test_an_import_has_the_first_generation() -> None:
    provider = ScalingDeregistrationProvider()
    assert provider.read("e", SCALED).outs == {**SCALED, "generation": "0"}
    assert provider.read("e", {**SCALED, "generation": "3"}).outs == {**SCALED, "generation": "3"}


def tagged(stubs: Stubs, digest: str | None) -> None:
    asked = {"repositoryName": "triplane", "imageIds": [{"imageTag": "t"}]}
    if digest:
        answer = {"imageDetails": [{"imageDigest": digest}]}
        stubs("ecr").add_response("describe_images", answer, asked)
    else:
        stubs("ecr").add_client_error(
            "describe_images", "ImageNotFoundException", expected_params=asked
        )


def built(stubs: Stubs, *states: dict[str, Any]) -> None:
    codebuild = stubs("codebuild")
    codebuild.add_response("start_build", {"build": {"id": "p:1"}}, {"projectName": "p"})
    for state in states:
        answer = {"builds": [{"id": "p:1", **state}]}
        codebuild.add_response("batch_get_builds", answer, {"ids": ["p:1"]})


def test_an_image_is_built_once_and_pinned_by_its_digest(stubs: Stubs) -> None:
    built(stubs, {"buildStatus": "IN_PROGRESS"}, {"buildStatus": "SUCCEEDED"})
    tagged(stubs, "sha256:1")
    assert BuiltImageProvider().build(IMAGE) == "sha256:1"


def test_a_build_that_leaves_no_image_is_an_error(stubs: Stubs) -> None:
    built(stubs, {"buildStatus": "SUCCEEDED"})
    tagged(stubs, None)
    with pytest.raises(BuildFailed, match=f"p succeeded, but {REPOSITORY} has no tag t"):
        BuiltImageProvider().build(IMAGE)


def test_a_repository_or_a_tag_that_does_not_exist_has_no_digest(stubs: Stubs) -> None:
    tagged(stubs, None)
    assert BuiltImageProvider().digest(IMAGE) is None
    stubs("ecr").add_client_error("describe_images", "RepositoryNotFoundException")
    assert BuiltImageProvider().digest(IMAGE) is None


@pytest.mark.parametrize(
    ("context", "denied"),
    [
        ({"statusCode": "ACCESS_DENIED", "message": "no"}, True),
        ({"statusCode": "COMMAND_EXECUTION_ERROR", "message": "docker push: exit 1"}, True),
        ({"statusCode": "COMMAND_EXECUTION_ERROR", "message": "docker build: exit 1"}, False),
    ],
)
def test_a_failed_build_gives_codebuilds_reason_and_whether_a_grant_is_missing(
    context: dict[str, str], denied: bool, stubs: Stubs
) -> None:
    phases = [
        {"phaseType": "QUEUED", "phaseStatus": "SUCCEEDED", "contexts": [{"message": "fine"}]},
        {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [context]},
        {"phaseType": "COMPLETED"},
    ]
    logs = {"deepLink": "https://log"}
    built(stubs, {"buildStatus": "FAILED", "phases": phases, "logs": logs})
    reason = f"build p:1 ended as FAILED in phase BUILD: {context['message']}. Log: https://log"
    with pytest.raises(BuildFailed, match=f"^{reason}$") as caught:
        BuiltImageProvider().build(IMAGE)
    assert caught.value.denied is denied
