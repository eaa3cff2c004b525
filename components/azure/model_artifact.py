"""The model artifact on Azure: its files as blobs in the lake's models container."""

from __future__ import annotations

import pulumi

from components import contracts
from components.azure import roles
from components.azure.data_lake import DataLake
from components.azure.dynamic.blob_folder import BlobFolder, BlobFolderProvider
from components.azure.foundation import Foundation


class ModelArtifact(contracts.ModelArtifact):
    """The artifact's files below ``<name>/<version>/`` of the models container."""

    name: str
    """The model's name, without its version."""
    path: pulumi.Output[str]
    """The folder's path inside the container, known once the files are there."""

    def __init__(
        self,
        name: str,
        args: contracts.ModelArtifactArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:azure:ModelArtifact", name, None, opts)
        foundation, lake, artifact = (
            Foundation.of(args.foundation),
            DataLake.of(args.lake),
            args.artifact,
        )

        # Being the subscription's owner does not allow anybody to read or write blobs; this role does.
        container = lake.containers[contracts.Zone.MODELS]
        uploader = roles.assign_deployer(
            f"{name}-uploader",
            foundation,
            role="Storage Blob Data Contributor",
            scope=container.id,
            parent=self,
        )
        folder = BlobFolder(
            f"{name}-files",
            account_url=lake.uri,
            container=container.name,
            container_id=container.id,
            prefix=artifact.prefix,
            directory=artifact.directory,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[uploader]),
        )

        self.name = artifact.name
        self.version = artifact.version
        self.path = folder.prefix
        self.uri = pulumi.Output.concat(lake.uri, "/", container.name, "/", self.path)
        self.register_outputs({"uri": self.uri, "version": self.version})


# The name in old states: `components.former_names`.
_BlobFolderProvider = BlobFolderProvider
