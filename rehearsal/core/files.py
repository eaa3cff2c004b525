"""Files that are written completely or not at all: after a full disk or a kill the old one remains."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file. It is on the disk when this returns. After an OSError nothing is changed."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    fresh.replace(path)


def write_private(path: Path, content: str | bytes) -> None:
    """The same; only the owner can read the file."""
    write_whole(path, content, mode=0o600)
