"""Model artifacts on Azure: the artifact's files as blobs in the lake's models container."""

from __future__ import annotations

import pulumi

from components import contracts
from components.azure import roles
from components.azure.data_lake import DataLake
from components.azure.dynamic.blob_folder import BlobFolder, BlobFolderProvider
from components.azure.foundation import Foundation


class ModelArtifact(contracts.ModelArtifact):
    """The artifact's files below ``<name>/<version>/`` of the models container."""

    uri: pulumi.Output[str]
    """The folder: ``https://<account>.blob.core.windows.net/models/<name>/<version>``"""
    version: str
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
        super().__init__("triplane:azure:ModelArtifact", name, {}, opts)
        foundation, lake, artifact = args.foundation, args.lake, args.artifact
        assert isinstance(foundation, Foundation)
        assert isinstance(lake, DataLake)

        # Being the subscription's owner does not let anyone read or write blobs; this role does.
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
            account_url=lake.url,
            container=container.name,
            prefix=artifact.prefix,
            directory=artifact.directory,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[uploader]),
        )

        self.name = artifact.name
        self.version = artifact.version
        self.path = folder.prefix
        self.uri = pulumi.Output.concat(lake.url, "/", container.name, "/", self.path)
        self.register_outputs({"uri": self.uri})


# The name in old states: `components.former_names`.
_BlobFolderProvider = BlobFolderProvider
