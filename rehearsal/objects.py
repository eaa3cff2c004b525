"""The object stores: S3, Cloud Storage and Azure Blob, each by an emulator of its own protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Store = Literal["s3", "gcs", "blob"]


class Objects:
    """The three object stores. Each starts at its first use, on loopback, with its data on disk."""

    def s3(self) -> str:
        """URL of the S3 endpoint (path-style addressing), started if need be."""
        raise NotImplementedError

    def gcs(self) -> str:
        """URL of the Cloud Storage endpoint, started if need be."""
        raise NotImplementedError

    def blob(self, account: str) -> str:
        """URL of a storage account's blob service, without trailing slash; makes the account."""
        raise NotImplementedError

    def drop_blob_account(self, account: str) -> None:
        """Forget a storage account and delete its data."""
        raise NotImplementedError

    def on_restart(self, store: Store, hook: Callable[[], None]) -> None:
        """Call ``hook`` each time ``store`` has started afresh, before anyone is handed its URL.

        For settings that an emulator loses when it is killed, such as a bucket's versioning.
        """
        raise NotImplementedError
