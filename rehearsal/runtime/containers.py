"""Containers: the program of an image as a local process, addressed by a stable key.

Only the environment and the working folder are isolated: the process runs as the user of the rehearsal, on
this machine's Python. Mounted files are reached through environment and arguments: in these, a mounted path,
or a path of the image, is replaced by the real one. A program that opens the literal path ``/opt/ml/model``
finds nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import psutil
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from rehearsal.core.credentials import Authority
from rehearsal.core.headers import DECODED_BODY, WHOLE_BODY
from rehearsal.core.store import KeyValues
from rehearsal.runtime.dockerfile import inside
from rehearsal.runtime.images import Image, ImageStore
from rehearsal.runtime.processes import Processes, last_lines
from rehearsal.runtime.program_environment import confined

logger = logging.getLogger(__name__)
MAX_BODY = 32 * 1024 * 1024
"""Cloud Run's limit of a request over HTTP/1; the others' are smaller. docs.cloud.google.com/run/quotas"""
IDLE_SECONDS = 600
"""A front end keeps an idle connection to its container for so long, and a container that closes it earlier can meet
a request: its caller gets 503. https://docs.cloud.google.com/load-balancing/docs/https/request-distribution"""
NO_OTHER_MACHINE = {
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "NO_PROXY": "127.0.0.1,127.0.0.0/8,localhost",
}
"""Where clients send what is for another machine: nothing listens there. google-auth asks iamcredentials.googleapis.com beside
the requests for which it was called, and no setting ends that.
https://github.com/googleapis/google-auth-library-python/blob/main/google/auth/_regional_access_boundary_utils.py"""
DRAIN_SECONDS = 30
RETRY_SECONDS = 2
"""Minimum time between two attempts to start a failed container."""
LOG_BYTES = 5_000_000
CONTAINERS = "workloads"
"""The namespace of the containers. Names on disk are those of earlier versions."""


class ContainerFailed(Exception):
    """The container ended or did not become healthy; the message ends with the tail of its log."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """What to run. It is stored, encrypted, so that it can be started again after a restart."""

    image: str
    """``repository@sha256:…`` or ``repository:tag``."""
    args: tuple[str, ...] = ()
    """Replaces the image's CMD, not its ENTRYPOINT."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The platform's variables. The program gets these, the image's ENV, and few others."""
    port_env: str = "PORT"
    """The variable with the program's port."""
    health: str = "/healthz"
    """Route that answers 200 as soon as the container can take requests."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files or folders that the platform mounts: path inside the container -> source here."""
    start_timeout: float = 30
    """Seconds until healthy."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        files = {inner: str(source) for inner, source in self.files.items()}
        return {**self.__dict__, "args": list(self.args), "env": dict(self.env), "files": files}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Container:
        """Back from `to_json`."""
        files = {inner: Path(source) for inner, source in value["files"].items()}
        return cls(**{**value, "args": tuple(value["args"]), "files": files})


@dataclass
class Instance:
    """A running container."""

    container: Container
    process: subprocess.Popen[bytes]
    address: str
    """Host and port."""
    in_flight: int = 0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None


class Containers:
    """Runs containers by key; a new container under the same key takes over from the former one."""

    def __init__(
        self,
        state_dir: Path,
        kv: KeyValues,
        images: ImageStore,
        processes: Processes,
        authority: Authority,
    ) -> None:
        self._kv = kv
        self._images = images
        self._processes = processes
        self._authority = authority
        self._folder = state_dir / "workloads"
        self._instances: dict[str, Instance] = {}
        self._changing: dict[str, threading.RLock] = {}
        self._guard = threading.Lock()  # of the three dictionaries and of Instance.in_flight
        self._failed: dict[str, tuple[float, str]] = {}
        self._client: httpx.AsyncClient | None = None

    def run(self, key: str, container: Container) -> None:
        """Start ``container``, wait until healthy, switch ``key`` over, drain and stop the former.

        Blocking. Raises `ContainerFailed`; then the former one continues to serve. If the same container
        is running, nothing changes. One of an image from elsewhere is recorded only, and answers 503.
        """
        with self._change(key):
            former = self._instances.get(key)
            if former and former.alive and former.container == container:
                return
            if self._images.is_from_elsewhere(container.image):
                self._kv.put(CONTAINERS, key, container.to_json())
                with self._guard:
                    self._instances.pop(key, None)
                if former:
                    self._drain(former)
                return
            instance = self._start(key, container)
            with self._guard:
                self._instances[key] = instance
                self._failed.pop(key, None)
            self._kv.put(CONTAINERS, key, container.to_json())
            if former:
                self._drain(former)

    def stop(self, key: str) -> None:
        """Stop and forget a container; an unknown key is ignored."""
        with self._change(key):
            self._kv.delete(CONTAINERS, key)
            with self._guard:
                instance = self._instances.pop(key, None)
                self._failed.pop(key, None)
            if instance:
                self._processes.stop(instance.process)

    async def forward(self, key: str, request: Request, path: str) -> Response:
        """Forward ``request`` to ``path`` (plus its query) of the container; 503 when it is down."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return PlainTextResponse("Request Entity Too Large", 413)
        query = f"?{request.url.query}" if request.url.query else ""
        return await self.send(key, request.method, path + query, request.headers.items(), body)

    async def send(
        self,
        key: str,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """Send a request to the container. 503 if there is none or it cannot be started, 504 after a minute."""
        instance = self._acquire(key)
        if instance is None:
            try:
                instance = await anyio.to_thread.run_sync(self._restart, key)
            except ContainerFailed as failure:
                return PlainTextResponse(f"Service Unavailable: {failure}", 503)
        try:
            answer = await self._http().request(
                method,
                f"http://{instance.address}{path}",
                content=body,
                headers=[
                    # A server takes the white space around a value away: RFC 9112, 5.1.
                    (k.encode("latin-1"), v.strip(" \t").encode("latin-1"))
                    for k, v in headers
                    if k.lower() not in WHOLE_BODY
                ],
            )
        except httpx.TimeoutException:
            return PlainTextResponse("upstream request timeout", 504)
        except httpx.TransportError as error:
            return PlainTextResponse(f"Service Unavailable: {error}", 503)
        finally:
            with self._guard:
                instance.in_flight -= 1
        response = Response(answer.content, answer.status_code)
        response.raw_headers += [
            (k.lower(), v) for k, v in answer.headers.raw if k.decode().lower() not in DECODED_BODY
        ]
        return response

    def logs(self, key: str, lines: int = 50) -> str:
        """The last lines of the container's log."""
        return last_lines(self._log(key), lines)

    async def close(self) -> None:
        """Close the connections. `Processes.stop_all` stops the containers."""
        if self._client:
            await self._client.aclose()

    def _change(self, key: str) -> threading.RLock:
        with self._guard:
            return self._changing.setdefault(key, threading.RLock())

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            limits = httpx.Limits(max_connections=None, keepalive_expiry=IDLE_SECONDS)
            transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
            self._client = httpx.AsyncClient(transport=transport, timeout=60, trust_env=False)
        return self._client

    def _acquire(self, key: str) -> Instance | None:
        """The instance behind the key, with one more request in flight, if it runs."""
        with self._guard:
            instance = self._instances.get(key)
            if instance is None or not instance.alive:
                return None
            instance.in_flight += 1
            return instance

    def _restart(self, key: str) -> Instance:
        """Start a container again: it has crashed, or the rehearsal was restarted."""
        with self._change(key):
            if instance := self._acquire(key):  # another thread was faster
                return instance
            stored = self._kv.get(CONTAINERS, key)
            if stored is None:
                raise ContainerFailed(f"nothing is deployed as {key}")
            since, message = self._failed.get(key, (0.0, ""))
            if time.monotonic() - since < RETRY_SECONDS and message:
                raise ContainerFailed(message)
            try:
                instance = self._start(key, Container.from_json(stored))
            except ContainerFailed as failure:
                self._failed[key] = (time.monotonic(), str(failure))
                raise
            instance.in_flight = 1
            with self._guard:
                self._instances[key] = instance
            return instance

    def _start(self, key: str, container: Container) -> Instance:
        """Start a process and wait until it is healthy."""
        image = self._images.find(container.image)
        if self._images.is_from_elsewhere(container.image):
            raise ContainerFailed(only_recorded(container.image))
        if image is None:
            raise ContainerFailed(f"manifest for {container.image} not found: manifest unknown")
        log = self._log(key)
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.unlink()
        begin = log.stat().st_size if log.exists() else 0
        host = _loopback_address()
        port = _any_port(host)
        process = self._processes.spawn(
            [
                _with_real_paths(word, image, container, rootfs=True)
                for word in _command(image, container)
            ],
            key=f"container/{key}",
            log=log,
            env={
                **self._environment(image, container),
                # By convention the server's address. In a real container it listens on all addresses.
                "HOST": host,
                container.port_env: str(port),
            },
            cwd=inside(image.rootfs, image.config.get("WorkingDir", "/")),
        )
        deadline = time.monotonic() + container.start_timeout
        address = f"{host}:{port}"
        while not _healthy(address, container.health):
            ended = process.poll()
            if ended is not None or time.monotonic() > deadline:
                self._processes.stop(process)
                what = (
                    f"the container ended with exit code {ended}"
                    if ended is not None
                    else f"the container did not answer {container.health} on port {port} "
                    f"within {container.start_timeout:g} s"
                )
                raise ContainerFailed(f"{what}. Its log ends:\n{last_lines(log, 20, begin)}")
            time.sleep(0.03)
        return Instance(container, process, address)

    def _drain(self, former: Instance) -> None:
        """Stop an instance that gets no new requests once the last one is answered."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while former.in_flight and time.monotonic() < deadline:
            time.sleep(0.02)
        self._processes.stop(former.process)

    def _environment(self, image: Image, container: Container) -> dict[str, str]:
        given = dict(entry.partition("=")[::2] for entry in image.config.get("Env", ()))
        scratch = self._folder / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        bundle = str(self._authority.bundle)
        wanted = {
            **{k: _with_real_paths(v, image, container, rootfs=True) for k, v in given.items()},
            **{
                k: _with_real_paths(v, image, container, rootfs=False)
                for k, v in container.env.items()
            },
        }
        program, shortened = confined(
            wanted,
            [image.rootfs, *container.files.values()],
            inside(image.rootfs, image.config.get("WorkingDir", "/")),
        )
        if shortened:
            logger.warning("%s: outside of the image, left out of %s", image.reference, shortened)
        return {
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LANG": "C.UTF-8",
            # The files of images do not change, and yet the second start is fast.
            "PYTHONPYCACHEPREFIX": str(self._folder / "pycache"),
            # The trust store of the machine that the container runs on.
            "SSL_CERT_FILE": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            **NO_OTHER_MACHINE,
            **program,
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        }

    def _log(self, key: str) -> Path:
        readable = re.sub(r"[^\w.-]+", "-", key)[-60:].strip("-")
        unique = hashlib.sha256(key.encode()).hexdigest()[:8]
        return self._folder / "logs" / f"{readable}-{unique}.log"


def only_recorded(image: str) -> str:
    """What the rehearsal says of an image that was not built in it."""
    return (
        f"the rehearsal only records {image}: it was not built here, so nothing runs. Its server can be tested with"
        " make check-image"
    )


def _command(image: Image, container: Container) -> list[str]:
    command = [
        *image.config.get("Entrypoint", ()),
        *(container.args or image.config.get("Cmd", ())),
    ]
    if not command:
        raise ContainerFailed("no command specified: the image has neither ENTRYPOINT nor CMD")
    return command


def _with_real_paths(value: str, image: Image, container: Container, *, rootfs: bool) -> str:
    """``value`` with the real paths of mounted files and of the image's files on this machine.

    A list of paths (``PYTHONPATH``) is split at its colons.
    """
    return ":".join(_real_path(part, image, container, rootfs) for part in value.split(":"))


def _real_path(part: str, image: Image, container: Container, rootfs: bool) -> str:
    if not part.startswith("/"):
        return part
    for mount, source in container.files.items():
        inner = os.path.relpath(part, f"/{mount.strip('/')}")
        if not inner.startswith(".."):
            return str(source if inner == "." else source / inner)
    here = inside(image.rootfs, part)
    return str(here) if rootfs and part != "/" and here.exists() else part


def _loopback_address() -> str:
    """An address of this machine alone. Its programs check no host and no origin, so no page may guess it.

    The whole of 127.0.0.0/8 is loopback (https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3). macOS configures
    127.0.0.1 alone.
    """
    if not psutil.LINUX:
        return "127.0.0.1"
    return "127." + ".".join(str(1 + secrets.randbelow(254)) for _ in range(3))


def _any_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _healthy(address: str, route: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=2)
    try:
        connection.request("GET", route)
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
