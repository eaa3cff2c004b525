"""Who may ask for predictions: holders of the key, wherever the cloud keeps it."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable

from gateway.core import unavailable
from gateway.logs import log
from gateway.settings import Settings

MAX_AGE_SECONDS = 60.0
"""A rotated key works, and the former one stops working, within this time everywhere. It also is the
most that somebody who tries keys can make us ask the secret store."""


def admission(settings: Settings) -> Callable[[str], bool]:
    """The test that a caller's key must pass."""
    if settings.access == "public":
        return lambda sent: True
    if settings.api_key_secret_arn:
        return SecretKey(_secrets_manager(settings.api_key_secret_arn)).admits
    return lambda sent: same(sent, settings.api_key)


def same(sent: str, key: str) -> bool:
    """Equality in a time that tells nothing about where the two differ."""
    return hmac.compare_digest(sent.encode("utf-8", "replace"), key.encode())


class SecretKey:
    """A key in a secret store that is asked at most once in `MAX_AGE_SECONDS`."""

    def __init__(
        self, fetch: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._key = ""
        self._fresh_until = float("-inf")

    def admits(self, sent: str) -> bool:
        """Whether ``sent`` is the key. Raises a 503 when the key was never to be had."""
        with self._lock:
            if self._clock() >= self._fresh_until:
                self._refresh()
            return same(sent, self._key)

    def _refresh(self) -> None:
        try:
            key = self._fetch()
        except Exception as error:
            # A store that is down for a while must not shut out the holders of a good key.
            log("ERROR", "the key cannot be read", cause=type(error).__name__)
            if not self._key:
                message = "The key of this gateway cannot be read at the moment."
                raise unavailable(message, f"secret store: {type(error).__name__}") from error
        else:
            self._key = key
        self._fresh_until = self._clock() + MAX_AGE_SECONDS


def _secrets_manager(arn: str) -> Callable[[], str]:
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    client = boto3.client("secretsmanager", config=limits)
    return lambda: str(client.get_secret_value(SecretId=arn)["SecretString"])
