"""The lakes of the three clouds, each through its cloud's own client. A client is imported when it is used."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from operations.data.lake import NamesFromListing, StoredObject

ORIGINAL_WRITTEN = "originalwritten"
"""The metadata of a copy: when its original was last written. Azure allows no hyphens in such a name.
https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources"""


@dataclass(frozen=True)
class S3Lake(NamesFromListing):
    """A bucket of S3."""

    bucket: str

    @cached_property
    def _client(self) -> Any:
        import boto3

        return boto3.client("s3")

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                # The ETag is no MD5 of an object that came in parts, or is encrypted with a key of KMS.
                # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
                etag = each["ETag"].strip('"')
                md5 = etag if re.fullmatch("[0-9a-f]{32}", etag) else None
                yield StoredObject(each["Key"], each["Size"], each["LastModified"], md5)

    def read(self, name: str) -> bytes | None:
        try:
            return bytes(self._client.get_object(Bucket=self.bucket, Key=name)["Body"].read())
        except self._client.exceptions.NoSuchKey:
            return None

    def write(self, name: str, data: bytes, written: datetime | None = None) -> None:
        metadata = _metadata(written)
        self._client.put_object(Bucket=self.bucket, Key=name, Body=data, Metadata=metadata)

    def original_written(self, name: str) -> datetime | None:
        head = self._client.head_object(Bucket=self.bucket, Key=name)
        return _original_written(head.get("Metadata"))


@dataclass(frozen=True)
class GcsLake(NamesFromListing):
    """A bucket of Cloud Storage."""

    bucket: str

    @cached_property
    def _bucket(self) -> Any:
        from google.cloud import storage

        return storage.Client().bucket(self.bucket)

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        for each in self._bucket.list_blobs(prefix=prefix):
            md5 = base64.b64decode(each.md5_hash).hex() if each.md5_hash else None
            yield StoredObject(each.name, each.size, each.updated, md5)

    def read(self, name: str) -> bytes | None:
        from google.api_core.exceptions import NotFound

        try:
            return bytes(self._bucket.blob(name).download_as_bytes())
        except NotFound:
            return None

    def write(self, name: str, data: bytes, written: datetime | None = None) -> None:
        blob = self._bucket.blob(name)
        blob.metadata = _metadata(written)
        blob.upload_from_string(data, "application/octet-stream")

    def original_written(self, name: str) -> datetime | None:
        blob = self._bucket.get_blob(name)
        return _original_written(blob.metadata) if blob else None


@dataclass(frozen=True)
class BlobLake(NamesFromListing):
    """A storage account's blobs: a container for each zone."""

    url: str

    @cached_property
    def _service(self) -> Any:
        from azure.identity import DefaultAzureCredential
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(self.url, DefaultAzureCredential())

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        zone, _, rest = prefix.partition("/")
        for container in [zone] if zone else [c.name for c in self._service.list_containers()]:
            for each in self._blobs(container, rest):
                md5 = each.content_settings.content_md5
                name = f"{container}/{each.name}"
                yield StoredObject(name, each.size, each.last_modified, md5.hex() if md5 else None)

    def _blobs(self, container: str, prefix: str) -> Iterator[Any]:
        """The blobs of a container; none of a zone that an older platform does not have."""
        from azure.core.exceptions import ResourceNotFoundError

        with suppress(ResourceNotFoundError):
            yield from self._service.get_container_client(container).list_blobs(
                name_starts_with=prefix
            )

    def read(self, name: str) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return bytes(
                self._service.get_blob_client(*_container_and_blob(name)).download_blob().readall()
            )
        except ResourceNotFoundError:
            return None

    def write(self, name: str, data: bytes, written: datetime | None = None) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        container, rest = _container_and_blob(name)
        blob = self._service.get_blob_client(container, rest)
        try:
            blob.upload_blob(data, overwrite=True, metadata=_metadata(written))
        except ResourceNotFoundError:  # of a backup in an account that has no such container yet
            self._service.create_container(container)
            blob.upload_blob(data, overwrite=True, metadata=_metadata(written))

    def original_written(self, name: str) -> datetime | None:
        blob = self._service.get_blob_client(*_container_and_blob(name))
        return _original_written(blob.get_blob_properties().metadata)


def _container_and_blob(name: str) -> tuple[str, str]:
    zone, _, rest = name.partition("/")
    return zone, rest


def _metadata(written: datetime | None) -> dict[str, str]:
    return {ORIGINAL_WRITTEN: written.isoformat()} if written else {}


def _original_written(metadata: Mapping[str, str] | None) -> datetime | None:
    found = (metadata or {}).get(ORIGINAL_WRITTEN)
    return datetime.fromisoformat(found) if found else None
