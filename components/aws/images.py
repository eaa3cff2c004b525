"""Images on AWS: an ECR repository, and CodeBuild to fill it."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts as c
from components import names
from components.aws.data_lake import DataLake
from components.aws.dynamic.built_image import BuiltImage
from components.aws.foundation import Foundation
from components.aws.logs import open_log

KEPT_IMAGES = 20
BUILD_MINUTES = 20

# Provenance off: BuildKit would wrap image and attestation in an index, which SageMaker refuses.
# https://docs.docker.com/build/metadata/attestations/slsa-provenance/
# Both commands stand in one phase: CodeBuild runs `post_build` after a failed `build`, too.
BUILDSPEC = """\
version: 0.2
phases:
  pre_build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"
  build:
    commands:
      - docker build --provenance=false --tag "$IMAGE" .
      - docker push "$IMAGE"
"""


class ImageRegistry(c.ImageRegistry):
    """A repository whose tags cannot be moved and whose images are scanned."""

    repository_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: c.ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:ImageRegistry", name, None, opts)
        foundation = args.foundation.args
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=foundation.keep_data)

        repository = aws.ecr.Repository(
            f"{name}-repository",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "AES256"}],
            force_delete=not foundation.keep_data,
            tags=foundation.tags,
            opts=child,
        )
        aws.ecr.LifecyclePolicy(
            f"{name}-lifecycle",
            repository=repository.name,
            policy=pulumi.Output.json_dumps(
                {
                    "rules": [
                        {
                            "rulePriority": 1,
                            "description": f"Keep the newest {KEPT_IMAGES} images",
                            "selection": {
                                "tagStatus": "any",
                                "countType": "imageCountMoreThan",
                                "countNumber": KEPT_IMAGES,
                            },
                            "action": {"type": "expire"},
                        }
                    ]
                }
            ),
            opts=child,
        )

        self.repository = repository.repository_url
        self.repository_arn = repository.arn
        self.register_outputs({"repository": self.repository})


class ImageBuild(c.ImageBuild):
    """A CodeBuild project that is started whenever the registry has no image of this context."""

    def __init__(
        self, name: str, args: c.ImageBuildArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:ImageBuild", name, None, opts)
        foundation, lake = args.foundation.args, args.lake
        assert isinstance(args.foundation, Foundation)
        assert isinstance(lake, DataLake)
        child = pulumi.ResourceOptions(parent=self)

        context = aws.s3.BucketObjectv2(
            f"{name}-context",
            bucket=lake.bucket_name,
            key=lake.key(c.Zone.BUILDS, f"{args.tag}.zip"),
            source=pulumi.AssetArchive(
                {
                    path.as_posix(): pulumi.FileAsset(str(args.context / path))
                    for path in names.context_files(args.context)
                }
            ),
            tags=args.foundation.object_tags,
            opts=child,
        )
        log, may_log = open_log(name, foundation, args.identity, self)
        project = aws.codebuild.Project(
            f"{name}-project",
            description="Builds the platform's image from a context in the lake",
            service_role=args.identity.principal,
            build_timeout=BUILD_MINUTES,
            source={
                "type": "S3",
                "location": pulumi.Output.format("{}/{}", context.bucket, context.key),
                "buildspec": BUILDSPEC,
            },
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "compute_type": "BUILD_GENERAL1_SMALL",
                "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                # For the Docker daemon; nothing else in the build needs it.
                "privileged_mode": True,
                "environment_variables": [
                    {
                        "name": "REGISTRY",
                        "value": args.registry.repository.apply(lambda url: url.partition("/")[0]),
                    },
                    {
                        "name": "IMAGE",
                        "value": pulumi.Output.format("{}:{}", args.registry.repository, args.tag),
                    },
                ],
            },
            logs_config={"cloudwatch_logs": {"status": "ENABLED", "group_name": log}},
            tags=foundation.tags,
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(depends_on=args.identity.ready)
            ),
        )
        built = BuiltImage(
            f"{name}-image",
            region=foundation.region,
            project=project.name,
            repository=args.registry.repository,
            tag=args.tag,
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[may_log])),
        )

        self.image = built.image
        self.register_outputs({"image": self.image})
