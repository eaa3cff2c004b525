"""Tokens for the clouds' model services, fetched in a thread before they expire and shared by all requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.logs import log

EARLY_SECONDS = 225
"""So long before its end a token is fetched again. Google's metadata server keeps one until about five minutes before, so an
earlier request would get the same: https://github.com/googleapis/google-auth-library-python (REFRESH_THRESHOLD)"""
RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class Token:
    value: str
    expires: float
    """Seconds since 1970."""


class Tokens:
    """The current token."""

    def __init__(self, fetch: Callable[[], Token], clock: Callable[[], float] = time.time) -> None:
        """``fetch`` may block, and raises what the cloud's client raises."""
        self._fetch, self._clock = fetch, clock
        self._token = Token("", 0)
        self._refresh_at = float("-inf")
        self._fetching: asyncio.Future[None] | None = None

    async def get(self) -> str:
        """A token that is valid now. Raises what the cloud's client raises."""
        now = self._clock()
        is_over = now >= self._token.expires
        if is_over or now >= self._refresh_at:
            if self._fetching is None:
                self._fetching = asyncio.ensure_future(self._refresh())
                self._fetching.add_done_callback(self._fetched)
            if is_over:
                await asyncio.shield(self._fetching)
        return self._token.value

    def forget(self) -> None:
        """Fetch another token for the next request: the service has refused this one."""
        self._token, self._refresh_at = Token("", 0), float("-inf")

    async def _refresh(self) -> None:
        self._token = await asyncio.to_thread(self._fetch)
        # A token that is always about to end is fetched once in a while, and not for each request.
        earliest = self._clock() + RETRY_SECONDS
        self._refresh_at = max(self._token.expires - EARLY_SECONDS, earliest)

    def _fetched(self, fetching: asyncio.Future[None]) -> None:
        self._fetching = None
        if not fetching.cancelled() and (error := fetching.exception()):
            self._refresh_at = self._clock() + RETRY_SECONDS
            log("WARNING", "no token for the endpoint", cause=type(error).__name__)
