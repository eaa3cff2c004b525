"""Whose word about a copy's encryption counts, without an engine: what an attacker may write into a copy proves nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operations.engine import environment
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.shell_stack import ShellStack
from operations.engine.state_signature import SIGNATURE
from operations.recovery import trial_stack
from operations.recovery.copy_search import StateCopy
from operations.recovery.copy_signature import refuse_unsigned

KEY = {"secretsprovider": "awskms://alias/states", "encryptedkey": "YQ=="}
OF_KEY = {"type": "cloud", "state": {"url": KEY["secretsprovider"], "encryptedkey": "YQ=="}}
OF_PASSPHRASE = {"type": "passphrase", "state": {"salt": "v1:a"}}
OF_PULUMI_CLOUD = {"type": "service", "state": {"owner": "acme", "url": "https://api.pulumi.com"}}
PULUMI_CLOUD = "https://app.pulumi.com/acme"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands of Pulumi that are run; each succeeds, and prints nothing that fits."""
    commands: list[list[str]] = []

    def run(self: PulumiCli, *words: str, **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(self.command(*words))
        return subprocess.CompletedProcess([], 0, "\n", "")

    monkeypatch.setattr(PulumiCli, "capture", run)
    monkeypatch.setattr("operations.recovery.copy_signature.fits", lambda *_: True)
    monkeypatch.setattr(trial_stack, "HOME", tmp_path)
    monkeypatch.setattr(environment, "pulumi_environment", lambda: {"PATH": ""})
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "a word")
    return commands


Stack = Callable[..., ShellStack]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    def create(backend: str = "s3://states", **settings: str) -> ShellStack:
        file = tmp_path / "Pulumi.prod.yaml"
        file.write_text(json.dumps(settings))
        made = ShellStack("prod", file, "acme")
        made.__dict__["backend"] = backend
        return made

    return create


def refusal(stack: ShellStack, encryption: Any, owner: str = "prod") -> str:
    latest = {"manifest": {"time": "2026-11-01T00:00:00Z"}, "secrets_providers": encryption}
    signature = {"time": "2026-11-01T00:00:00+00:00", "encrypted": "v1:a"}
    copy = StateCopy.signed("s3://lake", {"deployment": latest, SIGNATURE: signature})
    try:
        refuse_unsigned(copy, owner, stack, (), "without it")
    except SystemExit as left:
        return str(left.code)
    return ""


def test_a_key_service_counts_only_if_a_stack_file_has_it_with_the_same_data_key(
    stack: Stack, asked: list[list[str]]
) -> None:
    assert refusal(stack(**KEY), OF_KEY) == ""
    for settings in ({}, {**KEY, "encryptedkey": "Yg=="}, {**KEY, "secretsprovider": "awskms://b"}):
        asked.clear()
        assert "Whose key is it?" in refusal(stack(**settings), OF_KEY)
        assert asked == [], "the engine is not sent to somebody else's key service"


def test_the_file_of_the_former_stack_counts_too(stack: Stack, asked: list[list[str]]) -> None:
    target = stack(encryptionsalt="v1:b")
    target.file.with_name("Pulumi.former.yaml").write_text(json.dumps(KEY))
    assert refusal(target, OF_KEY, owner="former") == ""
    assert "Whose key is it?" in refusal(target, OF_KEY)


def test_a_passphrase_counts_unless_it_is_empty_and_not_the_stacks_own(
    stack: Stack, asked: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(stack(**KEY), OF_PASSPHRASE) == ""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    assert "which everybody has" in refusal(stack(**KEY), OF_PASSPHRASE)
    assert refusal(stack(encryptionsalt="v1:b"), OF_PASSPHRASE) == ""


def test_pulumi_cloud_is_asked_as_the_stack_of_the_shells_own_organization(
    stack: Stack, asked: list[list[str]]
) -> None:
    """Whatever the copy says: whoever replaces it has a stack there, too."""
    assert "where this shell is not signed in" in refusal(stack(), OF_PULUMI_CLOUD)
    assert asked == []
    assert refusal(stack(PULUMI_CLOUD), OF_PULUMI_CLOUD, owner="former") == ""
    assert "acme/former" in asked[0]


@pytest.mark.parametrize("encryption", [None, {"type": "b64"}, {"type": "passphrase"}])
def test_an_encryption_that_is_not_known_is_refused(
    stack: Stack, asked: list[list[str]], encryption: Any
) -> None:
    assert "names no encryption of its secrets that is known" in refusal(stack(), encryption)
    assert asked == []
