"""The platform's parts on Azure."""

from components.azure.api_key import ApiKey
from components.azure.data_lake import DataLake
from components.azure.delivery import Delivery
from components.azure.foundation import Foundation
from components.azure.gateway import Gateway
from components.azure.identity import Identity
from components.azure.image_build import ImageBuild
from components.azure.image_registry import ImageRegistry
from components.azure.model_artifact import ModelArtifact
from components.azure.model_endpoint import ModelEndpoint
from components.azure.workspace import Workspace
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

WORKLOADS = (Workload.SERVING, Workload.GATEWAY)
"""Not the build: a registry's own quick builds push to it, and only a task that is a resource of its own can have an
identity. https://learn.microsoft.com/azure/container-registry/container-registry-rbac-abac-repository-permissions"""
IMAGES = tuple(Image)
BUILD_ARGUMENTS: dict[str, str] = {}
"""The Dockerfiles' defaults. Microsoft documents no copy of Docker's official images; its advice is any registry but
Docker Hub without an account. https://learn.microsoft.com/azure/container-registry/buffer-gate-public-content"""
