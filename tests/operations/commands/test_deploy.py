"""The commands on a stack whose state cannot be read."""

from __future__ import annotations

import pytest

from operations.commands import deploy


@pytest.mark.parametrize("command", deploy.COMMANDS)
def test_every_command_refuses_an_unreadable_state(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        """A stack that answers nothing else."""

        def exists(self) -> bool:
            return True

        def state_problem(self) -> str:
            return "dev.json is half-written"

    for step in ("start_rehearsal", "train", "check"):
        monkeypatch.setattr(deploy, step, lambda *_: None)
    with pytest.raises(SystemExit, match=r"half-written.*make adopt"):
        deploy.COMMANDS[command](Broken())  # type: ignore[arg-type]
