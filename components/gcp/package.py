"""The platform's components on Google Cloud."""

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

__all__ = [
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
]
