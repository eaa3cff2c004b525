"""The account, region and partition of everything else on AWS."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from config.tags import only_platform_tags


class Foundation(contracts.Foundation):
    """Creates nothing: in an AWS account no service must be enabled, and no group contains the resources."""

    account: pulumi.Output[str]
    """Twelve digits."""
    partition: pulumi.Output[str]
    """First part of every ARN: ``aws``, ``aws-cn`` or ``aws-us-gov``."""
    dns_suffix: pulumi.Output[str]
    """End of every service's host name: ``amazonaws.com``, ``amazonaws.com.cn``."""

    def __init__(
        self, name: str, args: contracts.FoundationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        parent = pulumi.InvokeOptions(parent=opts.parent if opts else None)
        account = aws.get_caller_identity_output(opts=parent).account_id
        # An input, because a preview shows inputs: so operations/engine/guards.py sees that it is another one.
        super().__init__("triplane:aws:Foundation", name, {"account": account}, opts)
        self.args = args
        self.region = args.region

        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self))
        self.account = account
        self.partition = partition.partition
        self.dns_suffix = partition.dns_suffix
        self.register_outputs(
            {"account": self.account, "partition": self.partition, "region": self.region}
        )

    @property
    def tags(self) -> dict[str, str]:
        """For every resource that takes tags; the provider's own default tags are left to the engineer."""
        return dict(self.args.tags)

    @property
    def platform_tags(self) -> dict[str, str]:
        """Without the stack's own, for S3 objects: they take 10 tags at most.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
        """
        return only_platform_tags(self.args.tags)

    def arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """The ARN of a resource of this account and region."""
        return pulumi.Output.format(
            "arn:{}:{}:{}:{}:{}",
            self.partition,
            service,
            self.region,
            self.account,
            resource,
        )
