"""What a person at a terminal sees, and what a program that reads a command does not."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from operations import terminal
from operations.commands import model_versions
from operations.data import lake_locations, state_copy
from operations.engine import account, gateway, guards
from operations.recovery import copy_search

CONFIG: Any = SimpleNamespace(cloud="aws")
STACK: Any = SimpleNamespace(name="dev", export=dict)
SERVED: Any = {"gateway_url": "https://g", "models": {"digits": {"version": "0f"}}}


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    [
        (Screen(), {}, True),
        (Screen(), {"NO_COLOR": "1"}, False),
        (Screen(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "pipe"],
)
def test_colours_are_for_a_terminal_that_shows_them(
    stream: io.StringIO, variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    terminal.say("a line", stream)
    assert ("\033" in stream.getvalue()) is coloured


@pytest.mark.parametrize(("seconds", "said"), [(0.0, False), (0.5, True)])
def test_what_takes_long_says_what_it_waits_for_and_not_on_stdout(
    seconds: float,
    said: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(terminal, "LONG", 0.05)
    with terminal.waiting("`pulumi preview`"):
        time.sleep(seconds)
    time.sleep(0.1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == ("• waiting for `pulumi preview`\n" if said else "")


def test_what_takes_longer_says_how_far_it_is_after_longer_and_longer_pauses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "LONG", 0.05)
    done = iter(range(100))
    with terminal.waiting("the copy", lambda: f"{next(done)} objects"):
        time.sleep(0.6)
    printed = capsys.readouterr().err.splitlines()
    assert 3 <= len(printed) <= 4, printed
    assert printed[:2] == ["• waiting for the copy: 0 objects", "• waiting for the copy: 1 objects"]


@pytest.mark.parametrize(
    ("wait", "what"),
    [
        (lambda: gateway.predicted_bytes(STACK, SERVED), "the contract of digits from https://g"),
        (lambda: gateway.predicted_bytes(STACK, SERVED), "a prediction from https://g"),
        (lambda: account.credential_refusals(CONFIG, "1"), "aws, which is asked whose"),
        (lambda: copy_search.newest_lake_copy(CONFIG, "dev"), "the account's lakes"),
        (lambda: state_copy.copy_state_into_lake(STACK), "the lake, which gets a copy"),
        (lambda: model_versions.copy_models(STACK, None), "the models in the lake"),
    ],
    ids=["contract", "prediction", "account", "lakes", "state", "models"],
)  # fmt: skip
def test_whatever_asks_a_cloud_says_so_when_it_takes_long(
    wait: Callable[[], object],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def slow(*_: object, **__: object) -> Any:
        time.sleep(0.3)
        return []

    monkeypatch.setattr(terminal, "LONG", 0.05)
    monkeypatch.setattr(
        gateway, "_answer_when_ready", lambda *_: slow() or b'{"name": "digits", "example": {}}'
    )
    monkeypatch.setattr(gateway, "trusted", lambda _: None)
    monkeypatch.setattr(account, "current_account", slow)
    monkeypatch.setattr(guards, "different_account_refusals", lambda *_: [])
    monkeypatch.setattr(lake_locations, "find_lakes", slow)
    monkeypatch.setattr(state_copy, "_lake_among", lambda *_: object())
    monkeypatch.setattr(state_copy, "with_signature", lambda *_: {})
    monkeypatch.setattr(state_copy, "write_state_copy", slow)
    monkeypatch.setattr(model_versions, "_copied_models", slow)
    wait()
    printed = capsys.readouterr()
    assert f"• waiting for {what}" in printed.err
    assert printed.out == ""
