"""Unpacks tar archives of unknown origin."""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack into the folder, and nothing outside of it. Raises `tarfile.TarError` for a member that would be.

    Python has had this since 3.11.4. Debian 12's is 3.11.2: there a link is refused, too, wherever it leads.
    https://docs.python.org/3.11/library/tarfile.html#tarfile.TarFile.extractall
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    for member in archive:
        target = folder / member.name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise tarfile.ExtractError(f"{member.name} would be outside of the folder")
        if not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name} is neither a file nor a folder")
        # The archive's owner and special bits stay in it, as with the filter.
        archive.extract(member, folder, set_attrs=False)
        target.chmod(0o755 if member.isdir() or member.mode & 0o100 else 0o644)
