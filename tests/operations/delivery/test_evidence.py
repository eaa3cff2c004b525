"""The evidence of a delivery: written after each step, with the commit that is delivered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from operations.delivery import evidence
from operations.delivery.evidence import Evidence


def test_a_killed_delivery_leaves_evidence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(evidence, "DELIVERY_FOLDER", tmp_path)
    record = Evidence("merge-aws", "c" * 40)
    with pytest.raises(KeyboardInterrupt), record.step("up staging-aws"):
        raise KeyboardInterrupt
    written = json.loads((tmp_path / "merge-aws.json").read_text())
    assert written["outcome"] == "unfinished"
    assert written["steps"][0]["failed"] == "KeyboardInterrupt"


@pytest.fixture
def no_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A source without .git, as CodePipeline delivers it."""
    monkeypatch.setattr(evidence, "HOME", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in evidence.COMMIT_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", evidence.COMMIT_VARIABLES)
def test_without_a_checkout_a_variable_of_the_service_names_the_commit(
    no_checkout: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "d" * 40)
    assert evidence.commit() == f"{'d' * 40} by {name}, in no git checkout"


def test_a_delivery_of_an_unknown_commit_does_not_start(no_checkout: None) -> None:
    with pytest.raises(SystemExit, match="CODEBUILD_RESOLVED_SOURCE_VERSION and COMMIT_SHA are"):
        evidence.commit()


def test_a_machine_without_git_gets_a_message_and_no_traceback(
    no_checkout: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="or there is no git"):
        evidence.commit()
