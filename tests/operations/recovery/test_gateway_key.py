"""The gateway's key is taken over from the secret that has it, without an engine and without a cloud."""

from __future__ import annotations

from typing import Any

import pytest

from components.resource_type import RANDOM_KEY
from operations.engine.wire import SECRET, SIGNATURE
from operations.recovery import gateway_key
from operations.recovery.queries import azure
from tests.operations.recovery.previews import ENCRYPTED, deployment, missing


def test_the_key_gets_the_secrets_value_and_stays_encrypted() -> None:
    version = missing(
        "aws:secretsmanager/secretVersion:SecretVersion", "v", outputs={"secretString": ENCRYPTED}
    )
    elsewhere = {**version, "urn": "w", "parent": "another", "outputs": {"secretString": {}}}
    key = missing(RANDOM_KEY, "k", inputs={"rotation": 2, "__provider": "x"})
    after = gateway_key.with_existing_key(deployment(elsewhere, version), [key])
    added, secret = after["resources"][-2:]
    assert added["outputs"] == {"rotation": 2, "__provider": "x", "value": ENCRYPTED}
    assert secret == version, "the key is before the secret, which depends on it"
    again = gateway_key.with_existing_key(after, [key])
    assert len(again["resources"]) == 5, "and is added once"


def test_a_key_in_an_azure_vault_is_read_there(monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = missing(RANDOM_KEY, "k"), vault_secret()
    monkeypatch.setattr(azure, "secret_value", lambda properties: f"of {properties['secretUri']}")
    after = gateway_key.with_existing_key(deployment(secret), [key])
    added, kept = after["resources"][-2:]
    assert added["outputs"]["value"]["plaintext"] == '"of u"'
    assert kept["urn"] == secret["urn"]
    assert kept["inputs"]["properties"]["value"][SIGNATURE] == SECRET


def test_a_key_that_the_vault_does_not_return_is_refused_without_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(_: Any) -> str:
        raise PermissionError("403 Forbidden")

    key, secret = missing(RANDOM_KEY, "k"), vault_secret()
    monkeypatch.delenv("ALLOW", raising=False)
    monkeypatch.setattr(azure, "secret_value", forbidden)
    with pytest.raises(
        SystemExit, match=r"(?s)/s.*403 Forbidden.*Nothing was changed.*ALLOW=new-key"
    ):
        gateway_key.with_existing_key(deployment(secret), [key])
    monkeypatch.setenv("ALLOW", gateway_key.ALLOW_NEW_KEY)
    assert len(gateway_key.with_existing_key(deployment(secret), [key])["resources"]) == 3


def vault_secret() -> dict[str, Any]:
    outputs = {"properties": {"secretUri": "u"}}
    return missing(gateway_key.VAULT_SECRET, "s", id="/s", outputs=outputs)


@pytest.mark.parametrize("outputs", [{}, {"secretString": "in clear"}, {"secretString": {}}])
def test_a_value_that_is_not_secret_in_the_state_is_not_the_key(outputs: dict[str, Any]) -> None:
    version = missing("aws:secretsmanager/secretVersion:SecretVersion", "v", outputs=outputs)
    after = gateway_key.with_existing_key(deployment(version), [missing(RANDOM_KEY, "k")])
    assert after["resources"][-1] == version
    assert len(after["resources"]) == 3
