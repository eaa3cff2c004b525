"""The data lake on Google Cloud: one Cloud Storage bucket, whose zones are prefixes of the object names."""

from __future__ import annotations

import pulumi
from pulumi_gcp import storage

from components import contracts
from components.gcp.foundation import Foundation


class DataLake(contracts.DataLake):
    """A private (public access prevention), versioned bucket, encrypted by Google as always."""

    bucket: storage.Bucket

    def __init__(
        self, name: str, args: contracts.DataLakeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:DataLake", name, None, opts)
        foundation = Foundation.of(args.foundation)
        keep_data = foundation.args.keep_data

        self.bucket = storage.Bucket(
            f"{name}-bucket",
            location=foundation.region.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning={"enabled": True},
            lifecycle_rules=[
                {
                    "action": {"type": "Delete"},
                    "condition": {
                        "age": args.captures_days,
                        "matches_prefixes": [f"{contracts.Zone.CAPTURES}/"],
                        "with_state": "LIVE",
                    },
                },
                {
                    "action": {"type": "Delete"},
                    "condition": {
                        "days_since_noncurrent_time": args.noncurrent_days,
                        "with_state": "ARCHIVED",
                    },
                },
            ],
            # Seven days are the shortest time that is not "off". A throw-away lake has it off: otherwise a
            # deleted bucket is still billed. https://cloud.google.com/storage/docs/soft-delete
            soft_delete_policy={"retention_duration_seconds": 7 * 24 * 3600 if keep_data else 0},
            force_destroy=not keep_data,
            labels=foundation.labels,
            opts=pulumi.ResourceOptions.merge(
                foundation.child(self), pulumi.ResourceOptions(retain_on_delete=keep_data)
            ),
        )

        self.uri = pulumi.Output.concat("gs://", self.bucket.name)
        self.register_outputs({"uri": self.uri})
