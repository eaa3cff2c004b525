"""A lake in a folder: what `make backup` writes by default, and the model store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from operations.data.lake import NamesFromListing, StoredObject

UNFINISHED = ".parts"
"""The folder of objects that are not completely written yet. No zone and no object has this name: see `_path`."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FolderLake(NamesFromListing):
    """A lake in files. Each object has a file of its own, whatever its name is. Simple names are kept."""

    path: Path

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        for file in sorted(self.path.rglob("*")):
            parts = file.relative_to(self.path).parts
            name = "/".join(unquote(part.rstrip("%")) for part in parts)
            if parts[0] != UNFINISHED and name.startswith(prefix) and file.is_file():
                status = file.stat()
                yield StoredObject(name, status.st_size, _time_of(status))

    def read(self, name: str) -> bytes | None:
        file = self._file(name)
        return file.read_bytes() if file.is_file() else None

    def write(self, name: str, data: bytes, written: datetime | None = None) -> None:
        plain = self._path(name)
        for above in plain.relative_to(self.path).parents:
            if (self.path / above).is_file():  # an object has the name of this one's folder
                (self.path / above).rename(_file_beside(self.path / above))
        plain.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when it is complete: a full disk or a kill leaves the previous object.
        part = self.path / UNFINISHED / hashlib.sha256(name.encode()).hexdigest()
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(data)
        if written:
            since = (written - EPOCH) // timedelta(microseconds=1) * 1000
            os.utime(part, ns=(since, since))
        os.replace(part, self._file(name))

    def original_written(self, name: str) -> datetime | None:
        return _time_of(self._file(name).stat())

    def _path(self, name: str) -> Path:
        """The path of an object. A part of its name such as `..` means another place to a file system, so it is quoted."""
        parts = (part.replace("%", "%25") for part in name.split("/"))
        safe = (
            part.replace(".", "%2E") if part in (".", "..", UNFINISHED) else part or "%"
            for part in parts
        )
        return self.path.joinpath(*safe)

    def _file(self, name: str) -> Path:
        """The file of an object: beside its path, if that is the folder of other objects."""
        plain = self._path(name)
        beside = _file_beside(plain)
        return beside if plain.is_dir() or beside.is_file() else plain


def _time_of(status: os.stat_result) -> datetime:
    return EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)


def _file_beside(file: Path) -> Path:
    """A file name that no other object has: a ``%`` in an object's own name is written ``%25``."""
    return file.with_name(f"{file.name}%")
