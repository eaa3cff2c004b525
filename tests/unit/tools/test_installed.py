"""What the language host asks of pip is answered without it, and as pip would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from operations.engine.installation import HOME

QUESTION = ("-m", "pip", "list", "-v", "--format", "json")
"""As sdk/v3.79.0/python/cmd/pulumi-language-python/main.go has it."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With this Python first on PATH, and half a package on Python's."""
    (tmp_path / "half-1.0.dist-info").mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path)}


def said(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_what_is_installed_is_told_as_pip_tells_it(environment: dict[str, str]) -> None:
    def packages(python: str) -> set[tuple[str, ...]]:
        told = json.loads(said([python, *QUESTION], environment))
        return {(each["name"], each["version"], each["location"]) for each in told}

    found = packages(str(HOME / "tools" / "pulumi-python"))
    assert {"pulumi", "pytest"} <= {name for name, *_ in found}
    assert found == packages(sys.executable)


def test_everything_else_goes_to_python_as_it_is(environment: dict[str, str]) -> None:
    code = "import sys; print(sys.argv[1:], sys.prefix)"
    command = [str(HOME / "tools" / "pulumi-python"), "-c", code, "a b", "*", ""]
    assert said(command, environment).strip() == f"{['a b', '*', '']} {sys.prefix}"
