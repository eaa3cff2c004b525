"""The code of each example, and of the example that `make model` writes, is typed as the platform's is.

Each folder has modules of the same plain names, so mypy reads them one folder at a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted(file.stem for file in (ROOT / "tests" / "contracts").iterdir())
FOLDERS = [ROOT / "models" / name for name in EXAMPLES] + [ROOT / "lambda/training/template"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_code_of_a_model_keeps_the_interface_by_its_types(folder: Path) -> None:
    files = [file.name for file in sorted(folder.glob("*.py"))]
    options = [
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *files],
        cwd=folder,
        env={**os.environ, "MYPYPATH": os.pathsep.join([str(ROOT / "lambda"), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
