"""A stack of the shell's environment: its stack file, and the locks of a backend elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from operations.delivery import terminal_stack
from operations.delivery.terminal_stack import TerminalStack
from operations.engine import stack as stack_


@pytest.fixture
def remote_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TerminalStack:
    """A stack whose backend is a bucket, in which a run of long ago left its lock."""
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(
        "#!/bin/sh\n"
        "echo 'error: the stack is currently locked by 1 lock(s).' >&2\n"
        "echo '  s3://states/x.json: created by ci@gone (pid 7) at 2026-01-01T00:00:00Z' >&2\n"
        "exit 255\n"
    )
    pulumi.chmod(0o755)
    monkeypatch.setattr(
        terminal_stack.environment,
        "pulumi_environment",
        lambda: {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    return TerminalStack("staging", tmp_path / "Pulumi.staging.yaml")


def test_a_lock_in_a_remote_backend_is_reported_with_the_way_out_and_kept(
    remote_stack: TerminalStack, capfd: pytest.CaptureFixture[str]
) -> None:
    remote_stack.remove_stale_locks()  # there is no lock that it could see or may remove
    with pytest.raises(SystemExit):
        remote_stack.update("up")
    stderr = capfd.readouterr().err
    assert stderr.count("currently locked by 1 lock(s)") == 1
    assert "s3://states/x.json, created" in stderr
    assert "by process 7 of ci on gone" in stderr
    assert "pulumi cancel --stack staging" in stderr


def test_stale_locks_are_removed_only_from_the_backend_of_this_clone(
    remote_stack: TerminalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked: list[str] = []
    monkeypatch.setattr(stack_, "remove_stale_locks", lambda locks, name: unlocked.append(name))
    remote_stack.remove_stale_locks()
    assert unlocked == []
    own = f"file://{stack_.HOME}/.pulumi/backend?metadata=skip"
    monkeypatch.setenv("PULUMI_BACKEND_URL", own)
    TerminalStack("staging", remote_stack.file).remove_stale_locks()
    assert unlocked == ["staging"]


def test_a_stack_without_a_stack_file_is_refused_with_the_name_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(terminal_stack, "SCRATCH", tmp_path)
    with pytest.raises(SystemExit, match=r"Pulumi\.elsewhere\.yaml"):
        TerminalStack.named("elsewhere")
