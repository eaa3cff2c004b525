"""The data lake on AWS: one S3 bucket, whose zones are key prefixes."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.foundation import Foundation


class DataLake(contracts.DataLake):
    """A private, encrypted, versioned bucket that answers over TLS only."""

    bucket: aws.s3.Bucket
    bucket_name: pulumi.Output[str]
    """Known once versioning is on, so that nothing is written by this name before that."""

    def __init__(
        self, name: str, args: contracts.DataLakeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:DataLake", name, None, opts)
        foundation = Foundation.of(args.foundation)
        keep_data = foundation.args.keep_data
        # With keep_data a destroy forgets the bucket together with everything that protects it.
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=keep_data)

        self.bucket = aws.s3.Bucket(
            f"{name}-bucket",
            force_destroy=not keep_data,
            tags=foundation.tags,
            opts=child,
        )
        self._close(name, child)
        versioning = aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=self.bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=child,
        )
        self.bucket_name = versioning.bucket
        self._expire(name, args, child)

        self.uri = pulumi.Output.format("s3://{}", self.bucket_name)
        self.register_outputs({"uri": self.uri})

    def key(self, zone: contracts.Zone, path: str) -> str:
        """The key of an object of a zone."""
        return f"{zone}/{path}"

    def _close(self, name: str, child: pulumi.ResourceOptions) -> None:
        """Private, encrypted, and reached over TLS only."""
        aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=self.bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership",
            bucket=self.bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=child,
        )
        # SSE-S3: no key to pay for, to rotate or to lose, and no second permission (kms:Decrypt) for
        # every reader. Bucket keys save KMS requests and so have no meaning here.
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=self.bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=self.bucket.bucket,
            policy=pulumi.Output.json_dumps(_tls_only(self.bucket.arn)),
            opts=child,
        )

    def _expire(
        self, name: str, args: contracts.DataLakeArgs, child: pulumi.ResourceOptions
    ) -> None:
        """Captures, old versions and uploads that were cut short are deleted after some days.

        In a versioned bucket an expiration hides an object, which becomes a former version. Of a capture no version
        may be left after ``captures_days``, so it is hidden a day earlier, and its former version lives a day, the
        least that S3 allows. Where two rules fit an object, the shorter time counts.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html
        """
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self.bucket_name,
            rules=[
                {
                    "id": "captures",
                    "status": "Enabled",
                    "filter": {"prefix": f"{contracts.Zone.CAPTURES}/"},
                    "expiration": {"days": max(args.captures_days - 1, 1)},
                    "noncurrent_version_expiration": {"noncurrent_days": 1},
                },
                {
                    "id": "leftovers",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": args.noncurrent_days},
                    "expiration": {"expired_object_delete_marker": True},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                },
            ],
            opts=child,
        )


def _tls_only(bucket_arn: pulumi.Output[str]) -> dict[str, object]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html"""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket_arn, pulumi.Output.format("{}/*", bucket_arn)],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
