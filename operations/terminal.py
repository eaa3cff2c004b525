"""Lines of progress, and a way to leave with a reason. Uses the standard library only."""

from __future__ import annotations

import sys
from typing import NoReturn


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"\033[2m• {text}\033[0m" if sys.stdout.isatty() else f"• {text}", flush=True)


def fail(text: str) -> NoReturn:
    """Leave with exit code 1 and this text, which says what to do."""
    sys.exit(text)
