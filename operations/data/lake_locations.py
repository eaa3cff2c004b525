"""Where lakes are: one by its URI, and those of a stack by the names and tags that the platform gives."""

from __future__ import annotations

from pathlib import Path

from components.azure import arm
from config.schema import StackConfig
from config.tags import label_value, platform_tags
from operations.data.cloud_lakes import BlobLake, GcsLake, S3Lake
from operations.data.folder_lake import FolderLake
from operations.data.lake import Lake

BUCKET_PREFIX, ACCOUNT_PREFIX = "triplane-lake-bucket-", "triplanelake"
"""How the names of the lakes begin: the program's own names, to which Pulumi adds a suffix."""


def open_lake(uri: str) -> Lake:
    """The lake with this URI: ``s3://…``, ``gs://…``, ``https://…``. Anything else is a folder."""
    scheme, _, rest = uri.rstrip("/").partition("://")
    match scheme:
        case "s3":
            return S3Lake(rest)
        case "gs":
            return GcsLake(rest)
        case "https":
            return BlobLake(uri)
        case _:
            return FolderLake(Path(uri).expanduser())


def find_lakes(config: StackConfig, stack: str | None = None) -> list[str]:
    """URIs of the lakes in the settings' account and region; with ``stack`` only those of that stack."""
    match config.cloud:
        case "aws":
            return _aws_lakes(config, stack)
        case "gcp":
            return _gcp_lakes(config, stack)
        case "azure":
            return _azure_lakes(stack)


def _aws_lakes(config: StackConfig, stack: str | None) -> list[str]:
    import boto3

    tags = platform_tags(config.environment, stack or "", {})
    if stack is None:
        del tags["stack"]
    client = boto3.client("resourcegroupstaggingapi", region_name=config.region)
    pages = client.get_paginator("get_resources").paginate(
        ResourceTypeFilters=["s3:bucket"],
        TagFilters=[{"Key": key, "Values": [value]} for key, value in tags.items()],
    )
    arns = [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
    buckets = [arn.split(":")[5] for arn in arns]
    # The platform's other buckets carry the same tags.
    return [f"s3://{name}" for name in buckets if name.startswith(BUCKET_PREFIX)]


def _gcp_lakes(config: StackConfig, stack: str | None) -> list[str]:
    from google.cloud import storage

    buckets = storage.Client(project=config.project).list_buckets(prefix=BUCKET_PREFIX)
    label = label_value(stack) if stack else None
    return [
        f"gs://{bucket.name}"
        for bucket in buckets
        if bucket.name.startswith(BUCKET_PREFIX) and label in (None, bucket.labels.get("stack"))
    ]


def _azure_lakes(stack: str | None) -> list[str]:
    accounts = [
        account
        for subscription in arm.listed("/subscriptions", "2022-12-01")
        for account in arm.listed(
            f"{subscription['id']}/providers/Microsoft.Storage/storageAccounts", "2024-01-01"
        )
    ]
    return [
        account["properties"]["primaryEndpoints"]["blob"].rstrip("/")
        for account in accounts
        if account["name"].startswith(ACCOUNT_PREFIX)
        and stack in (None, (account.get("tags") or {}).get("stack"))
    ]
