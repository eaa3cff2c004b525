"""Lines of progress, and a way to leave with a reason. Uses the standard library only."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """A signal that ends this process, and that nothing else in the terminal has received: SIGTERM, SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number  # as shells have it


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"\033[2m• {text}\033[0m" if sys.stdout.isatty() else f"• {text}", flush=True)


def fail(text: str) -> NoReturn:
    """Leave with exit code 1 and this text, which says what to do."""
    sys.exit(text)


def take_interrupts() -> None:
    """Let SIGINT interrupt this process and those that it starts, also where a shell has made them ignore it.

    SIGTERM and SIGHUP interrupt this process, too: what it has begun is ended, and temporary files go.

    A shell without job control, a pipeline's for instance, starts what it puts into the background so. The
    engine ends its processes with SIGINT, and kills them five seconds later if they ignore it: with this an update
    takes five seconds less. A handler of Python is not inherited: a started process has the default.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` ignores SIGHUP
            signal.signal(number, _terminate)


def _terminate(number: int, _: FrameType | None) -> None:
    raise Terminated(number)
