"""Where lakes are: one by its URI, and those of a stack by the names and tags that the platform gives."""

from __future__ import annotations

import re
from pathlib import Path

from components.azure import arm
from config.messages import did_you_mean
from config.schema import StackConfig
from config.tags import label_value, platform_tags
from operations.data.cloud_lakes import BlobLake, GcsLake, S3Lake
from operations.data.folder_lake import FolderLake
from operations.data.lake import Lake

BUCKET_PREFIX, ACCOUNT_PREFIX = "triplane-lake-bucket-", "triplanelake"
"""How the names of the lakes begin: the program's own names, to which Pulumi adds a suffix."""
SCHEMES = {
    "s3": "s3://<bucket>",
    "gs": "gs://<bucket>",
    "https": "https://<account>.blob.core.windows.net",
}
"""How the URIs of lakes are written, by their scheme."""
AZURE_BACKEND = "azblob"
"""The scheme of Pulumi's backends in Azure: https://www.pulumi.com/docs/iac/operations/backends/."""


def open_lake(uri: str) -> Lake:
    """The lake with this URI: ``s3://…``, ``gs://…``, ``https://…``. A path is a folder.

    Raises ValueError for any other URI: as a folder it would be a backup on this machine's disk.
    """
    # A folder whose name has a colon is written ./name:… (https://www.rfc-editor.org/rfc/rfc3986#section-4.2).
    written = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):(/*)(.*)", uri.strip())
    if not written:
        try:
            return FolderLake(Path(uri).expanduser())
        except RuntimeError:  # ~name
            user = uri.partition("/")[0]
            raise ValueError(
                f"{user} is the home of a user who is not on this machine. Write the path of a folder, or ./{user} for one of that"
                " name."
            ) from None
    scheme, slashes, rest = written[1], written[2], written[3].rstrip("/")
    if scheme == AZURE_BACKEND:
        account = re.search(r"[?&]storage_account=([a-z0-9]+)", rest)
        raise ValueError(
            f"{scheme}:// is how Pulumi's backends name a container. A lake is a whole storage account, with a container"
            f" for each zone: https://{account[1] if account else '<account>'}.blob.core.windows.net"
        )
    if scheme not in SCHEMES or slashes != "//":
        raise ValueError(
            f"{scheme}:{slashes} is no lake. Allowed: {', '.join(SCHEMES.values())}, or the path of a folder."
            f"{did_you_mean(scheme, tuple(SCHEMES))}"
        )
    # An emulator has the account in the path: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
    emulated = (
        scheme == "https" and re.fullmatch(r"[^/?#\s]+/[a-z0-9]+", rest) and ".blob." not in rest
    )
    if not rest or (re.search(r"[/?#\s]", rest) and not emulated):
        what = "storage account" if scheme == "https" else "bucket"
        raise ValueError(
            f"A lake is a whole {what}, without a folder in it or options: {SCHEMES[scheme]}."
        )
    match scheme:
        case "s3":
            return S3Lake(rest)
        case "gs":
            return GcsLake(rest)
        case _:
            return BlobLake(f"https://{rest}")


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
