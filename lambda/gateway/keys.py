"""Who may get predictions: callers with the key, which each cloud keeps in another place."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable

from gateway.core import unavailable
from gateway.logs import log
from gateway.settings import Settings

RETRY_SECONDS = 5.0
"""The pause between reads of the secret store while the key cannot be read, however often callers arrive."""


def key_check(settings: Settings) -> Callable[[str], bool]:
    """The function that says whether a caller's key is accepted."""
    if settings.access == "public":
        return lambda sent: True
    if settings.api_key_secret_arn:
        fetch = _secrets_manager(settings.api_key_secret_arn, settings.api_key_secret_version)
        return SecretKey(fetch).admits
    return lambda sent: is_same_key(sent, settings.api_key)


def is_same_key(sent: str, key: str) -> bool:
    """Equality, in a time that does not depend on where the two keys differ."""
    return hmac.compare_digest(sent.encode("utf-8", "replace"), key.encode())


class SecretKey:
    """A key in a secret store, read at its first use.

    It is one version of the secret, which never changes. Another key needs another configuration of the gateway,
    and so new processes.
    """

    def __init__(
        self, fetch: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._key = ""
        self._next_read = float("-inf")

    def admits(self, sent: str) -> bool:
        """Whether ``sent`` is the key. Raises a 503 while the key cannot be read."""
        with self._lock:
            if not self._key:
                self._key = self._read()
            return is_same_key(sent, self._key)

    def _read(self) -> str:
        message = "The key of this gateway cannot be read at the moment."
        if self._clock() < self._next_read:
            raise unavailable(message, "secret store: failed a moment ago")
        try:
            return self._fetch()
        except Exception as error:
            self._next_read = self._clock() + RETRY_SECONDS
            log("ERROR", "the key cannot be read", cause=type(error).__name__)
            raise unavailable(message, f"secret store: {type(error).__name__}") from error


def _secrets_manager(arn: str, version: str) -> Callable[[], str]:
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    client = boto3.client("secretsmanager", config=limits)
    return lambda: str(client.get_secret_value(SecretId=arn, VersionId=version)["SecretString"])
