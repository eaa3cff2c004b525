"""A trained model's files in the lake, under a prefix named by the model's content."""

from __future__ import annotations

import pulumi
from pulumi_gcp import storage

from components import contracts
from components.gcp.data_lake import DataLake
from components.gcp.foundation import Foundation


class ModelArtifact(contracts.ModelArtifact):
    """``model.onnx`` and its card; Vertex AI takes the folder, so the archive stays at home."""

    def __init__(
        self,
        name: str,
        args: contracts.ModelArtifactArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:gcp:ModelArtifact", name, None, opts)
        foundation, lake, artifact = args.foundation, args.lake, args.artifact
        assert isinstance(foundation, Foundation)
        assert isinstance(lake, DataLake)

        files = [
            storage.BucketObject(
                # Named by version: another version's files are put beside these, not in their place.
                f"{name}-{artifact.version[:12]}-{file}",
                bucket=lake.bucket.name,
                name=f"{contracts.Zone.MODELS}/{artifact.prefix}/{file}",
                source=pulumi.FileAsset(str(artifact.directory / file)),
                opts=pulumi.ResourceOptions.merge(
                    foundation.child(self), pulumi.ResourceOptions(retain_on_delete=True)
                ),
            )
            for file in ("model.onnx", "card.json")
        ]
        self.version = artifact.version
        # Waits for the files: nothing may read the folder before it is complete.
        self.uri = pulumi.Output.all(lake.uri, *(file.name for file in files)).apply(
            lambda known: f"{known[0]}/{contracts.Zone.MODELS}/{artifact.prefix}"
        )
        self.register_outputs({"uri": self.uri, "version": self.version})
