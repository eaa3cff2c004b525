"""The platform's components on Google Cloud."""

from components.contracts import Image, Workload
from components.gcp.api_key import ApiKey
from components.gcp.data_lake import DataLake
from components.gcp.delivery import Delivery
from components.gcp.foundation import Foundation
from components.gcp.gateway import Gateway
from components.gcp.identity import Identity
from components.gcp.image_build import ImageBuild
from components.gcp.image_registry import ImageRegistry
from components.gcp.model_artifact import ModelArtifact
from components.gcp.model_endpoint import ModelEndpoint
from components.gcp.workspace import Workspace

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

WORKLOADS = (Workload.BUILD, Workload.GATEWAY)
"""Not the model server: Vertex AI has an account for it, which may read the model's copy that it gets and nothing else.
With an account of ours, Vertex AI's service agent would have to be its administrator.
https://docs.cloud.google.com/gemini-enterprise-agent-platform/machine-learning/general/custom-service-account"""
IMAGES = tuple(Image)
BUILD_ARGUMENTS = {"MIRROR": "mirror.gcr.io/library"}
"""Google's own copy; that it still has the digest in the Dockerfiles is believed. https://cloud.google.com/artifact-registry/docs/pull-cached-dockerhub-images"""
