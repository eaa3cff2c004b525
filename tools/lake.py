"""A lake seen from outside the platform: each cloud's own client, or a folder, behind one small interface.

An object's name begins with its zone, which is a prefix on AWS and Google Cloud and a container on Azure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from components import names
from stack_config import StackConfig

BUCKET, ACCOUNT = "triplane-lake-bucket-", "triplanelake"
"""How the lakes' names begin: the program's own names, to which Pulumi adds a suffix."""


class Lake(Protocol):
    def names(self, prefix: str = "") -> Iterator[str]:
        """Object names below a prefix that begins with a zone; all without one."""

    def read(self, name: str) -> bytes | None:
        """An object, or None."""

    def write(self, name: str, data: bytes) -> None:
        """Write an object, also over another."""


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


def standing(config: StackConfig) -> list[str]:
    """URIs of the lakes that stand where the settings say, by the tags and names that the platform gives."""
    match config.cloud:
        case "aws":
            import boto3

            own = names.tags(config.environment, {})
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

            buckets = storage.Client(project=config.project).list_buckets(prefix=BUCKET)
            return [f"gs://{b.name}" for b in buckets if b.name.startswith(BUCKET)]
        case "azure":
            from components.azure import arm

            accounts = [
                account
                for subscription in _listed(arm.get("/subscriptions", "2022-12-01"))
                for account in _listed(
                    arm.get(
                        f"{subscription['id']}/providers/Microsoft.Storage/storageAccounts",
                        "2024-01-01",
                    )
                )
            ]
            return [
                account["properties"]["primaryEndpoints"]["blob"].rstrip("/")
                for account in accounts
                if account["name"].startswith(ACCOUNT)
            ]


def _listed(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    return list((answer or {}).get("value", ()))


@dataclass(frozen=True)
class S3:
    bucket: str

    @cached_property
    def _client(self) -> Any:
        import boto3

        return boto3.client("s3")

    def names(self, prefix: str = "") -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            yield from (each["Key"] for each in page.get("Contents", ()))

    def read(self, name: str) -> bytes | None:
        try:
            return bytes(self._client.get_object(Bucket=self.bucket, Key=name)["Body"].read())
        except self._client.exceptions.NoSuchKey:
            return None

    def write(self, name: str, data: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=name, Body=data)


@dataclass(frozen=True)
class Gcs:
    bucket: str

    @cached_property
    def _bucket(self) -> Any:
        from google.cloud import storage

        return storage.Client().bucket(self.bucket)

    def names(self, prefix: str = "") -> Iterator[str]:
        yield from (each.name for each in self._bucket.list_blobs(prefix=prefix))

    def read(self, name: str) -> bytes | None:
        from google.api_core.exceptions import NotFound

        try:
            return bytes(self._bucket.blob(name).download_as_bytes())
        except NotFound:
            return None

    def write(self, name: str, data: bytes) -> None:
        self._bucket.blob(name).upload_from_string(data, "application/octet-stream")


@dataclass(frozen=True)
class Blobs:
    url: str

    @cached_property
    def _service(self) -> Any:
        from azure.identity import DefaultAzureCredential
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(self.url, DefaultAzureCredential())

    def names(self, prefix: str = "") -> Iterator[str]:
        zone, _, rest = prefix.partition("/")
        for container in [zone] if zone else [c.name for c in self._service.list_containers()]:
            blobs = self._service.get_container_client(container)
            yield from (
                f"{container}/{name}" for name in blobs.list_blob_names(name_starts_with=rest)
            )

    def read(self, name: str) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return bytes(self._service.get_blob_client(*_split(name)).download_blob().readall())
        except ResourceNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        self._service.get_blob_client(*_split(name)).upload_blob(data, overwrite=True)


@dataclass(frozen=True)
class Folder:
    path: Path

    def names(self, prefix: str = "") -> Iterator[str]:
        for file in sorted(self.path.rglob("*")):
            name = file.relative_to(self.path).as_posix()
            if file.is_file() and name.startswith(prefix) and not name.endswith(".part"):
                yield name

    def read(self, name: str) -> bytes | None:
        file = self.path / name
        return file.read_bytes() if file.is_file() else None

    def write(self, name: str, data: bytes) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when it is whole: a full disk or a kill leaves the former one.
        part = file.with_name(f"{file.name}.part")
        part.write_bytes(data)
        os.replace(part, file)


def _split(name: str) -> tuple[str, str]:
    zone, _, rest = name.partition("/")
    return zone, rest
