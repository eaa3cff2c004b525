"""Builds an OCI image from a Dockerfile, without a daemon, and keeps images as a registry does.

An image is a real one: manifest, config and one layer as the OCI image specification has them, below
``images/blobs/sha256``, so a registry would give the same bytes the same digest. It contains nothing of the
base image. Two builds of the same context give the same digest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.core import tar_archives
from rehearsal.core.store import KeyValues
from rehearsal.runtime import dockerfile as dockerfiles
from rehearsal.runtime.dockerfile import BuildFailed

__all__ = ["BuildFailed", "Image", "ImageStore", "TagImmutable"]
# https://github.com/opencontainers/image-spec/blob/main/media-types.md
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
NOTHING: dict[str, Any] = {"tags": {}, "images": {}}
IMAGES = "images"
"""The namespace with the tags and images of each repository."""


class TagImmutable(Exception):
    """The tag already names another image, and the repository's tags are immutable."""


@dataclass(frozen=True)
class Image:
    """A built image."""

    repository: str
    digest: str
    """``sha256:…`` of the OCI manifest."""
    config: Mapping[str, Any]
    """The OCI image config's ``config``: Env, WorkingDir, Entrypoint, Cmd, ExposedPorts, User, Labels."""
    rootfs: Path
    """The files of the image. Read-only by convention: containers share them."""
    notes: tuple[str, ...]
    """What was executed and what was only recorded, in sentences."""

    @property
    def reference(self) -> str:
        """``repository@sha256:…``"""
        return f"{self.repository}@{self.digest}"


class ImageStore:
    """Builds images and keeps them by repository, tag and digest. Safe to use from any thread."""

    def __init__(self, state_dir: Path, kv: KeyValues) -> None:
        self._kv = kv
        self._folder = state_dir / "images"
        self._blobs = self._folder / "blobs" / "sha256"
        self._rootfs = self._folder / "rootfs"
        self._lock = threading.Lock()

    def build(
        self,
        context: Path,
        dockerfile: str,
        repository: str,
        tag: str,
        *,
        arguments: Mapping[str, str] | None = None,
        immutable: bool = False,
    ) -> Image:
        """Build ``context`` (a folder, a .tar, .tar.gz or .zip) and tag the image.

        ``dockerfile`` is the path inside the context, ``arguments`` are the build's (``--build-arg``). Raises
        `BuildFailed` and `TagImmutable`.
        """
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._rootfs.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            rootfs = Path(scratch) / "rootfs"
            rootfs.mkdir()
            folder = context if context.is_dir() else _unpack(context, Path(scratch) / "context")
            build = dockerfiles.build(folder, dockerfile, rootfs, arguments)
            blobs = _blobs(build)
            digest = list(blobs)[-1]
            with self._lock:
                stored = self._kv.get(IMAGES, repository, NOTHING)
                if immutable and stored["tags"].get(tag, digest) != digest:
                    # The words of Amazon ECR; those of the other registries are similar.
                    raise TagImmutable(
                        f"The image tag '{tag}' already exists in the '{repository}' repository "
                        "and cannot be overwritten because the tag is immutable."
                    )
                if not self._root(digest).exists():
                    rootfs.rename(self._root(digest))
                for name, content in blobs.items():
                    self._keep(name, content)
                stored["tags"][tag] = digest
                stored["images"][digest] = {
                    "config": build.config,
                    "notes": build.notes,
                    "blobs": list(blobs),
                }
                self._kv.put(IMAGES, repository, stored)
        return self._image(repository, digest, stored["images"][digest])

    def get(self, repository: str, reference: str) -> Image | None:
        """The image with a tag or a ``sha256:…`` digest of a repository."""
        stored = self._kv.get(IMAGES, repository, NOTHING)
        digest = stored["tags"].get(reference, reference)
        facts = stored["images"].get(digest)
        return None if facts is None else self._image(repository, digest, facts)

    def find(self, reference: str) -> Image | None:
        """The image ``repository@sha256:…`` or ``repository:tag``."""
        repository, _, version = reference.rpartition("@" if "@" in reference else ":")
        return self.get(repository, version)

    def is_from_elsewhere(self, reference: str) -> bool:
        """Whether an image by its digest is of a repository that nothing was ever pushed to here: somebody's own, which the
        rehearsal records and does not run."""
        repository, _, digest = reference.rpartition("@")
        return digest.startswith("sha256:") and self._kv.get(IMAGES, repository, None) is None

    def list(self, repository: str) -> dict[str, Image]:
        """Images of a repository by tag."""
        stored = self._kv.get(IMAGES, repository, NOTHING)
        return {
            tag: self._image(repository, digest, stored["images"][digest])
            for tag, digest in stored["tags"].items()
        }

    def drop(self, repository: str, digests: Collection[str]) -> None:
        """Forget images of a repository, with their tags; files that no other image uses are deleted."""
        with self._lock:
            stored = self._kv.get(IMAGES, repository, NOTHING)
            dropped = {digest: stored["images"].pop(digest) for digest in digests}
            stored["tags"] = {
                tag: digest for tag, digest in stored["tags"].items() if digest not in dropped
            }
            self._kv.put(IMAGES, repository, stored)
            self._delete_files(dropped)

    def drop_repository(self, repository: str) -> None:
        """Forget a repository with its tags; files that no other repository uses are deleted."""
        with self._lock:
            dropped = self._kv.get(IMAGES, repository, NOTHING)["images"]
            self._kv.put(IMAGES, repository, NOTHING)  # its images are lost, and not from elsewhere
            self._delete_files(dropped)

    def _delete_files(self, dropped: dict[str, Any]) -> None:
        kept: dict[str, Any] = {}
        for stored in self._kv.items(IMAGES).values():
            kept |= stored["images"]
        blobs = {blob for facts in kept.values() for blob in facts["blobs"]}
        for digest in dropped.keys() - kept.keys():
            shutil.rmtree(self._root(digest), ignore_errors=True)
            for blob in set(dropped[digest]["blobs"]) - blobs:
                self._blob(blob).unlink(missing_ok=True)

    def manifest(self, image: Image) -> dict[str, Any]:
        """The OCI manifest of the image; its digest is the image's."""
        manifest: dict[str, Any] = json.loads(self._blob(image.digest).read_bytes())
        return manifest

    def _image(self, repository: str, digest: str, facts: Mapping[str, Any]) -> Image:
        return Image(repository, digest, facts["config"], self._root(digest), tuple(facts["notes"]))

    def _root(self, digest: str) -> Path:
        return self._rootfs / digest.removeprefix("sha256:")

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _keep(self, digest: str, content: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            file.write(content)
        Path(file.name).replace(self._blob(digest))


def _blobs(build: dockerfiles.Build) -> dict[str, bytes]:
    """Layer, config and manifest by digest, in this order."""
    layer = _layer(build.rootfs)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": build.config,
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        "history": [{"created_by": step} for step in build.history],
    }
    packed = gzip.compress(layer, mtime=0)
    described = json.dumps(config, sort_keys=True).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, described),
        "layers": [_descriptor(LAYER, packed)],
    }
    whole = json.dumps(manifest, sort_keys=True).encode()
    return {_digest(blob): blob for blob in (packed, described, whole)}


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _layer(rootfs: Path) -> bytes:
    """The files as a tar archive that depends only on their names, modes and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(rootfs.rglob("*")):
            entry = tarfile.TarInfo(path.relative_to(rootfs).as_posix())
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size, entry.mode = len(content), path.stat().st_mode & 0o777
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _unpack(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)  # noqa: S202, zipfile keeps members inside the folder
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as packed:
            tar_archives.unpack(packed, folder)
    else:
        raise BuildFailed(f"the build context {archive.name} is neither a zip nor a tar archive")
    return folder
