"""The files of a source tree, be it a git checkout or not: the source of a CodePipeline is a ZIP."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path


def files_not_ignored(folder: Path) -> list[str]:
    """All files of the tree except those that its ``.gitignore`` names, sorted, relative to it."""
    # git lists them from an empty repository beside it.
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(["git", "init", "--quiet", "--bare", empty], check=True)
        git = ["git", f"--git-dir={empty}", f"--work-tree={folder}"]
        listed = subprocess.run(
            [*git, "ls-files", "-z", "--others", "--exclude-standard"],
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
        )
    names = listed.stdout.decode().split("\0")
    return sorted(
        each for each in names if (folder / each).is_file()
    )  # a link may lead to a folder
