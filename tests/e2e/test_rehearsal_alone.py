"""The rehearsal without the platform: installed into an empty environment, for a program that is not ours.

The program and every command are those of rehearsal/README.md, in its order.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from operations.engine.installation import HOME, VENV, pulumi_bin
from tests.conftest import INSTALLATION

README = HOME / "rehearsal" / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLATFORM = ("config", "components", "policy", "operations", "tools")


def write_program(folder: Path) -> None:
    """The files of the README: blocks that begin with a comment naming the file."""
    for _, text in BLOCK.findall(README.read_text()):
        if named := re.match(r"# ([\w./]+\.(?:py|yaml))\n", text):
            file = folder / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def shell_commands() -> list[str]:
    """The README's lines for the shell, without their comments."""
    blocks = [text for language, text in BLOCK.findall(README.read_text()) if language == "sh"]
    return [line.split("  #")[0].strip() for text in blocks for line in text.splitlines()]


def copy_of_the_package(folder: Path) -> Path:
    """The files of the distribution, copied: a build leaves files beside its sources."""
    for part in ("rehearsal", "api_models"):
        shutil.copytree(
            HOME / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for file in ("pyproject.toml", "LICENSE"):
        shutil.copy(HOME / file, folder)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A new user's: an empty home, Pulumi on PATH, nothing of this repository."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        **json.loads(os.environ[INSTALLATION]),
        "HOME": str(home),
        "PATH": f"{pulumi_bin()}:{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "TRIPLANE": str(copy_of_the_package(tmp_path / "triplane")),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The README's program."""
    folder = tmp_path / "shop"
    write_program(folder)
    return folder


def quick_install(line: str) -> str:
    """The README's ``pip install`` by uv: pinned, and from the cache of this user."""
    pins = [f"--constraint {HOME / name}" for name in ("requirements.txt", "requirements-dev.txt")]
    uv = f"{VENV / 'bin' / 'uv'} pip install --quiet {' '.join(pins)}"
    return f"HOME={Path.home()} {line.replace('pip install', uv)}"


def test_a_program_that_is_not_ours_is_rehearsed_in_an_empty_environment(
    environment: dict[str, str], shop: Path
) -> None:
    script = ["set -eu", "trap 'python -m rehearsal stop' EXIT"]
    for line in shell_commands():
        script.append(f"printf '\\n$ %s\\n' {shlex.quote(line)}")
        script.append(quick_install(line) if line.startswith("pip install") else line)
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=shop,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    output = {command.partition("\n")[0]: command for command in done.stdout.split("\n$ ")}
    assert done.returncode == 0, done.stdout
    assert "good morning" in output['curl "$(pulumi stack output url)"'], "the function runs"
    assert "8 unchanged" in output["pulumi up --yes --expect-no-changes"]
    assert "throttle on aws:sqs/*" in output["python -m rehearsal fault list"]
    assert "1 created" in output["pulumi up --yes --refresh"], "the lost queue is created again"
    assert "8 deleted" in output["pulumi destroy --yes"]
    assert not importable_packages(shop / ".venv/bin/python", environment)
    (installed,) = shop.glob(".venv/lib/*/site-packages/rehearsal")
    assert files_of(installed) == files_of(HOME / "rehearsal"), "Azurite's files and the page, too"


def files_of(package: Path) -> set[Path]:
    """The files of a package, without bytecode."""
    files = (each for each in package.rglob("*") if each.is_file() and each.suffix != ".pyc")
    return {each.relative_to(package) for each in files}


def importable_packages(python: Path, environment: dict[str, str]) -> set[str]:
    """Those of the platform's packages that an interpreter can import."""
    code = "import importlib.util, sys; print(*filter(importlib.util.find_spec, sys.argv[1:]))"
    command = [str(python), "-c", code, *PLATFORM]
    done = subprocess.run(
        command, cwd="/", env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return set(done.stdout.split())
