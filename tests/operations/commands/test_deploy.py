"""The commands on a stack whose state cannot be read, is lost, or was never there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operations.commands import backup, preparation
from operations.commands.registry import COMMANDS
from operations.recovery import copy_search


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "ensure_model", lambda: None)
    monkeypatch.setattr(preparation, "read_settings", lambda _: SimpleNamespace(cloud="aws"))


def stack(**answers: Any) -> Any:
    """A stack that answers nothing but what every command asks first, and these."""
    known = {
        "exists": True,
        "is_empty": False,
        "state_problem": None,
        "missing": None,
        "start": None,
        "written": None,
        **answers,
    }
    return SimpleNamespace(
        name="prod",
        environment={},
        backup=None,
        make=lambda target: f"make {target} STACK=prod",
        pulumi_line=lambda words: f"pulumi {words} --stack prod",
        **{name: lambda value=value: value for name, value in known.items()},
    )


@pytest.mark.parametrize("command", ["up", "preview", "destroy", "outputs", "predict", "repair"])
def test_every_command_refuses_an_unreadable_state(command: str) -> None:
    broken = stack(state_problem="prod.json is half-written")
    with pytest.raises(SystemExit, match=r"half-written.*make adopt STACK=prod"):
        COMMANDS[command](broken)


@pytest.mark.parametrize(
    "command", ["up", "preview", "destroy", "outputs", "predict", "repair", "backup"]
)
def test_every_command_refuses_a_stack_that_must_exist_and_does_not(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "open_lake", lambda _: None)
    monkeypatch.setenv("BACKUP", "s3://backups")
    with pytest.raises(SystemExit, match="There is no stack"):
        COMMANDS[command](stack(exists=False, missing="There is no stack prod in s3://states"))


@pytest.mark.parametrize("answers", [{"exists": False}, {"is_empty": True}])
@pytest.mark.parametrize("command", ["up", "preview", "repair"])
def test_no_second_platform_is_built_while_the_first_exists_without_a_state(
    command: str, answers: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty stack hides the loss: somebody has created it again, or `make adopt` was interrupted."""

    def existing(*_: object) -> list[str]:
        return ["there is no state of stack prod, but s3://lake belongs to it"]

    monkeypatch.setattr(copy_search, "reasons_not_to_create", existing)
    with pytest.raises(SystemExit, match="s3://lake belongs to it"):
        COMMANDS[command](stack(init=AssertionError("a stack was created"), **answers))


def test_the_outputs_have_the_command_that_prints_the_key_and_never_the_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"gateway_url": "https://gateway", "gateway_key": "key-of-the-gateway"}
    COMMANDS["outputs"](stack(outputs=found))
    printed = capsys.readouterr().out
    assert "pulumi stack output gateway_key --show-secrets --stack prod\n" in printed
    assert "key-of-the-gateway" not in printed


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_backup_of_a_stack_of_the_shell_needs_a_place(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This clone's own stacks have theirs in the clone, and one may have the same name."""
    monkeypatch.delenv("BACKUP", raising=False)
    with pytest.raises(SystemExit, match="BACKUP=… is missing"):
        COMMANDS[command](stack())
