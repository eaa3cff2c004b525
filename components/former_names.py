"""The former names of the dynamic providers, for states that an earlier version of this program has written.

Pulumi stores a dynamic resource's provider in the state as a pickle, which names the provider's module and
class (`components.dynamic` says why). The name stays there until the resource is next changed, and Pulumi looks the
class up by it: for a preview, a refresh and a destroy. So a provider that is moved or renamed gets a line here, and
its former name works as before.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

FORMER_NAMES = {
    "components.aws.built_image:BuiltImageProvider": "components.aws.dynamic.built_image:BuiltImageProvider",
    "components.aws.served_model:ServedModelProvider": "components.aws.dynamic.served_model:ServedModelProvider",
    "components.azure.model_artifact:_BlobFolderProvider": "components.azure.dynamic.blob_folder:BlobFolderProvider",
    "components.azure.traffic:_TrafficProvider": "components.azure.dynamic.endpoint_traffic:EndpointTrafficProvider",
    "components.gcp.built_image:BuiltImageProvider": "components.gcp.dynamic.built_image:BuiltImageProvider",
    "components.gcp.vertex_serving:DeploymentProvider": "components.gcp.dynamic.vertex_deployment:VertexDeploymentProvider",
    "components.gcp.vertex_serving:ModelProvider": "components.gcp.dynamic.vertex_model:VertexModelProvider",
    "components.gcp.vertex_serving:TrafficProvider": "components.gcp.dynamic.vertex_traffic:VertexTrafficProvider",
}
"""``module:class`` then, and now. No line is ever removed: an old state may have any of them."""

STILL_MODULES = frozenset({"components.azure.model_artifact"})
"""Former modules that exist with another content. They name the class themselves, in a line at their end."""


class FormerModule(ModuleType):
    """A module that exists no more; its classes are those of `FORMER_NAMES`."""

    def __getattr__(self, name: str) -> object:
        try:
            module, _, class_name = FORMER_NAMES[f"{self.__name__}:{name}"].partition(":")
        except KeyError:
            raise AttributeError(f"module {self.__name__} has no attribute {name}") from None
        return getattr(import_module(module), class_name)


def install() -> None:
    """Make the former modules importable. Nothing of them is imported before it is looked up."""
    for former in FORMER_NAMES:
        module = former.partition(":")[0]
        if module not in STILL_MODULES:
            sys.modules.setdefault(module, FormerModule(module, "Its classes have moved."))
