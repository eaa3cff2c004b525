"""Lines of progress, and a way to leave with a reason. Uses the standard library only."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"\033[2m• {text}\033[0m" if sys.stdout.isatty() else f"• {text}", flush=True)


def fail(text: str) -> NoReturn:
    """Leave with exit code 1 and this text, which says what to do."""
    sys.exit(text)


def take_interrupts() -> None:
    """Let SIGINT interrupt this process and those that it starts, also where a shell has made them ignore it.

    A shell without job control, a pipeline's for instance, starts what it puts into the background so. The
    engine ends its processes with SIGINT, and kills them five seconds later if they ignore it: with this an update
    takes five seconds less. A handler of Python is not inherited: a started process has the default.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
