"""The image registry on AWS: an ECR repository."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts

KEPT_IMAGES = 20


class ImageRegistry(contracts.ImageRegistry):
    """A repository whose tags cannot be moved and whose images are scanned."""

    repository_arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        args: contracts.ImageRegistryArgs,
        opts: pulumi.ResourceOptions | None = None,
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
