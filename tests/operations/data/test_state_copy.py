"""The copy of a state in the lake, after an update that failed."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import pytest

from operations.commands import update


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
