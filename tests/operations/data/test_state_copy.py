"""The copy of a state in the lake: after an update that failed, and one that is not read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from operations.commands import update
from operations.data.folder_lake import FolderLake
from operations.data.state_copy import UnreadableCopy, read_state_copy, state_copy_name


class Expired:
    """A stack whose credentials end in the middle of an update, so that its state cannot be read either."""

    name = "prod"

    def update(self, *_: str) -> NoReturn:
        sys.exit(255)

    def export(self) -> NoReturn:
        sys.exit("error: could not list bucket: ExpiredToken")


def test_a_copy_that_cannot_be_written_does_not_replace_the_updates_own_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack: Any = Expired()
    with pytest.raises(SystemExit) as left:
        update.bring_up(stack)
    assert left.value.code == 255
    assert "no copy of the current state" in capsys.readouterr().out


def test_a_copy_with_a_key_twice_is_not_read(tmp_path: Path) -> None:
    """The engine would merge both, of which only the last is checked."""
    lake = FolderLake(tmp_path)
    twice = '{"deployment": {"resources": [{"inputs": {"__provider": "x"}, "inputs": {}}]}}'
    lake.write(state_copy_name("dev"), twice.encode())
    with pytest.raises(UnreadableCopy, match="'inputs' is there twice"):
        read_state_copy(lake, "dev")
