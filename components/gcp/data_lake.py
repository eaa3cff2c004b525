"""The data lake on Google Cloud: one Cloud Storage bucket, whose zones are prefixes of the object names."""

from __future__ import annotations

from typing import Any

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
            lifecycle_rules=_expire(args),
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


def _expire(args: contracts.DataLakeArgs) -> list[dict[str, Any]]:
    """Captures and old versions are deleted after some days.

    In a versioned bucket a deletion makes the live version a noncurrent one. Of a capture no version may be left after
    ``captures_days``, so its live version is deleted a day earlier, and then its noncurrent one, whose age counts from
    its creation, too. Several rules with the same action work beside each other.
    https://cloud.google.com/storage/docs/lifecycle
    """
    captures = {"matches_prefixes": [f"{contracts.Zone.CAPTURES}/"]}
    conditions = (
        {**captures, "age": max(args.captures_days - 1, 1), "with_state": "LIVE"},
        {"days_since_noncurrent_time": args.noncurrent_days, "with_state": "ARCHIVED"},
        {**captures, "age": args.captures_days, "with_state": "ARCHIVED"},
    )
    return [{"action": {"type": "Delete"}, "condition": condition} for condition in conditions]
