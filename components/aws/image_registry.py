"""The image registry on AWS: an ECR repository."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.foundation import Foundation

UNTAGGED_DAYS = 30


class ImageRegistry(contracts.ImageRegistry):
    """A repository whose tags cannot be moved and whose images are scanned."""

    registry: aws.ecr.Repository

    def __init__(
        self,
        name: str,
        args: contracts.ImageRegistryArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:aws:ImageRegistry", name, None, opts)
        foundation = Foundation.of(args.foundation)
        keep_data = foundation.args.keep_data
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=keep_data)

        self.registry = aws.ecr.Repository(
            f"{name}-repository",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "AES256"}],
            force_delete=not keep_data,
            tags=foundation.tags,
            opts=child,
        )
        # Only what has no tag: which images run, or are gone back to, a rule cannot know. Each of ours has a tag.
        # https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
        aws.ecr.LifecyclePolicy(
            f"{name}-lifecycle",
            repository=self.registry.name,
            policy=pulumi.Output.json_dumps(
                {
                    "rules": [
                        {
                            "rulePriority": 1,
                            "description": f"Delete untagged images after {UNTAGGED_DAYS} days",
                            "selection": {
                                "tagStatus": "untagged",
                                "countType": "sinceImagePushed",
                                "countUnit": "days",
                                "countNumber": UNTAGGED_DAYS,
                            },
                            "action": {"type": "expire"},
                        }
                    ]
                }
            ),
            # Another policy is another resource to the provider, with the same id: deleted last, the former
            # one would take the new one with it.
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(delete_before_replace=True)
            ),
        )

        self.repository = self.registry.repository_url
        self.register_outputs({"repository": self.repository})
