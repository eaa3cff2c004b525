"""The image on AWS: CodeBuild builds it from a context in the lake."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import build_context, contracts
from components.aws.data_lake import DataLake
from components.aws.dynamic.built_image import BUILD_MINUTES, BuiltImage
from components.aws.foundation import Foundation
from components.aws.logs import create_log_group

# Provenance off: BuildKit would wrap image and attestation in an index, which SageMaker refuses.
# https://docs.docker.com/build/metadata/attestations/slsa-provenance/
# Both commands are in one phase, because CodeBuild runs `post_build` after a failed `build`, too.
BUILDSPEC = """\
version: 0.2
phases:
  pre_build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"
  build:
    commands:
      - docker build --provenance=false {arguments} --tag "$IMAGE" .
      - docker push "$IMAGE"
"""


class ImageBuild(contracts.ImageBuild):
    """A CodeBuild project, which runs when the registry has no image of this context."""

    def __init__(
        self, name: str, args: contracts.ImageBuildArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:ImageBuild", name, None, opts)
        foundation, lake = Foundation.of(args.foundation), DataLake.of(args.lake)
        child = pulumi.ResourceOptions(parent=self)

        context = aws.s3.BucketObjectv2(
            f"{name}-context",
            bucket=lake.bucket_name,
            key=lake.key(contracts.Zone.BUILDS, f"{args.tag}.zip"),
            source=build_context.archive(args.context),
            tags=foundation.platform_tags,
            opts=child,
        )
        log, log_permission = create_log_group(name, foundation, args.identity, self)
        project = aws.codebuild.Project(
            f"{name}-project",
            description="Builds the platform's image from a context in the lake",
            service_role=args.identity.principal,
            build_timeout=BUILD_MINUTES,
            source={
                "type": "S3",
                "location": pulumi.Output.format("{}/{}", context.bucket, context.key),
                "buildspec": BUILDSPEC.format(
                    arguments=" ".join(
                        f"--build-arg {name}={value}" for name, value in args.arguments.items()
                    )
                ),
            },
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "compute_type": "BUILD_GENERAL1_SMALL",
                "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                "image_pull_credentials_type": "CODEBUILD",
                # For the Docker daemon; nothing else in the build needs it.
                "privileged_mode": True,
                "environment_variables": [
                    {
                        "name": "REGISTRY",
                        "type": "PLAINTEXT",
                        "value": args.registry.repository.apply(lambda url: url.partition("/")[0]),
                    },
                    {
                        "name": "IMAGE",
                        "type": "PLAINTEXT",
                        "value": pulumi.Output.format("{}:{}", args.registry.repository, args.tag),
                    },
                ],
            },
            logs_config={"cloudwatch_logs": {"status": "ENABLED", "group_name": log}},
            tags=foundation.tags,
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(depends_on=args.identity.attachments)
            ),
        )
        built = BuiltImage(
            f"{name}-image",
            region=foundation.region,
            project=project.name,
            repository=args.registry.repository,
            tag=args.tag,
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(depends_on=[log_permission])
            ),
        )

        self.image = built.image
        self.register_outputs({"image": self.image})
