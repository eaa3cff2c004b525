"""The registry in Artifact Registry, and the image that Cloud Build puts there."""

from __future__ import annotations

import pulumi
from pulumi_gcp import artifactregistry, storage

from components import contracts as c
from components import names
from components.gcp.data_lake import DataLake
from components.gcp.dynamic.built_image import BuiltImage
from components.gcp.foundation import Foundation


class ImageRegistry(c.ImageRegistry):
    """A Docker repository whose tags are immutable; old images go, the last ten stay."""

    registry: artifactregistry.Repository

    def __init__(
        self, name: str, args: c.ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:ImageRegistry", name, None, opts)
        foundation = args.foundation
        assert isinstance(foundation, Foundation)

        self.registry = artifactregistry.Repository(
            f"{name}-repository",
            # The one name here that the provider does not make unique itself; so the repository is not
            # kept by keep_data, or it would be in the way of the next one.
            repository_id=names.short(f"{pulumi.get_project()}-{pulumi.get_stack()}", 63),
            location=foundation.region,
            format="DOCKER",
            docker_config={"immutable_tags": True},
            cleanup_policies=[
                {"id": "keep-recent", "action": "KEEP", "most_recent_versions": {"keep_count": 10}},
                {
                    "id": "delete-old",
                    "action": "DELETE",
                    "condition": {"older_than": f"{30 * 24 * 3600}s"},
                },
            ],
            labels=foundation.labels,
            opts=foundation.child(self),
        )
        self.repository = pulumi.Output.concat(
            f"{foundation.region}-docker.pkg.dev/{foundation.project}/",
            self.registry.repository_id,
            "/platform",
        )
        self.register_outputs({"repository": self.repository})


class ImageBuild(c.ImageBuild):
    """The folder as a zip in the lake's builds zone, and the Cloud Build run that reads it there."""

    def __init__(
        self, name: str, args: c.ImageBuildArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:ImageBuild", name, None, opts)
        foundation, lake = args.foundation, args.lake
        assert isinstance(foundation, Foundation)
        assert isinstance(lake, DataLake)

        context = storage.BucketObject(
            f"{name}-context",
            bucket=lake.bucket.name,
            name=f"{c.Zone.BUILDS}/{args.tag}.zip",
            source=pulumi.AssetArchive(
                {
                    path.as_posix(): pulumi.FileAsset(str(args.context / path))
                    for path in names.context_files(args.context)
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
