"""The lock files: which packages are installed, to the byte, and that every installation checks it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from operations.engine.installation import HOME, VENV
from policy import tool_environment
from tools import bootstrap, lock

DIST = "pinned-1.0.dist-info"


@pytest.mark.parametrize("name", lock.LOCKS)
def test_every_package_is_pinned_with_a_hash(name: str) -> None:
    text = re.sub(r"\\\n", " ", (HOME / f"{name}.txt").read_text())
    pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert pins
    pinned = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+ .*--hash=sha256:[0-9a-f]{64}")
    assert not [line.split(" ")[0] for line in pins if not pinned.match(line)]


def test_a_package_with_compiled_code_has_the_hashes_of_all_its_platforms() -> None:
    """One for Linux on x86 and Arm, macOS and Windows, in several versions of Python, and one for the sources."""
    text = (HOME / "requirements.txt").read_text()
    (grpcio,) = re.findall(r"^grpcio==.*(?:\n +--hash=.*)+", text, re.MULTILINE)
    assert grpcio.count("--hash=") > 20


def test_a_lock_names_no_index_and_no_path_of_the_machine_that_wrote_it() -> None:
    for name in lock.LOCKS:
        text = (HOME / f"{name}.txt").read_text()
        assert not re.search(r"https?://|^-|file:|/home/|/root/", text, re.MULTILINE), name


def test_every_installation_checks_the_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of `make install`, with uv and with pip, and those of the checkers' own environments."""
    commands: list[list[str]] = []

    def ran(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    def uv(requirements: list[str]) -> bool:
        commands.append(["uv", "install", *requirements])
        return False

    for module in (bootstrap, tool_environment):
        monkeypatch.setattr(module.subprocess, "run", ran)
        monkeypatch.setattr(module, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "uv_install", uv)
    bootstrap.make_venv()
    (tmp_path / "judge").mkdir()
    tool_environment.created("judge")
    installs = [command for command in commands if "install" in command]
    assert len(installs) == 4
    assert all("--require-hashes" in command for command in installs), installs


def test_a_package_with_other_bytes_than_the_locked_ones_is_not_installed(tmp_path: Path) -> None:
    wheel = tmp_path / "pinned-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pinned.py", "")
        archive.writestr(f"{DIST}/METADATA", "Metadata-Version: 2.1\nName: pinned\nVersion: 1.0\n")
        archive.writestr(
            f"{DIST}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{DIST}/RECORD", "")
    right, wrong = hashlib.sha256(wheel.read_bytes()).hexdigest(), hashlib.sha256(b"").hexdigest()
    for digest, installed in ((right, True), (wrong, False)):
        (tmp_path / "lock.txt").write_text(f"pinned==1.0 --hash=sha256:{digest}\n")
        done = subprocess.run(
            [
                str(VENV / "bin" / "uv"), "pip", "install", "--offline", "--no-index",
                "--find-links", str(tmp_path), "--python", sys.executable,
                "--target", str(tmp_path / digest), "--require-hashes",
                "-r", str(tmp_path / "lock.txt"),
            ],
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert (done.returncode == 0) is installed, done.stderr
        assert (tmp_path / digest / "pinned.py").exists() is installed
