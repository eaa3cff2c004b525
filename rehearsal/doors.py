"""Public front doors: a loopback port of its own for each function URL, web service and web app."""

from __future__ import annotations

from starlette.types import ASGIApp


class Doors:
    """Opens and closes doors. A door keeps its port for as long as it is not closed for good."""

    def open(self, key: str, app: ASGIApp | str, *, max_concurrency: int | None = None) -> str:
        """Serve ``app`` (an ASGI app, or the key of a workload) and return ``http://127.0.0.1:PORT``.

        Idempotent: opening an open door exchanges what is behind it, without a failed request.
        Above ``max_concurrency`` requests at a time: 429, as the clouds answer.
        Callable from any thread, also from the event loop.
        """
        raise NotImplementedError

    def url(self, key: str) -> str | None:
        """The door's URL, open or not; None if it was never opened or closed for good."""
        raise NotImplementedError

    def close(self, key: str) -> None:
        """Close for good: the port is given back."""
        raise NotImplementedError
