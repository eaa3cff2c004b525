"""The image registry on Google Cloud: a repository of Artifact Registry."""

from __future__ import annotations

import pulumi
from pulumi_gcp import artifactregistry

from components import contracts, names
from components.gcp.foundation import Foundation


class ImageRegistry(contracts.ImageRegistry):
    """A repository whose tags can be neither moved nor deleted, so that images in use stay."""

    registry: artifactregistry.Repository

    def __init__(
        self,
        name: str,
        args: contracts.ImageRegistryArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:gcp:ImageRegistry", name, None, opts)
        foundation = Foundation.of(args.foundation)

        self.registry = artifactregistry.Repository(
            f"{name}-repository",
            # The only name that the provider does not make unique. So keep_data does not keep the
            # repository, or it would have the name of the next one.
            repository_id=names.short(f"{pulumi.get_project()}-{pulumi.get_stack()}", 63),
            location=foundation.region,
            format="DOCKER",
            docker_config={"immutable_tags": True},
            # Only what has no tag: an immutable tag cannot be deleted, and so neither can its image; and which
            # images run, or are gone back to, a policy cannot know.
            # https://cloud.google.com/python/docs/reference/artifactregistry/1.10.0/google.cloud.artifactregistry_v1.types.Repository.DockerRepositoryConfig
            cleanup_policies=[
                {
                    "id": "delete-untagged",
                    "action": "DELETE",
                    "condition": {"tag_state": "UNTAGGED", "older_than": f"{30 * 24 * 3600}s"},
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
