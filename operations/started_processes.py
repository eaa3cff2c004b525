"""What a command starts ends with the command, and the command ends with `make`, however either ends.

A kill leaves no time to end one's own processes, and the engine's plugins have process groups of their own. So a command that
starts processes has a watcher: a process in a session of its own, which a signal to the terminal's group does not reach. It knows
what the command started by a mark in their environment, which every process passes on to those that it starts.

The watcher first interrupts, as Ctrl-C does: the engine finishes the operations in progress, and saves its state.

Watched too are commands below another one, each by its own watcher. The rehearsal of this clone carries no mark: it stays until
`make down`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

MARKS = "STARTED_BY_TRIPLANE"
"""The variable with the mark of each command above a process, the outermost first. Not `TRIPLANE_…`: a separate checkout
(`operations.crash.checkout`) leaves those out, and must end with its command."""
GRACE = 30.0
"""Seconds for the operations in progress. What is cut off is found by the next run (`operations.recovery.interrupted_run`)."""
ENDS_BY_ITSELF = "ENDS_BY_ITSELF_FOR_TRIPLANE"
"""A variable of the engine on a real cloud, and of its plugins: they are interrupted and waited for, however long that takes. An
endpoint takes minutes, and what is cut off costs money until somebody finds it."""
PAUSE = 0.5

_own: list[Any] = []
"""This process's mark, and what must not be collected while it lives: the watcher, and the pipe that ends with this process."""


def end_with_this_process() -> None:
    """From now on, whatever this process starts ends with it, and it ends with the `make` or the command above it.

    A shell above it may end: it has put the command into the background.
    """
    if _own:
        return
    reading, writing = os.pipe()
    mark = f"{os.getpid()}-{time.time_ns()}"
    above = os.getppid() if {"MAKELEVEL", MARKS} & os.environ.keys() else 0
    watcher = subprocess.Popen(
        [sys.executable, "-I", __file__, str(os.getpid()), str(above), mark],
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: value for name, value in os.environ.items() if name != MARKS},
        start_new_session=True,
    )
    os.close(reading)
    _own.extend((mark, watcher, writing))
    os.environ[MARKS] = ",".join([*_marks(os.environ), mark])


def staying_environment() -> dict[str, str]:
    """The environment of what stays when this process ends. It still ends with a command above this one."""
    marks = ",".join(mark for mark in _marks(os.environ) if mark not in _own)
    return {name: value for name, value in os.environ.items() if name != MARKS} | (
        {MARKS: marks} if marks else {}
    )


def _marks(environment: Mapping[str, str]) -> list[str]:
    return [mark for mark in environment.get(MARKS, "").split(",") if mark]


# The watcher


def watch(command: int, above: int, mark: str) -> None:
    """Wait until the command has ended, or the process above it, and end what is left."""
    os.nice(10)
    while not _has_ended(PAUSE):
        if above and _parent(command) != above:
            break
    _end(command, mark)


def _has_ended(seconds: float) -> bool:
    """Whether the command ends within these seconds: its end of the pipe closes, and stdin is readable."""
    return bool(select.select([0], [], [], seconds)[0])


def _parent(pid: int) -> int | None:
    import psutil

    try:
        return int(psutil.Process(pid).ppid())
    except psutil.NoSuchProcess:
        return None


def _end(command: int, mark: str) -> None:
    interrupted: set[int] = set()
    deadline = time.monotonic() + GRACE
    while members := _members(command, mark):
        for each in _first(members, command):
            if each.pid not in interrupted:  # a second interrupt would not let the engine finish
                interrupted.add(each.pid)
                _signal(each, signal.SIGINT)
        if time.monotonic() > deadline and not any(map(_ends_by_itself, members.values())):
            for each in members.values():
                _signal(each, signal.SIGKILL)
        time.sleep(PAUSE / 2)


def _members(command: int, mark: str) -> dict[int, psutil.Process]:
    """The command, while it lives, and the processes with its mark."""
    import psutil

    alive = not _has_ended(0)
    return {
        each.pid: each
        for each in psutil.process_iter()
        if (each.pid == command and alive) or mark in _marks(_environment_of(each))
    }


def _ends_by_itself(process: psutil.Process) -> bool:
    return ENDS_BY_ITSELF in _environment_of(process)


def _environment_of(process: psutil.Process) -> Mapping[str, str]:
    import psutil

    try:
        environment: dict[str, str] = process.environ()
        return environment
    except (psutil.Error, OSError):  # it has ended, or is somebody else's
        return {}


def _first(members: Mapping[int, psutil.Process], command: int) -> Iterator[psutil.Process]:
    """The command, what it has started itself, and what has no parent among the members.

    The others are left to these: the engine needs its plugins for the operations in progress.
    """
    import psutil

    for each in members.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.ppid() == command or each.ppid() not in members:
                yield each


def _signal(process: psutil.Process, number: int) -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


if __name__ == "__main__":
    watch(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
