"""The build context of the image: its files and their content hash."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pulumi


def context_files(folder: Path) -> list[Path]:
    """The files of a build context, sorted, relative to ``folder``.

    Without hidden files, Python's byte code, and what ``.dockerignore`` names (patterns of one path each).
    Raises ValueError for an exception, ``!…``, in it: they are not supported.
    """
    ignored = _dockerignore(folder / ".dockerignore")

    def wanted(path: Path) -> bool:
        parts = path.parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            return False
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return path.suffix != ".pyc" and not any(
            fnmatchcase(prefix, pattern) for prefix in prefixes for pattern in ignored
        )

    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted((path for path in files if wanted(path)), key=Path.as_posix)


def content_hash(folder: Path, arguments: Mapping[str, str] | None = None) -> str:
    """16 hexadecimal digits that change if, and only if, a path or a byte of the context does, or a build argument."""
    digest = hashlib.sha256()
    for name, value in sorted((arguments or {}).items()):
        digest.update(f"{name}={value}\0".encode())
    for path in context_files(folder):
        content = (folder / path).read_bytes()
        digest.update(f"{path.as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def archive(folder: Path) -> pulumi.AssetArchive:
    """The context's files as an archive."""
    return _archive(folder, context_files(folder))


def package_archive(folder: Path) -> pulumi.AssetArchive:
    """A Python package as an archive: without what only its image needs, the Dockerfile and the packages' list."""
    image_only = ("Dockerfile", "requirements.txt")
    files = [path for path in context_files(folder) if path.name not in image_only]
    return _archive(folder, files, f"{folder.name}/")


def _archive(folder: Path, files: Sequence[Path], prefix: str = "") -> pulumi.AssetArchive:
    return pulumi.AssetArchive(
        {f"{prefix}{path.as_posix()}": pulumi.FileAsset(str(folder / path)) for path in files}
    )


def packed(folder: Path) -> bytes:
    """The context's files as a tar.gz; the same files give the same bytes on every machine."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for path in context_files(folder):
            content = (folder / path).read_bytes()
            entry = tarfile.TarInfo(path.as_posix())
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _dockerignore(file: Path) -> list[str]:
    patterns = []
    for line in file.read_text().splitlines() if file.exists() else ():
        pattern = line.strip().strip("/")
        if pattern.startswith("!"):
            raise ValueError(f"{file.name}: an exception ({pattern}) is not understood here")
        if pattern and not pattern.startswith("#"):
            # Docker's `**/` also matches no folder at all; fnmatch's `*` crosses folders anyway.
            patterns += [pattern, pattern.removeprefix("**/")]
    return patterns
