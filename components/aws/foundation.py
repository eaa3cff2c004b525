"""The account, region and partition that everything else on AWS stands in."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from config.tags import only_platform_tags


class Foundation(contracts.Foundation):
    """Creates nothing: an AWS account needs no services switched on and no group to hold things."""

    account: pulumi.Output[str]
    """Twelve digits."""
    partition: pulumi.Output[str]
    """First part of every ARN: ``aws``, ``aws-cn`` or ``aws-us-gov``."""
    dns_suffix: pulumi.Output[str]
    """End of every service's host name: ``amazonaws.com``, ``amazonaws.com.cn``."""

    def __init__(
        self, name: str, args: contracts.FoundationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        asks = pulumi.InvokeOptions(parent=opts.parent if opts else None)
        account = aws.get_caller_identity_output(opts=asks).account_id
        # An input, because a preview shows inputs: so operations/engine/guards.py sees that it is another one.
        super().__init__("triplane:aws:Foundation", name, {"account": account}, opts)
        self.args = args

        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self))
        self.account = account
        self.partition = partition.partition
        self.dns_suffix = partition.dns_suffix
        self.register_outputs({"account": self.account, "partition": self.partition})

    @property
    def tags(self) -> dict[str, str]:
        """For every resource that takes tags; the provider's own default tags are the engineer's."""
        return dict(self.args.tags)

    @property
    def object_tags(self) -> dict[str, str]:
        """For S3 objects, which take 10 tags at most: the platform's own, and not the stack's.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
        """
        return only_platform_tags(self.args.tags)

    def arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """The ARN of a resource of this account and region."""
        return pulumi.Output.format(
            "arn:{}:{}:{}:{}:{}",
            self.partition,
            service,
            self.args.region,
            self.account,
            resource,
        )
