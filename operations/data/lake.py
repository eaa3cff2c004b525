"""A lake as the operations see it: one small interface over each cloud's own client, or over a folder.

An object's name begins with its zone, which is a prefix on AWS and Google Cloud and a container on Azure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing reports it, without its content."""

    name: str
    size: int
    written: datetime
    """When it was last written."""
    md5: str | None = None
    """Of its content. None where the store does not report it, or the object was uploaded in parts."""


class Lake(Protocol):
    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """The objects below a prefix that begins with a zone; all of them without a prefix."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Their names."""

    def read(self, name: str) -> bytes | None:
        """An object's content, or None."""

    def write(self, name: str, data: bytes, written: datetime | None = None) -> None:
        """Write an object, also over another. ``written``: of a copy, when its original was last written."""

    def original_written(self, name: str) -> datetime | None:
        """When the original of a copy was last written; None of what is no copy. S3 does not list it."""


class NamesFromListing:
    """A lake that has its names from the listing of its objects."""

    def names(self: Lake, prefix: str = "") -> Iterator[str]:
        return (each.name for each in self.objects(prefix))
