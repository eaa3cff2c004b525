"""The image on Azure: the registry's own task service builds it from a context that is uploaded to it."""

from __future__ import annotations

import pulumi

from components import contracts
from components.azure.dynamic.built_image import BuiltImage
from components.azure.image_registry import ImageRegistry


class ImageBuild(contracts.ImageBuild):
    """A quick build in the registry, when it has no image of this context."""

    def __init__(
        self, name: str, args: contracts.ImageBuildArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:ImageBuild", name, None, opts)

        built = BuiltImage(
            f"{name}-build",
            registry=ImageRegistry.of(args.registry).registry.id,
            repository=args.registry.repository,
            tag=args.tag,
            context=args.context,
            arguments=args.arguments,
            opts=pulumi.ResourceOptions(parent=self),
        )

        self.image = built.image
        self.register_outputs({"image": self.image})
