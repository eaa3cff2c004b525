"""Whatever listens for a rehearsed platform refuses what a page in the engineer's browser can send."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

import certifi
import psutil
import pytest

from bench.harness import Rehearsal, Stack

ATTACKS = {
    "DNS rebinding": "GET / HTTP/1.1\r\nHost: rebound.example:{port}\r\n",
    "a form of another origin": "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    "Origin: http://127.0.0.1:1\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n",
    "an image of another page": "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n",
}


def listeners(rehearsal: Rehearsal) -> Iterator[tuple[str, int, str]]:
    """Address, port and command of everything that listens for the rehearsal."""
    resident = psutil.Process(rehearsal.get("/_api/status")["pid"])
    for process in (resident, *resident.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in process.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN:
                    yield (
                        each.laddr.ip.removeprefix("::ffff:"),
                        each.laddr.port,
                        process.cmdline()[-1],
                    )


def answer(port: int, request: str, *, tls: ssl.SSLContext | None = None) -> str:
    """The first line of the answer; empty if the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        sent = f"{request.format(port=port)}Connection: close\r\n\r\n".encode()
        with tls.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain as connection:
            connection.sendall(sent)
            with contextlib.suppress(OSError):
                return connection.recv(1000).decode("latin-1").partition("\r\n")[0]
    return ""


def speaks_tls(port: int) -> bool:
    """Whether the port offers TLS, with a certificate that no browser trusts."""
    public = ssl.create_default_context(cafile=certifi.where())
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError),
    ):
        plain.settimeout(5)
        try:
            public.wrap_socket(plain, server_hostname="127.0.0.1")
        except ssl.SSLCertVerificationError:
            return True
        raise AssertionError(f"port {port} has a certificate that a browser trusts")
    return False


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_listener_answers_a_page_of_another_origin(stack: Stack, attack: str) -> None:
    found = list(listeners(stack.rehearsal))
    assert len(found) > 4, found
    for address, port, command in found:
        if address != "127.0.0.1":
            # A container: nobody checks its Host, so nobody may guess where it is.
            assert address.startswith("127."), (address, command)
            continue
        if speaks_tls(port):
            continue
        first = answer(port, ATTACKS[attack])
        assert not first.startswith("HTTP/") or first.split()[1] in ("400", "403"), (
            f"{attack}: {first} of {command} on port {port}"
        )
