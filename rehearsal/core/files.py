"""Files that are written whole or not at all: a full disk or a kill leaves the former one."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file, on the disk and in its place when this returns. Raises OSError with nothing changed."""
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
    """The same, for its owner's eyes only."""
    write_whole(path, content, mode=0o600)
