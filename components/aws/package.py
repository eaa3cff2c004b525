"""The platform's components on AWS."""

from components.aws.api_key import ApiKey
from components.aws.data_lake import DataLake
from components.aws.delivery import Delivery
from components.aws.foundation import Foundation
from components.aws.gateway import Gateway
from components.aws.identity import Identity
from components.aws.image_build import ImageBuild
from components.aws.image_registry import ImageRegistry
from components.aws.model_artifact import ModelArtifact
from components.aws.model_endpoint import ModelEndpoint
from components.aws.workspace import Workspace
from components.contracts import Image, Workload

__all__ = [
    "BUILD_ARGUMENTS",
    "IMAGES",
    "WORKLOADS",
    "ApiKey",
    "DataLake",
    "Delivery",
    "Foundation",
    "Gateway",
    "Identity",
    "ImageBuild",
    "ImageRegistry",
    "ModelArtifact",
    "ModelEndpoint",
    "Workspace",
]

WORKLOADS = tuple(Workload)
IMAGES = (Image.MODEL_SERVER,)
BUILD_ARGUMENTS = {"RUN_AS": "root"}
"""What SageMaker expects of its containers, which are cut off from everything else.
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
