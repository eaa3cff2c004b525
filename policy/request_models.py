"""Which API model a registered type is compared with, on each cloud.

`api_models` knows the types of Pulumi's providers. This module adds the platform's dynamic resources: their
requests are written by hand in components/, and so they must fit the models to the letter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import ModuleType

from api_models import aws, azure, gcp
from api_models.gcp import DEPLOYED_MODEL_ID, MODEL_ID, Body
from api_models.resource import Resource
from components.gcp.dynamic import built_image, vertex_deployment, vertex_model, vertex_traffic
from components.resource_type import DYNAMIC, RANDOM_KEY

GCP_BODIES: Mapping[str, Body] = {
    **gcp.BODIES,
    f"{DYNAMIC}GcpBuiltImage": Body(
        "cloudbuild.v1",
        "Build",
        not_in_body=frozenset({"region"}),
        build=built_image.build_request,
    ),
    f"{DYNAMIC}VertexDeployment": Body(
        "aiplatform.v1",
        "GoogleCloudAiplatformV1DeployModelRequest",
        not_in_body=frozenset({"region", "endpoint"}),
        build=vertex_deployment.deploy_request,
        names={"deployedModel.id": DEPLOYED_MODEL_ID},
    ),
    f"{DYNAMIC}VertexModel": Body(
        "aiplatform.v1",
        "GoogleCloudAiplatformV1UploadModelRequest",
        not_in_body=frozenset({"region", "project"}),
        build=vertex_model.upload_request,
        names={"modelId": MODEL_ID},
    ),
    f"{DYNAMIC}VertexTraffic": Body(
        "aiplatform.v1",
        "GoogleCloudAiplatformV1Endpoint",
        not_in_body=frozenset({"region"}),
        build=lambda props: vertex_traffic.traffic_request(
            props["endpoint"], {props["deployed_model"]: 100}
        ),
        partial=True,
    ),
}
# boto3 refuses a request that does not fit botocore's model before it sends the request.
# https://docs.aws.amazon.com/botocore/latest/reference/config.html (parameter_validation)
BOTO3 = "boto3 checks each request against the same models before it sends it"
DYNAMIC_NOT_COVERED = {
    f"{DYNAMIC}AwsBuiltImage": BOTO3,
    f"{DYNAMIC}AwsScalingDeregistration": BOTO3,
    f"{DYNAMIC}AwsServedModel": BOTO3,
    f"{DYNAMIC}AzureAppSettings": "its PUT sends names and texts, and nothing else",
    f"{DYNAMIC}AzureBlobFolder": "azure-storage-blob makes the requests, from the bytes of files",
    f"{DYNAMIC}AzureBuiltImage": "its POST is checked against"
    " `azure.mgmt.containerregistrytasks.models.DockerBuildRequest` in tests/policy/test_api_models.py",
    f"{DYNAMIC}AzureEndpointTraffic": "its PUT sends the answer of a GET, with the traffic: checked against "
    "`azure.mgmt.machinelearningservices.models.OnlineEndpoint` in tests/policy/test_api_models.py",
    f"{DYNAMIC}AzureGrantsInForce": "it sends nothing",
    RANDOM_KEY: "it sends nothing",
}


def module_of(cloud: str) -> ModuleType:
    """The module of `api_models` that knows a cloud's models."""
    return {"aws": aws, "gcp": gcp, "azure": azure}[cloud]


def is_covered(cloud: str, type_: str) -> bool:
    """Whether a type is compared with a model."""
    tables: dict[str, Collection[str]] = {
        "aws": aws.OPERATIONS,
        "gcp": GCP_BODIES,
        "azure": {f"azure-native:{name}" for name in azure.MODELS},
    }
    return type_ in tables[cloud]


def reason_not_covered(cloud: str, type_: str) -> str | None:
    """Why a type is compared with no model; None if no reason is written."""
    reasons: Mapping[str, str] = {**DYNAMIC_NOT_COVERED, **module_of(cloud).NOT_COVERED}
    return reasons.get(type_)


def title(cloud: str, type_: str) -> str:
    """The model that a type is compared with."""
    if cloud == "gcp":
        return gcp.title(type_, GCP_BODIES)
    return str(module_of(cloud).title(type_))


def findings(cloud: str, resource: Resource) -> Iterator[str]:
    """The problems of a resource's inputs, and the paths that are not checked."""
    if cloud == "gcp":
        yield from gcp.findings(resource, GCP_BODIES)
    else:
        yield from module_of(cloud).findings(resource)


def problems(cloud: str, resource: Resource) -> Iterator[str]:
    """What the cloud would refuse of a resource's inputs."""
    if cloud == "gcp":
        yield from gcp.problems(resource, GCP_BODIES)
    else:
        yield from module_of(cloud).problems(resource)
