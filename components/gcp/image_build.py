"""The image on Google Cloud: Cloud Build builds it from a context in the lake."""

from __future__ import annotations

import pulumi
from pulumi_gcp import storage

from components import build_context, contracts
from components.gcp.data_lake import DataLake
from components.gcp.dynamic.built_image import BuiltImage
from components.gcp.foundation import Foundation


class ImageBuild(contracts.ImageBuild):
    """The folder as a zip in the lake's builds zone, and the Cloud Build run that reads it there."""

    def __init__(
        self, name: str, args: contracts.ImageBuildArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:ImageBuild", name, None, opts)
        foundation, lake = args.foundation, args.lake
        assert isinstance(foundation, Foundation)
        assert isinstance(lake, DataLake)

        context = storage.BucketObject(
            f"{name}-context",
            bucket=lake.bucket.name,
            name=f"{contracts.Zone.BUILDS}/{args.tag}.zip",
            source=pulumi.AssetArchive(
                {
                    path.as_posix(): pulumi.FileAsset(str(args.context / path))
                    for path in build_context.context_files(args.context)
                }
            ),
            opts=foundation.child(self),
        )
        build = BuiltImage(
            f"{name}-build",
            project=foundation.project,
            region=foundation.region,
            repository=args.registry.repository,
            tag=args.tag,
            bucket=lake.bucket.name,
            context=context.name,
            service_account=args.identity.principal,
            opts=foundation.child(self, *args.identity.ready),
        )
        self.image = build.image
        self.register_outputs({"image": self.image})
