"""Loopback ports that stay the same over restarts: URLs with them are in the engine's state."""

from __future__ import annotations

import json
import random
import socket
import threading
from pathlib import Path

from rehearsal.core.files import write_whole
from rehearsal.core.settings import CACHE

# Below the range that Linux (32768 and up) and macOS (49152 and up) hand out to outgoing
# connections, so that none of those holds a kept port at the moment of a restart.
RANGE = range(20000, 32000)
CLAIMS = CACHE / "ports"
"""A file for each port that a rehearsal of this user keeps, with the path of its `Ports`: while one does
not run, its ports look free to the others."""


_lock = threading.Lock()


class Ports:
    """Ports by key, in a file of its own: a port in use must not be undone with a failed update."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, key: str) -> int:
        """The port of ``key``, chosen free at the first call."""
        with _lock:
            kept = self._read()
            if key not in kept:
                kept[key] = self._choose(set(kept.values()))
                self._write(kept)
            self._claim(kept[key])  # again, should the claims have been cleared away
            return kept[key]

    def get(self, key: str) -> int | None:
        """The port of ``key``, if it has one."""
        with _lock:
            return self._read().get(key)

    def release(self, key: str) -> None:
        """Give the port of ``key`` back; an unknown key is fine."""
        with _lock:
            kept = self._read()
            if (port := kept.pop(key, None)) is not None:
                self._write(kept)
                (CLAIMS / str(port)).unlink(missing_ok=True)

    def _choose(self, taken: set[int]) -> int:
        for port in random.sample(RANGE, len(RANGE)):
            if port not in taken and free(port) and self._claim(port):
                return port
        raise OSError(f"no free port on 127.0.0.1 from {RANGE.start} to {RANGE.stop - 1}")

    def _claim(self, port: int) -> bool:
        """Whether the port is kept here from now on, and by no other rehearsal."""
        CLAIMS.mkdir(parents=True, exist_ok=True)
        claim, ours = CLAIMS / str(port), str(self._path.resolve())
        try:
            with claim.open("x") as file:
                file.write(ours)
        except FileExistsError:
            holder = claim.read_text()
            if holder and holder != ours and port in Ports(Path(holder))._read().values():
                return False
            claim.write_text(ours)  # whoever had it has been wiped
        return True

    def _read(self) -> dict[str, int]:
        kept: dict[str, int] = json.loads(self._path.read_text()) if self._path.exists() else {}
        return kept

    def _write(self, kept: dict[str, int]) -> None:
        write_whole(self._path, json.dumps(kept, indent=1))


def free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket() as probe:
        # As servers do: connections of a former listener that linger do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def listen(port: int) -> socket.socket:
    """A listener on a loopback port, for an asyncio server. Raises OSError when it is taken."""
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is
    # (selector_events._set_nodelay): with `socket.create_server`, each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def listens(port: int) -> bool:
    """Whether somebody takes connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
