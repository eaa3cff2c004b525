"""A lock, a wrong passphrase and a full disk, with the real engine."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.harness import ROOT, Rehearsal, Stack, run
from operations.engine import disk_space, pulumi_errors
from operations.engine.locks import remove_stale_locks
from operations.engine.state_file import state_problem
from tests.e2e import full_disk


@pytest.fixture
def program(rehearsal: Rehearsal, tmp_path: Path) -> Iterator[Stack]:
    stack = full_disk.program(rehearsal, tmp_path)
    stack.init()
    yield stack
    rehearsal.command("fault", "clear")
    stack.pulumi("destroy", "--yes", "--skip-preview")


def test_the_engine_stops_before_the_disk_is_full_and_the_next_run_completes(
    rehearsal: Rehearsal, program: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = []

    def nearly_full(_: Path) -> SimpleNamespace:
        """Called once a second while the engine runs: there is room until the engine has the lock."""
        try:
            remove_stale_locks(program.folder / ".pulumi" / "locks", program.name)
        except SystemExit as left:
            refusals.append(str(left))
        return SimpleNamespace(free=disk_space.MINIMUM - 1 if refusals else disk_space.REQUIRED)

    monkeypatch.setattr(disk_space, "written_folders", lambda: (program.folder,))
    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    rehearsal.command("fault", "slow", "--method", "create", "--times", "3", "--seconds", "2")
    assert program.cli.stream("up", "--yes", "--skip-preview") != 0
    assert "another update of stack any is in progress" in refusals[0]

    state = program.folder / ".pulumi" / "stacks" / "any-type" / f"{program.name}.json"
    assert state_problem(state, program.name) is None
    assert not json.loads(state.read_bytes())["checkpoint"]["latest"].get("pending_operations")
    remove_stale_locks(program.folder / ".pulumi" / "locks", program.name)

    def existing_urns() -> list[str]:
        # The rehearsal has other stacks too, whose former models stay beside the one that serves.
        urns = (each["urn"] for each in rehearsal.get("/_api/resources"))
        return [urn for urn in urns if urn.startswith(f"urn:pulumi:{program.name}::")]

    assert set(existing_urns()) <= {each["urn"] for each in program.resources()}, "nothing orphaned"
    program.up()
    existing = existing_urns()
    assert existing
    assert len(existing) == len(set(existing)), "nothing duplicated"


def test_a_wrong_passphrase_is_explained_and_nothing_is_written(program: Stack) -> None:
    program.configure(**{"any-type:word": "a"})

    def digest() -> dict[Path, str]:
        kept = (each for each in (program.folder / ".pulumi").rglob("*") if each.is_file())
        files = [program.file, *kept]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = digest()
    for wrong in ({"PULUMI_CONFIG_PASSPHRASE": "wrong"}, {"PULUMI_CONFIG_PASSPHRASE": ""}):
        cli = replace(program.cli, environment=program.environment | wrong)
        done = cli.capture("up", "--yes", "--skip-preview", timeout=60)
        assert done.returncode
        assert "PULUMI_CONFIG_PASSPHRASE_FILE" in pulumi_errors.explained(done.stderr, program.file)
    assert digest() == before


def test_a_rehearsal_continues_after_its_disk_was_full(tmp_path: Path) -> None:
    """On a file system of 2 MiB, in a mount namespace of this test's own."""
    namespace = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"]).returncode:
        pytest.skip("this machine permits no mount namespaces")
    command = [*namespace, sys.executable, "-m", "tests.e2e.full_disk", str(tmp_path)]
    printed = run(command, {**full_disk.environment()}, timeout=120, folder=ROOT)
    assert "InsufficientStorage: the disk with" in printed
    assert "make room and run the same command again" in printed
    assert printed.endswith("converged\n")
