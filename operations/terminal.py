"""What a command prints on its way, and how it leaves. Standard library only."""

from __future__ import annotations

import sys
from typing import NoReturn


def say(text: str) -> None:
    """A line of progress."""
    print(f"\033[2m• {text}\033[0m" if sys.stdout.isatty() else f"• {text}", flush=True)


def fail(text: str) -> NoReturn:
    """Leave, with one sentence that says what to do."""
    sys.exit(text)
