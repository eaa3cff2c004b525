"""What a person at a terminal sees, and what a program that reads a command does not."""

from __future__ import annotations

import io
import time

import pytest

from operations import terminal


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
