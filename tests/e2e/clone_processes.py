"""The processes of a separate checkout, and the ports on which they listen."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Iterator

import psutil

from operations.crash.checkout import Checkout, kill
from rehearsal import supervisor


def rehearsal_of(checkout: Checkout) -> set[int]:
    """The processes of the checkout's rehearsal."""
    pid = supervisor.resident_pid(checkout.folder / ".rehearsal")
    if not pid:
        return set()
    return {pid, *(each.pid for each in psutil.Process(pid).children(recursive=True))}


def listening_ports(pids: Iterable[int]) -> set[int]:
    """The ports of loopback on which these processes listen."""
    ports = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            connections = psutil.Process(pid).net_connections("tcp")
            ports |= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return ports


@contextlib.contextmanager
def started(checkout: Checkout, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command in the checkout, in a session of its own; what is left of it at the end is killed with it."""
    temporary = checkout.folder / "t"
    temporary.mkdir(exist_ok=True)
    with (checkout.folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            words,
            cwd=checkout.folder,
            # Its own temporary files are below the folder, too.
            env={**checkout.environment, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)
