"""The model artifact on AWS: its files as objects in the lake's bucket."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.data_lake import DataLake
from components.aws.foundation import Foundation
from config.model_store import ARCHIVE


class ModelArtifact(contracts.ModelArtifact):
    """The artifact's files below ``models/<name>/<version>/``."""

    def __init__(
        self,
        name: str,
        args: contracts.ModelArtifactArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:aws:ModelArtifact", name, None, opts)
        foundation, lake = Foundation.of(args.foundation), DataLake.of(args.lake)
        # Another version has other keys, and the former version's objects stay for a rollback.
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=True)

        objects = {
            file: aws.s3.BucketObjectv2(
                f"{name}-{file.replace('/', '-')}",
                bucket=lake.bucket_name,
                key=lake.key(contracts.Zone.MODELS, f"{args.artifact.prefix}/{file}"),
                source=pulumi.FileAsset(str(path)),
                tags=foundation.platform_tags,
                opts=child,
            )
            for file, path in args.artifact.files.items()
        }

        # The archive, not the folder: a serverless endpoint takes no ModelDataSource.
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
        archive = objects[ARCHIVE]
        self.uri = pulumi.Output.format("s3://{}/{}", archive.bucket, archive.key)
        self.version = args.artifact.version
        self.register_outputs({"uri": self.uri, "version": self.version})
