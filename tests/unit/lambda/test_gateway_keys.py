"""Which callers are admitted, and how often the secret store is read."""

from __future__ import annotations

import asyncio
import base64
import functools
from types import SimpleNamespace
from typing import Any, cast

import google.auth
import google.oauth2.credentials
import pytest
import requests
from gateway import keys
from gateway.http import Refusal
from gateway.keys import (
    RETRY_SECONDS,
    SecretKey,
    _key_vault,
    _secret_manager,
    _secrets_manager,
    is_same_key,
)

from .fake_cloud import Reply, fake_cloud


class Store:
    """A secret store and a clock that the test controls."""

    def __init__(self, key: str) -> None:
        self.key, self.reads, self.now, self.down = key, 0, 1000.0, False

    def fetch(self) -> str:
        self.reads += 1
        if self.down:
            raise ConnectionError
        return self.key


def admitted(key: SecretKey, sent: str) -> bool:
    return asyncio.run(key.admits(sent))


def test_only_the_exact_key_is_the_same() -> None:
    assert is_same_key("a secret key", "a secret key")
    for other in ("", "a secret ke", "a secret key ", "A secret key", "á", "\udcff"):
        assert not is_same_key(other, "a secret key")


def test_guessing_keys_does_not_reach_the_secret_store() -> None:
    store = Store("key")
    key = SecretKey(store.fetch, lambda: store.now)
    assert not any(admitted(key, f"guess {n}") for n in range(1000))
    assert store.reads == 1


def test_while_the_store_fails_every_caller_gets_503_and_reads_are_rare() -> None:
    store = Store("key")
    key = SecretKey(store.fetch, lambda: store.now)
    store.down = True
    for sent in ("", "key", "guess"):
        with pytest.raises(Refusal) as refused:
            admitted(key, sent)
        assert refused.value.status == 503
        assert refused.value.cause.startswith("secret store: ")
    assert store.reads == 1
    store.now += RETRY_SECONDS / 2
    with pytest.raises(Refusal, match="cannot be read"):
        admitted(key, "key")
    assert store.reads == 1
    store.down = False
    store.now += RETRY_SECONDS / 2
    assert admitted(key, "key")
    store.down = True
    assert admitted(key, "key")
    assert not admitted(key, "guess")
    assert store.reads == 2


def test_on_google_cloud_the_key_is_read_in_the_process_as_soon_as_its_grant_is_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "projects/1/secrets/key/versions/7"
    data = base64.b64encode(b"a secret key").decode()
    replies = [Reply(403), Reply(200, {"payload": {"data": data}})]
    credentials = google.oauth2.credentials.Credentials("token")  # type: ignore[no-untyped-call]
    scopes: list[object] = []
    monkeypatch.setattr(
        google.auth, "default", lambda **asked: scopes.append(asked) or (credentials, "project")
    )
    with fake_cloud(lambda request: replies.pop(0)) as cloud:
        monkeypatch.setenv("GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT", f"{cloud.url}/v1/")
        fetch = _secret_manager(name)
        with pytest.raises(requests.HTTPError):
            fetch()
        assert fetch() == "a secret key"
        assert [each.path for each in cloud.requests] == [f"/v1/{name}:access"] * 2
        assert cloud.requests[0].headers["authorization"] == "Bearer token"
    # https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
    assert scopes == [{"scopes": ["https://www.googleapis.com/auth/cloud-platform"]}]


def test_google_clouds_own_address_is_asked_where_no_other_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def get(url: str, timeout: object) -> SimpleNamespace:
        asked.append((url, timeout))
        data = {"payload": {"data": base64.b64encode(b"key").decode()}}
        return SimpleNamespace(raise_for_status=lambda: None, json=lambda: data)

    monkeypatch.delenv("GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT", raising=False)
    monkeypatch.setattr(google.auth, "default", lambda **_: (None, "project"))
    monkeypatch.setattr(
        "google.auth.transport.requests.AuthorizedSession", lambda _: SimpleNamespace(get=get)
    )
    assert _secret_manager("projects/1/secrets/key/versions/7")() == "key"
    url = "https://secretmanager.googleapis.com/v1/projects/1/secrets/key/versions/7:access"
    assert asked == [(url, (2, 3))]


def test_azures_secret_store_is_asked_once_in_time_and_not_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def credential(**options: object) -> SimpleNamespace:
        asked.append(options)
        token = SimpleNamespace(token="a-token")
        return SimpleNamespace(get_token=lambda scope: asked.append(scope) or token)

    def get(url: str, **options: Any) -> SimpleNamespace:
        asked.append((options["timeout"], options["allow_redirects"]))
        return SimpleNamespace(raise_for_status=lambda: None, json=lambda: {"value": "key"})

    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", credential)
    monkeypatch.setattr("requests.get", get)
    assert _key_vault("https://vault/secrets/key/1", "")() == "key"
    # https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
    scope = "https://vault.azure.net/.default"
    assert asked == [{"client_id": None, "retry_total": 1}, scope, ((2, 3), False)]


def test_on_azure_the_key_is_read_in_the_process_as_soon_as_its_grant_is_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """App Service would resolve a reference that it could not resolve again after 24 hours."""
    replies = [Reply(403), Reply(200, {"value": "a secret key"})]
    clients = []

    def credential(**options: object) -> SimpleNamespace:
        clients.append(options["client_id"])
        return SimpleNamespace(get_token=lambda scope: SimpleNamespace(token="a-token"))

    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", credential)
    with fake_cloud(lambda request: replies.pop(0)) as cloud:
        fetch = _key_vault(f"{cloud.url}/secrets/gateway-api-key/1", "the-client")
        with pytest.raises(requests.HTTPError):
            fetch()
        assert fetch() == "a secret key"
        assert cloud.requests[0].path == "/secrets/gateway-api-key/1?api-version=7.4"
        assert cloud.requests[0].headers["authorization"] == "Bearer a-token"
    assert clients == ["the-client"]


def test_on_aws_the_very_version_of_the_secret_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def client(service: str, config: Any) -> SimpleNamespace:
        assert service == "secretsmanager"
        # A caller waits for it: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        assert (config.connect_timeout, config.read_timeout) == (2, 3)
        assert config.retries == {"total_max_attempts": 2}

        def get_secret_value(**request: object) -> dict[str, str]:
            asked.append(request)
            return {"SecretString": "a secret key"}

        return SimpleNamespace(get_secret_value=get_secret_value)

    monkeypatch.setattr("boto3.client", client)
    assert _secrets_manager("the-arn", "v-7")() == "a secret key"
    assert asked == [{"SecretId": "the-arn", "VersionId": "v-7"}]


@pytest.mark.parametrize(
    ("place", "reader", "arguments"),
    [
        ("API_KEY_SECRET_ARN", "_secrets_manager", ("value", "v-7")),
        ("API_KEY_SECRET_NAME", "_secret_manager", ("value",)),
        ("API_KEY_SECRET_URI", "_key_vault", ("value", "the-client")),
        ("API_KEY", None, None),
    ],
)
def test_each_cloud_reads_the_key_at_its_own_place(
    place: str, reader: str | None, arguments: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    for name in ("_secrets_manager", "_secret_manager", "_key_vault"):
        read = functools.partial(
            lambda name, *of: given.append((name, of)) or (lambda: "value"), name
        )
        monkeypatch.setattr(keys, name, read)
    settings = SimpleNamespace(
        access="key",
        key=(place, "value"),
        api_key_secret_version="v-7",
        azure_client_id="the-client",
    )
    admits = keys.key_check(cast(Any, settings))
    assert given == ([(reader, arguments)] if reader else [])
    assert asyncio.run(cast(Any, admits("value")))
    assert not asyncio.run(cast(Any, admits("another")))


def test_a_public_gateway_admits_everybody() -> None:
    admits = keys.key_check(cast(Any, SimpleNamespace(access="public")))
    assert asyncio.run(cast(Any, admits("")))
