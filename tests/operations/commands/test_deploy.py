"""The commands on a stack whose state cannot be read."""

from __future__ import annotations

import pytest

from operations.commands import deploy, preparation
from operations.commands.registry import COMMANDS


@pytest.mark.parametrize("command", ["up", "preview", "destroy", "outputs", "predict"])
def test_every_command_refuses_an_unreadable_state(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        """A stack that answers nothing else."""

        def exists(self) -> bool:
            return True

        def state_problem(self) -> str:
            return "dev.json is half-written"

    for module in (deploy, preparation):
        for step in ("start_rehearsal", "train_model", "read_settings"):
            monkeypatch.setattr(module, step, lambda *_: None)
    with pytest.raises(SystemExit, match=r"half-written.*make adopt"):
        COMMANDS[command](Broken())  # type: ignore[arg-type]
