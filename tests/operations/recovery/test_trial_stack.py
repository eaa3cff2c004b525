"""Stacks over copies of a state: what they begin with, and that nothing of them is left."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from operations.engine.environment import backend_url
from operations.engine.stack import Stack
from operations.recovery import trial_stack
from operations.recovery.copy_search import StateCopy
from operations.recovery.program_preview import previewed
from tests.operations.recovery.states import deployment, role

STATE = {"version": 3, "deployment": deployment(role(id="r-1"))}


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setattr(trial_stack, "HOME", tmp_path)
    return cast(
        Stack,
        SimpleNamespace(
            environment={
                "A": "of the other",
                "PULUMI_BACKEND_URL": "x",
                "PULUMI_DIY_BACKEND_GZIP": "true",
            }
        ),
    )


def test_a_former_stack_is_its_copy_in_a_folder_that_only_this_user_reads(
    other: Stack, tmp_path: Path
) -> None:
    with trial_stack.former_stack("old", StateCopy("the backup", STATE), other) as former:
        assert former.export() == STATE
        assert former.name == "old"
        assert former.folder.parent == tmp_path / ".pulumi"
        assert former.folder.stat().st_mode & 0o077 == 0
        assert former.environment["A"] == "of the other"
        assert former.environment["PULUMI_DIY_BACKEND_GZIP"] == ""
        assert former.environment["PULUMI_DIY_BACKEND_LEGACY_LAYOUT"] == ""
        assert former.environment["PULUMI_BACKEND_URL"] == backend_url(former.backend)
        assert former.file == former.folder / "Pulumi.old.yaml", "not the file of the other stack"
    assert list((tmp_path / ".pulumi").iterdir()) == []


def test_an_empty_stack_has_no_resources(other: Stack) -> None:
    with trial_stack.empty_stack("new", other) as empty:
        assert empty.exists()
        assert empty.export() == {"version": 3, "deployment": {}}


def test_a_folder_of_a_killed_run_is_removed_and_that_of_another_stack_is_not(
    other: Stack, tmp_path: Path
) -> None:
    for left in ("empty.new.1", "empty.old.1"):
        (tmp_path / ".pulumi" / left / "backend").mkdir(parents=True)
    with trial_stack.empty_stack("new", other):
        pass
    assert [each.name for each in (tmp_path / ".pulumi").iterdir()] == ["empty.old.1"]


def test_a_copy_that_would_run_foreign_code_is_refused(other: Stack, tmp_path: Path) -> None:
    foreign = {
        "urn": "urn:pulumi:dev::t::command:local:Command::x",
        "type": "command:local:Command",
    }
    copy = StateCopy("s3://lake", {"version": 3, "deployment": deployment(foreign)})
    with (
        pytest.raises(SystemExit, match=r"The copy s3://lake: the state has .*command"),
        trial_stack.former_stack("old", copy, other),
    ):
        pytest.fail("it was opened")
    assert list((tmp_path / ".pulumi").iterdir()) == []


@pytest.mark.parametrize(
    "altered",
    [
        {"version": 3, "deployment": deployment({**role(id="r-1"), "Inputs": {"__provider": "x"}})},
        {**STATE, "Checkpoint": {"latest": deployment()}},
    ],
)
def test_a_copy_with_a_key_that_only_the_engine_understands_is_refused(
    other: Stack, altered: dict[str, Any]
) -> None:
    with (
        pytest.raises(
            SystemExit, match=r"The copy s3://lake: the state has the key '(Inputs|Checkpoint)'"
        ),
        trial_stack.former_stack("old", StateCopy("s3://lake", altered), other),
    ):
        pytest.fail("it was opened")


@pytest.mark.parametrize("fails", [False, True])
def test_the_event_log_of_a_preview_has_secrets_and_is_deleted(fails: bool, tmp_path: Path) -> None:
    provider = {"urn": "p", "type": "pulumi:providers:aws"}
    step = {"op": "create", "urn": "u", "newState": {"urn": "u", "type": "t", "custom": True}}

    def preview_steps(*words: str) -> list[dict[str, Any]]:
        assert words[:3] == ("preview", "--show-sames", "--event-log")
        event = {"resourcePreEvent": {"metadata": {"new": provider}}}
        Path(words[3]).write_text(json.dumps(event) + "\n")
        if fails:
            raise SystemExit("the preview failed")
        return [step]

    trial = cast(Any, SimpleNamespace(folder=tmp_path, preview_steps=preview_steps))
    if fails:
        with pytest.raises(SystemExit, match="the preview failed"):
            previewed(trial)
    else:
        found = previewed(trial)
        assert (found.steps, found.providers) == ([step], [provider])
        assert found.missing == [step["newState"]]
    assert list(tmp_path.iterdir()) == []
