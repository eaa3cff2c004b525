"""Where this clone, its virtual environment and its Pulumi are. Uses the standard library only."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
"""The folder of this clone."""
VENV = HOME / ".venv"
PYTHON = VENV / "bin" / "python"
PULUMI = "v3.250.0"
"""The version that is built where Pulumi is not installed."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triplane"
BUILT = CACHE / f"pulumi-{PULUMI}" / "bin"
"""The folder of that build."""


def typed_pulumi() -> str:
    """What a person types for Pulumi in the shell that this command was typed in: this clone's own build is on no PATH."""
    return "pulumi" if shutil.which("pulumi") else str(pulumi_bin() / "pulumi")


def pulumi_bin() -> Path:
    """The folder with `pulumi` and its Python language host: the installed one, else our own build's."""
    pulumi = shutil.which("pulumi")
    if pulumi and shutil.which("pulumi-language-python"):
        return Path(pulumi).parent
    return BUILT
