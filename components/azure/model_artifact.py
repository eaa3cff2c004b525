"""The model artifact on Azure: its files as blobs in the lake's models container."""

from __future__ import annotations

import pulumi

from components import contracts
from components.azure.data_lake import DataLake
from components.azure.dynamic.blob_folder import BlobFolder, BlobFolderProvider


class ModelArtifact(contracts.ModelArtifact):
    """The artifact's files below ``<name>/<version>/`` of the models container."""

    name: str
    """The model's or the endpoint's name, without its version."""
    path: pulumi.Output[str]
    """The folder's path inside the container, known once the files are there."""

    def __init__(
        self,
        name: str,
        args: contracts.ModelArtifactArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:azure:ModelArtifact", name, None, opts)
        lake, artifact = DataLake.of(args.lake), args.artifact

        container = lake.containers[contracts.Zone.MODELS]
        folder = BlobFolder(
            f"{name}-files",
            account_url=lake.uri,
            container=container.name,
            container_id=container.id,
            prefix=artifact.prefix,
            directory=artifact.directory,
            files=artifact.files,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[lake.keeper]),
        )

        self.name = artifact.name
        self.version = artifact.version
        self.path = folder.prefix
        self.uri = pulumi.Output.concat(lake.uri, "/", container.name, "/", self.path)
        self.register_outputs({"uri": self.uri, "version": self.version})


# The name in old states: `components.former_names`.
_BlobFolderProvider = BlobFolderProvider
