"""Loopback ports that stay the same over restarts: the engine's state contains URLs with them."""

from __future__ import annotations

import json
import random
import socket
import threading
from pathlib import Path

from rehearsal.core.files import write_whole
from rehearsal.core.settings import CACHE

# Below the range that Linux (from 32768) and macOS (from 49152) use for outgoing connections, so that
# none of these has a kept port at the moment of a restart.
RANGE = range(20000, 32000)
RESERVATIONS = CACHE / "ports"
"""A file for each port that a rehearsal of this user keeps; it contains the path of its `Ports`. Without it, the
ports of a stopped rehearsal would look free to the others."""


_lock = threading.Lock()


class Ports:
    """Ports by key, in a separate file: the rollback of a failed update must not release a used port."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def port_of(self, key: str) -> int:
        """The port of ``key``; the first call chooses a free one."""
        with _lock:
            kept = self._read()
            if key not in kept:
                kept[key] = self._choose(set(kept.values()))
                self._write(kept)
            self._reserve(kept[key])  # again, in case the cache was deleted
            return kept[key]

    def get(self, key: str) -> int | None:
        """The port of ``key``, if it has one."""
        with _lock:
            return self._read().get(key)

    def release(self, key: str) -> None:
        """Release the port of ``key``; an unknown key is ignored."""
        with _lock:
            kept = self._read()
            if (port := kept.pop(key, None)) is not None:
                self._write(kept)
                (RESERVATIONS / str(port)).unlink(missing_ok=True)

    def _choose(self, taken: set[int]) -> int:
        for port in random.sample(RANGE, len(RANGE)):
            if port not in taken and is_free(port) and self._reserve(port):
                return port
        raise OSError(f"no free port on 127.0.0.1 from {RANGE.start} to {RANGE.stop - 1}")

    def _reserve(self, port: int) -> bool:
        """Reserve the port; False if another rehearsal keeps it."""
        RESERVATIONS.mkdir(parents=True, exist_ok=True)
        reservation, path = RESERVATIONS / str(port), str(self._path.resolve())
        try:
            with reservation.open("x") as file:
                file.write(path)
        except FileExistsError:
            holder = reservation.read_text()
            if holder and holder != path and port in Ports(Path(holder))._read().values():
                return False
            reservation.write_text(path)  # the holder was wiped
        return True

    def _read(self) -> dict[str, int]:
        kept: dict[str, int] = json.loads(self._path.read_text()) if self._path.exists() else {}
        return kept

    def _write(self, kept: dict[str, int]) -> None:
        write_whole(self._path, json.dumps(kept, indent=1))


def is_free(port: int) -> bool:
    """Whether no process listens on this loopback port."""
    with socket.socket() as probe:
        # As servers do: lingering connections of a former listener do not count.
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


def is_listening(port: int) -> bool:
    """Whether a process accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
