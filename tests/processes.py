"""The processes of a folder, and waiting for what they do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def becomes(true: Callable[[], bool], seconds: float = 90) -> bool:
    """Whether it becomes true within these seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def processes_of(folder: Path) -> dict[int, str]:
    """The command lines of the processes that name the folder: in their words, variables or working folder."""
    found = {}
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            line = " ".join(each.cmdline())
            if str(folder) in "\n".join([line, each.cwd(), *each.environ().values()]):
                found[each.pid] = line
    return found
