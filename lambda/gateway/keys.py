"""Who may get predictions: callers with the key, which each cloud keeps in another place."""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import threading
import time
from collections.abc import Awaitable, Callable

from gateway.http import unavailable
from gateway.logs import log
from gateway.settings import Settings

RETRY_SECONDS = 5.0
"""The pause between reads of the secret store while the key cannot be read, however often callers arrive."""


def key_check(settings: Settings) -> Callable[[str], Awaitable[bool]]:
    """The function that says whether a caller's key is accepted."""
    if settings.access == "public":
        return _everybody
    place, value = settings.key
    match place:
        case "API_KEY_SECRET_ARN":
            fetch = _secrets_manager(value, settings.api_key_secret_version)
        case "API_KEY_SECRET_NAME":
            fetch = _secret_manager(value)
        case "API_KEY_SECRET_URI":
            fetch = _key_vault(value, settings.azure_client_id)
        case _:
            return SecretKey(lambda: value).admits
    # Here and not by the platform, which would refuse to start the gateway while its permission to read the key is not
    # in force yet.
    return SecretKey(fetch).admits


async def _everybody(sent: str) -> bool:
    return True


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

    async def admits(self, sent: str) -> bool:
        """Whether ``sent`` is the key. Raises a 503 while the key cannot be read."""
        if not self._key:
            await asyncio.to_thread(self._learn)
        return is_same_key(sent, self._key)

    def _learn(self) -> None:
        with self._lock:
            if not self._key:
                self._key = self._read()

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


def _secret_manager(version: str) -> Callable[[], str]:
    """Google Cloud's secret store.

    https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
    """
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    # The variable by which the Google provider finds another address, too.
    base = os.environ.get(
        "GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT", "https://secretmanager.googleapis.com/v1/"
    )

    def fetch() -> str:
        answer = session.get(f"{base}{version}:access", timeout=(2, 3))  # type: ignore[no-untyped-call]
        answer.raise_for_status()
        return base64.b64decode(answer.json()["payload"]["data"]).decode()

    return fetch


def _key_vault(uri: str, client_id: str) -> Callable[[], str]:
    """Azure's secret store, as the app's managed identity.

    https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
    """
    import requests
    from azure.identity import ManagedIdentityCredential

    # Retries are made here: the credential's own ten retries take longer than a caller waits.
    credential = ManagedIdentityCredential(client_id=client_id or None, retry_total=1)

    def fetch() -> str:
        token = credential.get_token("https://vault.azure.net/.default").token
        answer = requests.get(
            uri,
            params={"api-version": "7.4"},
            headers={"authorization": f"Bearer {token}"},
            timeout=(2, 3),
            allow_redirects=False,
        )
        answer.raise_for_status()
        return str(answer.json()["value"])

    return fetch
