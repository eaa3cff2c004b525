"""Containers of the rehearsal: an image's own program as a local process behind a stable key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response


class ContainerFailed(Exception):
    """The container ended or did not become healthy; the message ends with the tail of its log."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """What to run. Everything here is stored, so that it can be started again after a restart."""

    image: str
    """``repository@sha256:…`` or ``repository:tag``."""
    args: tuple[str, ...] = ()
    """Replaces the image's CMD, not its ENTRYPOINT."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What the platform gives. The container sees this, the image's ENV, and nothing else."""
    port_env: str = "PORT"
    """The variable that tells the program its port."""
    health: str = "/healthz"
    """Route that answers 200 once the container may take requests."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files or folders that the platform mounts: path inside the container -> source here."""
    start_timeout: float = 30
    """Seconds until healthy."""


class Workloads:
    """Runs containers, each behind a key; another container under the same key takes over."""

    def run(self, key: str, container: Container) -> None:
        """Start ``container``, wait until healthy, switch ``key`` over, drain and stop the former.

        Blocking. Raises `ContainerFailed`; then the former goes on serving.
        The same container as the running one: nothing happens.
        """
        raise NotImplementedError

    def stop(self, key: str) -> None:
        """Stop and forget. Unknown keys are fine."""
        raise NotImplementedError

    async def forward(self, key: str, request: Request, path: str) -> Response:
        """Pass ``request`` on to ``path`` (with its query) of the container; 503 when it is down."""
        raise NotImplementedError

    def logs(self, key: str, lines: int = 50) -> str:
        """The end of what the container wrote."""
        raise NotImplementedError
