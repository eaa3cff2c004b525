"""A lake seen from outside the platform: each cloud's own client, or a folder, behind one small interface.

An object's name begins with its zone, which is a prefix on AWS and Google Cloud and a container on Azure.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from config.schema import StackConfig
from config.tags import label_value, platform_tags

BUCKET, ACCOUNT = "triplane-lake-bucket-", "triplanelake"
"""How the lakes' names begin: the program's own names, to which Pulumi adds a suffix."""


@dataclass(frozen=True)
class Found:
    """An object as a listing has it, without its content."""

    name: str
    size: int
    changed: datetime
    """When it was last written."""
    md5: str | None = None
    """Of its content, where the store says so: not of what came in several parts."""
    kept: datetime | None = None
    """When the object was written that this is a copy of, if the store keeps that."""


class Lake(Protocol):
    def objects(self, prefix: str = "") -> Iterator[Found]:
        """Objects below a prefix that begins with a zone; all without one."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Their names alone."""

    def read(self, name: str) -> bytes | None:
        """An object, or None."""

    def write(self, name: str, data: bytes, changed: datetime | None = None) -> None:
        """Write an object, also over another. As a copy: of one that was last written then."""


def at(uri: str) -> Lake:
    """The lake with this URI: ``s3://…``, ``gs://…``, ``https://…``; anything else is a folder."""
    scheme, _, rest = uri.rstrip("/").partition("://")
    match scheme:
        case "s3":
            return S3(rest)
        case "gs":
            return Gcs(rest)
        case "https":
            return Blobs(uri)
        case _:
            return Folder(Path(uri).expanduser())


def standing(config: StackConfig, stack: str | None = None) -> list[str]:
    """URIs of the lakes that stand where the settings say, by the tags and names that the platform gives.

    With ``stack`` only those that carry its name.
    """
    own = platform_tags(config.environment, stack or "", {})
    if stack is None:
        del own["stack"]
    match config.cloud:
        case "aws":
            import boto3

            tagged = boto3.client("resourcegroupstaggingapi", region_name=config.region)
            pages = tagged.get_paginator("get_resources").paginate(
                ResourceTypeFilters=["s3:bucket"],
                TagFilters=[{"Key": key, "Values": [value]} for key, value in own.items()],
            )
            arns = [
                each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]
            ]
            # The platform's other buckets carry the same tags.
            return [
                f"s3://{name}" for arn in arns if (name := arn.split(":")[5]).startswith(BUCKET)
            ]
        case "gcp":
            from google.cloud import storage

            wanted = label_value(stack) if stack else None
            buckets = storage.Client(project=config.project).list_buckets(prefix=BUCKET)
            return [
                f"gs://{b.name}"
                for b in buckets
                if b.name.startswith(BUCKET) and wanted in (None, b.labels.get("stack"))
            ]
        case "azure":
            from components.azure import arm

            accounts = [
                account
                for subscription in arm.listed("/subscriptions", "2022-12-01")
                for account in arm.listed(
                    f"{subscription['id']}/providers/Microsoft.Storage/storageAccounts",
                    "2024-01-01",
                )
            ]
            return [
                account["properties"]["primaryEndpoints"]["blob"].rstrip("/")
                for account in accounts
                if account["name"].startswith(ACCOUNT)
                and stack in (None, (account.get("tags") or {}).get("stack"))
            ]


class _Named:
    def names(self: Lake, prefix: str = "") -> Iterator[str]:
        return (each.name for each in self.objects(prefix))


@dataclass(frozen=True)
class S3(_Named):
    bucket: str

    @cached_property
    def _client(self) -> Any:
        import boto3

        return boto3.client("s3")

    def objects(self, prefix: str = "") -> Iterator[Found]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                # Not of what came in parts, nor with a key of KMS's: another's hash, or no hash at all.
                # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
                etag = each["ETag"].strip('"')
                md5 = etag if re.fullmatch("[0-9a-f]{32}", etag) else None
                yield Found(each["Key"], each["Size"], each["LastModified"], md5)

    def read(self, name: str) -> bytes | None:
        try:
            return bytes(self._client.get_object(Bucket=self.bucket, Key=name)["Body"].read())
        except self._client.exceptions.NoSuchKey:
            return None

    def write(self, name: str, data: bytes, changed: datetime | None = None) -> None:
        self._client.put_object(Bucket=self.bucket, Key=name, Body=data)


@dataclass(frozen=True)
class Gcs(_Named):
    bucket: str

    @cached_property
    def _bucket(self) -> Any:
        from google.cloud import storage

        return storage.Client().bucket(self.bucket)

    def objects(self, prefix: str = "") -> Iterator[Found]:
        for each in self._bucket.list_blobs(prefix=prefix):
            md5 = base64.b64decode(each.md5_hash).hex() if each.md5_hash else None
            yield Found(each.name, each.size, each.updated, md5)

    def read(self, name: str) -> bytes | None:
        from google.api_core.exceptions import NotFound

        try:
            return bytes(self._bucket.blob(name).download_as_bytes())
        except NotFound:
            return None

    def write(self, name: str, data: bytes, changed: datetime | None = None) -> None:
        self._bucket.blob(name).upload_from_string(data, "application/octet-stream")


@dataclass(frozen=True)
class Blobs(_Named):
    url: str

    @cached_property
    def _service(self) -> Any:
        from azure.identity import DefaultAzureCredential
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(self.url, DefaultAzureCredential())

    def objects(self, prefix: str = "") -> Iterator[Found]:
        zone, _, rest = prefix.partition("/")
        for container in [zone] if zone else [c.name for c in self._service.list_containers()]:
            blobs = self._service.get_container_client(container)
            for each in blobs.list_blobs(name_starts_with=rest):
                md5 = each.content_settings.content_md5
                name = f"{container}/{each.name}"
                yield Found(name, each.size, each.last_modified, md5.hex() if md5 else None)

    def read(self, name: str) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return bytes(self._service.get_blob_client(*_split(name)).download_blob().readall())
        except ResourceNotFoundError:
            return None

    def write(self, name: str, data: bytes, changed: datetime | None = None) -> None:
        self._service.get_blob_client(*_split(name)).upload_blob(data, overwrite=True)


PARTS = ".parts"
"""Where a folder keeps what is not wholly written yet. No zone and no object has this name: see `_path`."""
START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Folder(_Named):
    """A lake in files. Each object has its own file, whatever its name is; the plain ones have plain names."""

    path: Path

    def objects(self, prefix: str = "") -> Iterator[Found]:
        for file in sorted(self.path.rglob("*")):
            parts = file.relative_to(self.path).parts
            name = "/".join(unquote(part.rstrip("%")) for part in parts)
            if parts[0] != PARTS and name.startswith(prefix) and file.is_file():
                told = file.stat()
                changed = START + timedelta(microseconds=told.st_mtime_ns // 1000)
                yield Found(name, told.st_size, changed, kept=changed)

    def read(self, name: str) -> bytes | None:
        file = self._file(name)
        return file.read_bytes() if file.is_file() else None

    def write(self, name: str, data: bytes, changed: datetime | None = None) -> None:
        plain = self._path(name)
        for above in plain.relative_to(self.path).parents:
            if (self.path / above).is_file():  # an object has the name of this one's folder
                (self.path / above).rename(_beside(self.path / above))
        plain.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when it is whole: a full disk or a kill leaves the former one.
        part = self.path / PARTS / hashlib.sha256(name.encode()).hexdigest()
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(data)
        if changed:
            since = (changed - START) // timedelta(microseconds=1) * 1000
            os.utime(part, ns=(since, since))
        os.replace(part, self._file(name))

    def _path(self, name: str) -> Path:
        """Where an object lies: a name may have parts that to a file system mean another place, or none."""
        parts = (part.replace("%", "%25") for part in name.split("/"))
        safe = (
            part.replace(".", "%2E") if part in (".", "..", PARTS) else part or "%"
            for part in parts
        )
        return self.path.joinpath(*safe)

    def _file(self, name: str) -> Path:
        """The same, or the file beside it if other objects have this one's name as their folder."""
        plain = self._path(name)
        beside = _beside(plain)
        return beside if plain.is_dir() or beside.is_file() else plain


def _beside(file: Path) -> Path:
    """What no other object's file is called: a ``%`` of a name's own is a ``%25``."""
    return file.with_name(f"{file.name}%")


def _split(name: str) -> tuple[str, str]:
    zone, _, rest = name.partition("/")
    return zone, rest
