"""Lines of progress, and a way to leave with a reason. Uses the standard library only."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from types import FrameType
from typing import NoReturn, TextIO


class Terminated(KeyboardInterrupt):
    """A signal that ends this process, and that nothing else in the terminal has received: SIGTERM, SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number  # as shells have it


LONG = 2.0
"""Seconds without a word after which a person wonders."""
LONGEST_PAUSE = 30.0


def has_colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal that shows colours, and nobody has declined them (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line of progress."""
    stream = stream or sys.stdout
    line = f"\033[2m• {text}\033[0m" if has_colours(stream) else f"• {text}"
    print(line, file=stream, flush=True)


@contextmanager
def waiting(what: str, progress: Callable[[], str] | None = None) -> Iterator[None]:
    """Say on stderr what is waited for, if the block takes long; with ``progress`` how far it is, after longer and longer
    pauses."""
    ended = Event()

    def report() -> None:
        pause = LONG
        while not ended.wait(pause):
            # Not on stdout: a program may read what the command prints.
            say(f"waiting for {what}{f': {progress()}' if progress else ''}", sys.stderr)
            if not progress:
                return
            pause = min(2 * pause, LONGEST_PAUSE)

    Thread(target=report, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextmanager
def end_with_reader() -> Iterator[None]:
    """End without a word when nobody reads stdout any more, as in ``make … | head -1``."""
    try:
        yield
    except BrokenPipeError:
        if _has_reader(sys.stdout):
            raise  # it is another connection that is broken
        sys.exit(128 + signal.SIGPIPE)  # as shells have it
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # or Python would report the rest, which it writes when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _has_reader(stream: TextIO) -> bool:
    polled = select.poll()
    polled.register(stream, 0)
    return not any(event & select.POLLERR for _, event in polled.poll(0))


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
