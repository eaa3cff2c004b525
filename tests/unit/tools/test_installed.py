"""The language host's question to pip is answered without pip, with the same answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from operations.engine.installation import HOME

QUESTION = ("-m", "pip", "list", "-v", "--format", "json")
"""The command in sdk/v3.79.0/python/cmd/pulumi-language-python/main.go."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With this Python first on PATH, and half a package on Python's path."""
    (tmp_path / "half-1.0.dist-info").mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path)}


def output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_installed_packages_are_listed_as_pip_lists_them(environment: dict[str, str]) -> None:
    def packages(python: str) -> set[tuple[str, ...]]:
        listed = json.loads(output([python, *QUESTION], environment))
        return {(each["name"], each["version"], each["location"]) for each in listed}

    found = packages(str(HOME / "tools" / "pulumi-python"))
    assert {"pulumi", "pytest"} <= {name for name, *_ in found}
    # Newer versions of pip list half a package, too, by the name of its folder.
    assert found == {each for each in packages(sys.executable) if each[0] != "half"}


def test_every_other_command_goes_to_python_unchanged(environment: dict[str, str]) -> None:
    code = "import sys; print(sys.argv[1:], sys.prefix)"
    command = [str(HOME / "tools" / "pulumi-python"), "-c", code, "a b", "*", ""]
    assert output(command, environment).strip() == f"{['a b', '*', '']} {sys.prefix}"
