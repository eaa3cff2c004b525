"""Files that are written whole or not at all: after a full disk or a kill, the previous file is still there."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def write_whole(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a file; it is on the disk and in its place when this returns.

    Without a ``mode``, a file that is replaced keeps its own, and a new file gets the user's default.
    Raises OSError; the previous file is then unchanged.
    """
    if mode is None and path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Created with the narrower mode, so that a private file is private from its first byte.
        opened = os.open(
            fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644 if mode is None else mode
        )
        with os.fdopen(opened, "wb") as file:
            if mode is not None:  # a user's umask does not narrow a mode that was asked for
                os.fchmod(file.fileno(), mode)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def write_private(path: Path, content: str | bytes) -> None:
    """The same, readable by the owner alone."""
    write_whole(path, content, mode=0o600)
