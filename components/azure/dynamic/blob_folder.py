"""A folder's files as blobs, which azure-native can upload with an account key only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from components.azure import arm
from components.dynamic import Props, Provider, not_found, once_granted

STORAGE_API = "2024-01-01"
"""Of Microsoft.Storage."""

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


class BlobFolderProvider(Provider):
    """Uploads a folder's files. A file is compared by its SHA-256, which is in the blob's metadata.

    azure-native's own `storage.Blob` signs with the account's key, which is off here:
    https://github.com/pulumi/pulumi-azure-native/issues/2015
    """

    replace_on = frozenset({"account_url", "container", "prefix"})

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        # The files' place on this machine is no part of what is in the lake.
        return super().diff(_id, olds, {k: v for k, v in news.items() if k != "directory"})

    def create(self, props: Props) -> CreateResult:
        _upload(props)
        return CreateResult(
            "/".join((props["account_url"], props["container"], props["prefix"])), props
        )

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        _upload(news)
        return UpdateResult(news)

    def read(self, id_: str, props: Props) -> ReadResult:
        from azure.core.exceptions import (
            HttpResponseError,
            ResourceNotFoundError,
            ServiceRequestError,
        )

        try:
            found = _uploaded(_client(props), props["prefix"])
        except ResourceNotFoundError:
            return not_found()
        except ServiceRequestError:
            # The host of a deleted account does not exist any more, and neither does any host without a network:
            # only Resource Manager knows. A state of before the container's id was in it stays as it is.
            container = props.get("container_id")
            if container and arm.get(container, STORAGE_API) is None:
                return not_found()
            raise
        except HttpResponseError as error:
            if not _is_denied(error):
                raise
            # The uploader's role is gone, and the next `up` restores it. Until then nothing is known.
            return ReadResult(id_, props)
        return ReadResult(id_, {**props, "files": found}) if found else not_found()

    def delete(self, _id: str, _props: Props) -> None:
        """Leaves the blobs, for a rollback to an older version."""


class BlobFolder(Resource, module="triplane", name="AzureBlobFolder"):
    """Files of a local folder as blobs below a prefix, by their paths in it."""

    prefix: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        account_url: pulumi.Input[str],
        container: pulumi.Input[str],
        container_id: pulumi.Input[str],
        prefix: str,
        directory: Path,
        files: Mapping[str, Path],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(
            BlobFolderProvider(),
            name,
            {
                "account_url": account_url,
                "container": container,
                "container_id": container_id,
                "prefix": prefix,
                # Relative to the project, where both the program and its providers run.
                "directory": os.path.relpath(directory),
                "files": {
                    name: hashlib.sha256(file.read_bytes()).hexdigest()
                    for name, file in sorted(files.items())
                },
            },
            opts,
        )


def _client(props: Props) -> ContainerClient:
    """The container, with the credentials of who runs Pulumi. Only an upload needs the SDK."""
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import ContainerClient

    return ContainerClient(
        props["account_url"], props["container"], credential=DefaultAzureCredential()
    )


def _upload(props: Props) -> None:
    """Upload the files that are missing or different, once the uploader's role is in force."""
    client = _client(props)

    def missing_uploaded() -> None:
        there = _uploaded(client, props["prefix"])
        for name, digest in props["files"].items():
            if there.get(name) != digest:
                content = Path(props["directory"], name).read_bytes()
                client.upload_blob(
                    f"{props['prefix']}/{name}",
                    content,
                    overwrite=True,
                    metadata={"sha256": digest},
                )

    once_granted(missing_uploaded, denied=_is_denied)


def _is_denied(error: Exception) -> bool:
    """Whether the store refuses who asks. A wrong credential is another error, 401, and does not become right."""
    return getattr(error, "status_code", None) == 403


def _uploaded(client: ContainerClient, prefix: str) -> dict[str, str]:
    """Name and SHA-256 of the files below ``prefix``."""
    return {
        blob.name.removeprefix(f"{prefix}/"): (blob.metadata or {}).get("sha256", "")
        for blob in client.list_blobs(name_starts_with=f"{prefix}/", include=["metadata"])
    }
