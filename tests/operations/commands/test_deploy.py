"""The commands on a stack whose state cannot be read, or is lost."""

from __future__ import annotations

from typing import ClassVar

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
        for step in ("start_rehearsal", "ensure_model", "read_settings"):
            monkeypatch.setattr(module, step, lambda *_: None)
    with pytest.raises(SystemExit, match=r"half-written.*make adopt"):
        COMMANDS[command](Broken())  # type: ignore[arg-type]


def test_a_preview_is_refused_while_the_platform_of_a_lost_state_exists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would leave an empty stack, after which `make up` creates a second platform."""

    class Lost:
        name = "dev"
        environment: ClassVar[dict[str, str]] = {}

        def exists(self) -> bool:
            return False

        def init(self) -> None:
            pytest.fail("a stack was created")

    def existing(*_: object) -> list[str]:
        return ["there is no state of stack dev, but s3://lake belongs to it"]

    for step in ("start_rehearsal", "ensure_model", "refuse_unreadable_state"):
        monkeypatch.setattr(deploy, step, lambda *_: None)
    monkeypatch.setattr(deploy, "read_settings", lambda _: None)
    monkeypatch.setattr("operations.recovery.copy_search.reasons_not_to_create", existing)
    with pytest.raises(SystemExit, match="s3://lake belongs to it"):
        deploy.preview(Lost())  # type: ignore[arg-type]
