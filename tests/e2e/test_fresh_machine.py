"""A machine as a stranger has it: no network, no home, one core, and a folder whose name is not plain ASCII."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from operations.crash.checkout import Checkout
from operations.engine.installation import CACHE
from tools import bootstrap

NO_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
DEEP = "/".join(["a folder with a long name"] * 6)
"""A socket's path has 108 bytes at most: https://man7.org/linux/man-pages/man7/unix.7.html"""


def test_a_first_make_up_needs_no_network_no_home_and_no_plain_folder_name(
    tmp_path: Path, models: list[str]
) -> None:
    folder = tmp_path / "Träume, 50% #1? 'q'" / DEEP / "clone"
    folder.mkdir(parents=True)
    checkout = Checkout("aws", folder)
    checkout.create()
    environment = {
        **checkout.environment,
        "HOME": "/nonexistent",
        "XDG_CACHE_HOME": str(CACHE.parent),
        "TMPDIR": "/nonexistent",
        "LANG": "C",
        "TZ": "Asia/Kathmandu",
    }
    limits = 'umask 077; make up < /dev/null; code=$?; make down; exit "$code"'
    command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), "sh", "-c", limits]
    if shutil.which("unshare") and not subprocess.run([*NO_NETWORK, "true"]).returncode:
        command = [*NO_NETWORK, *command]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Arrival: late, probability of late" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_missing_pulumi_is_said_in_a_sentence_before_anything_is_installed(
    tmp_path: Path,
) -> None:
    checkout = Checkout("aws", tmp_path)
    checkout.create()
    (tmp_path / ".venv").unlink()
    tools = tmp_path / "tools-of-the-machine"
    tools.mkdir()
    for name in ("sh", "make", "git", "python3"):
        found = sys.executable if name == "python3" else str(shutil.which(name))
        (tools / name).symlink_to(found)
    done = subprocess.run(
        ["make", "up"],
        cwd=tmp_path,
        env={"PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    first, *rest = done.stderr.splitlines()
    assert first.startswith(
        "Pulumi is not installed: install it as https://www.pulumi.com/docs/install/"
    )
    assert [line for line in rest if not line.startswith("make: ***")] == []
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_its_venv_module_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Debian's python3 alone: the module is in python3-venv."""
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(SystemExit, match=r"with its venv module, .*apt-get install python3-venv"):
        bootstrap.find_python()
