"""The model artifact on Google Cloud: its files as objects in the lake's bucket."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pulumi
from pulumi_gcp import storage

from components import contracts
from components.gcp.data_lake import DataLake
from components.gcp.foundation import Foundation
from config.model_store import ARCHIVE


class ModelArtifact(contracts.ModelArtifact):
    """The artifact's files below ``models/<name>/<version>/``; Vertex AI takes the folder, so no archive."""

    def __init__(
        self,
        name: str,
        args: contracts.ModelArtifactArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:gcp:ModelArtifact", name, None, opts)
        foundation, lake, artifact = (
            Foundation.of(args.foundation),
            DataLake.of(args.lake),
            args.artifact,
        )

        files = [
            storage.BucketObject(
                # Named by version: another version's files are written beside these, not in their place.
                f"{name}-{artifact.version[:12]}-{file.replace('/', '-')}",
                bucket=lake.bucket.name,
                name=f"{contracts.Zone.MODELS}/{artifact.prefix}/{file}",
                source=pulumi.FileAsset(str(path)),
                # Without a hash of its own each file is drift on another machine: docs/design/drift.md
                detect_md5hash=_md5(path),
                opts=pulumi.ResourceOptions.merge(
                    foundation.child(self), pulumi.ResourceOptions(retain_on_delete=True)
                ),
            )
            for file, path in artifact.files.items()
            if file != ARCHIVE
        ]

        self.version = artifact.version
        # Waits for the files: nothing may read the folder before it is complete.
        self.uri = pulumi.Output.all(lake.uri, *(file.name for file in files)).apply(
            lambda known: f"{known[0]}/{contracts.Zone.MODELS}/{artifact.prefix}"
        )
        self.register_outputs({"uri": self.uri, "version": self.version})


def _md5(file: Path) -> str:
    """The hash by which Cloud Storage describes an object, in base64."""
    digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
