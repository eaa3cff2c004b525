"""The image on Google Cloud: Cloud Build builds it from a context in the lake."""

from __future__ import annotations

import pulumi
from pulumi_gcp import storage

from components import build_context, contracts
from components.gcp.data_lake import DataLake
from components.gcp.dynamic.built_image import BuiltImage
from components.gcp.foundation import Foundation


class ImageBuild(contracts.ImageBuild):
    """The context as a zip in the lake's builds zone, and a Cloud Build run, when the registry has no image of it."""

    def __init__(
        self, name: str, args: contracts.ImageBuildArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:ImageBuild", name, None, opts)
        foundation, lake = Foundation.of(args.foundation), DataLake.of(args.lake)

        context = storage.BucketObject(
            f"{name}-context",
            bucket=lake.bucket.name,
            name=f"{contracts.Zone.BUILDS}/{args.tag}.zip",
            source=build_context.archive(args.context),
            opts=pulumi.ResourceOptions.merge(
                foundation.child(self),
                # The hash of the provider's own zip, which a refresh does not have: docs/design/drift.md
                pulumi.ResourceOptions(ignore_changes=["detectMd5hash"]),
            ),
        )
        built = BuiltImage(
            f"{name}-build",
            project=foundation.project,
            region=foundation.region,
            repository=args.registry.repository,
            tag=args.tag,
            arguments=args.arguments,
            bucket=lake.bucket.name,
            context=context.name,
            service_account=args.identity.principal,
            opts=foundation.child(self, *args.identity.attachments),
        )

        self.image = built.image
        self.register_outputs({"image": self.image})
