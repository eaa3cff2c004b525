"""The build service and registry of the rehearsal: Dockerfile in, OCI image out, no daemon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BuildFailed(Exception):
    """The Dockerfile or its context is at fault. Reads like the message of ``docker build``."""


class TagImmutable(Exception):
    """The tag names another image already, and the repository's tags are immutable."""


@dataclass(frozen=True)
class Image:
    """A built image."""

    repository: str
    digest: str
    """``sha256:…`` of the OCI manifest: the same context gives the same digest."""
    config: Mapping[str, Any]
    """The OCI image config's ``config``: Env, WorkingDir, Entrypoint, Cmd, ExposedPorts, User, Labels."""
    rootfs: Path
    """The laid-out file system. Read-only by convention: workloads share it."""
    notes: tuple[str, ...]
    """What was executed and what was only recorded, in plain sentences."""

    @property
    def reference(self) -> str:
        """``repository@sha256:…``"""
        return f"{self.repository}@{self.digest}"


class Images:
    """Builds images and keeps them by repository, tag and digest."""

    def build(
        self,
        context: Path,
        dockerfile: str,
        repository: str,
        tag: str,
        *,
        immutable: bool = False,
    ) -> Image:
        """Build ``context`` (a folder, a .tar[.gz] or a .zip) and tag the image.

        ``dockerfile`` is the path inside the context. Raises `BuildFailed` and `TagImmutable`.
        """
        raise NotImplementedError

    def get(self, repository: str, reference: str) -> Image | None:
        """The image behind a tag or a ``sha256:…`` digest of a repository."""
        raise NotImplementedError

    def find(self, reference: str) -> Image | None:
        """The image behind ``repository@sha256:…`` or ``repository:tag``."""
        raise NotImplementedError

    def list(self, repository: str) -> Mapping[str, Image]:
        """Images of a repository by tag."""
        raise NotImplementedError

    def drop_repository(self, repository: str) -> None:
        """Forget a repository with its tags; files that no other repository uses are deleted."""
        raise NotImplementedError
