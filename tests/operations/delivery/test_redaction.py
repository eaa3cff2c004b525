"""What leaves this machine has no secret in it."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from operations.delivery.redaction import Redaction, secrets_in, secrets_of

KEY = "Zx3f-QmD_9aP7vLk2"


def test_a_known_secret_is_replaced_wherever_it_is() -> None:
    found = Redaction([KEY]).value(
        {"output": KEY, f"key {KEY}": [f"refused: {KEY}!", 7, None], "url": f"https://a/{KEY}/b"}
    )
    assert KEY not in str(found)
    assert found["output"] == "[secret]"
    assert found["key [secret]"] == ["refused: [secret]!", 7, None]


def test_a_secret_that_contains_another_one_is_replaced_as_a_whole() -> None:
    assert Redaction([KEY, f"{KEY}-tail"]).text(f"with {KEY}-tail") == "with [secret]"


@pytest.mark.parametrize("passphrase", ["rehearsed", "dev", "ours", "of two words"])
def test_a_secret_that_may_be_a_word_takes_its_whole_line_with_it(passphrase: str) -> None:
    """What is left of a known text would tell which word it is."""
    line = f"engineer@triplane-{passphrase}.example" if len(passphrase) > 3 else passphrase
    assert Redaction([passphrase]).text(f"before\n{line}\nafter") == "before\n[secret]\nafter"


def test_a_short_secret_is_looked_for_where_it_stands_alone() -> None:
    text = "yours\ncourse\nprod-ours-1\n1"
    assert Redaction(["ours", "1"]).text(text) == "yours\ncourse\n[secret]\n[secret]"


@pytest.mark.parametrize(
    "secret", [KEY, 'pw"quote\\x', "a/b c&d%", "grün-und-blau", 'two\nlines "of" it', "end\n"]
)
def test_a_known_secret_is_found_however_it_is_written(secret: str) -> None:
    plain = Redaction([secret])
    once = json.dumps({"is": secret})
    for written in (
        secret,
        once,
        json.dumps({"body": once}),
        json.dumps({"is": secret}, ensure_ascii=False),
        repr({"is": secret}),
        f"https://a/?x={quote(secret, safe='')}&y",
        f"https://a/?x={quote_plus(secret)}&y",
        base64.b64encode(secret.encode()).decode() if len(secret) > 8 else secret,
    ):
        shown = plain.text(f"before: {written} ")
        assert "[secret]" in shown
        assert written not in shown


PEM = "-----BEGIN PRIVATE KEY-----\nOpaque1vQIB\nOpaque2dGVz\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.replace("PRIVATE", "RSA PRIVATE"),
        PEM[:45],
        PEM[30:],
        json.dumps({"private_key": PEM}),
        json.dumps({"body": json.dumps({"private_key": PEM})}),
        '"private_key": "-----BEGIN PRIVATE KEY-----\\nOpaqueQIB',
        f"private_key: |\n  {PEM}",
        "PUT https://a.blob.core.windows.net/c/b?sv=2025&sig=OpaqueEF%2B12 failed",
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=Opaque0123&X-Amz-Expires=60",
        "https://b.s3.amazonaws.com/k?X-Amz-Security-Token=Opaque0123",
        "https://storage.googleapis.com/b/k?X-Goog-Signature=Opaque0123",
        "SharedAccessSignature=sv=2025&sig=OpaqueEF",
        "postgres://me:Opaque@host/db",
        "authorization: Bearer Opaque.token-of-a-caller",
        "Authorization: Basic T3BhcXVlOk9wYXF1ZQ== Opaque",
        'Authorization: Digest username="Opaque", response="Opaque"',
        '{"Authorization": "Basic Opaque"}',
        "got Basic T3BhcXVlOk9wYXF1ZQ==",
        "Set-Cookie: session=Opaque; id=Opaque",
        '"token":"Opaque"',
        '{"error": "{\\"token\\": \\"Opaque\\"}"}',
        '"tokens": 1, "accessToken": ["Opaque"]',
        '{"password": "a\\"Opaque"}',
        "{'clientSecret': 'Opaque'}",
        "secretAccessKey=Opaque/x+y",
        "aws:token: Opaque",
        "Token:Opaque Name:x",
        "export PULUMI_CONFIG_PASSPHRASE='Opaque of two words'",
        "<SecretAccessKey>Opaque</SecretAccessKey>",
        "--password Opaque",
        '~ token: "Opaque" => "Opaque"',
        "key=Opaque",
        "AccountKey=OpaqueM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6==;EndpointSuffix=x",
        "key AKIAABCDEFGHIJKLMNOP was refused",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJyZXBvIn0.OpaqueRlcmU",
        "ya29.a0Opaque_Opaque-Opaque.Opaque",
        "abc8Q~Opaque0123456789_0123456789-01234",
    ],
)
def test_what_looks_like_a_credential_is_left_out_wholly_though_nobody_knew_it(text: str) -> None:
    shown = Redaction([]).text(text)
    assert "[secret]" in shown
    for secret in ("Opaque", "T3Bh", "paque", "AKIAABCD", "eyJ"):
        assert secret not in shown


@pytest.mark.parametrize("name", ["private_key", "token", "secretAccessKey", "gateway-key", "key"])
def test_the_value_of_a_key_that_names_a_credential_is_left_out(name: str) -> None:
    found = Redaction([]).value({"a": [{name: "opaque words, all of them"}]})
    assert found == {"a": [{name: "[secret]"}]}


@pytest.mark.parametrize(
    "text",
    [
        "urn:pulumi:prod::triplane::triplane:aws:Gateway$aws:secretsmanager/secret:Secret::triplane-gateway-key",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:triplane-gateway-key-a1b2c3",
        "projects/p/secrets/gateway-key/versions/1",
        "https://triplane.vault.azure.net/secrets/gateway-key/0123",
        "azure-native:authorization:RoleAssignment",
        "does not have authorization to perform action 'Microsoft.Authorization/roleAssignments/write'",
        "engineer@triplane-rehearsal.iam.gserviceaccount.com",
        f"image@sha256:{'ab12' * 16}",
        "the security token included in the request is expired",
        "tier Basic, container registry",
        "Permission denied on secret: projects/1/secrets/triplane-key/versions/1 for Revision service account a@b",
        "restore: make restore CLOUD=gcp BACKUP=… KEY=keep",
        "triplane:gateway.key_rotation: 2",
    ],
)
def test_what_a_reader_needs_is_left_as_it_is(text: str) -> None:
    assert Redaction([KEY]).text(text) == text


def test_a_resource_whose_name_ends_like_a_credentials_is_shown() -> None:
    drift = {"triplane-gateway-key": ["length"], "triplane-token": {"seconds": 3}}
    assert Redaction([]).value(drift) == drift


@pytest.mark.parametrize(
    "piece", ["a-", "ab12/+", '"', "\\", 'token: " ', "key=a b\n", "-----BEGIN "]
)
def test_a_long_text_is_searched_in_seconds(piece: str) -> None:
    began = time.monotonic()
    Redaction([KEY, "word"]).text(piece * (400_000 // len(piece)))
    assert time.monotonic() - began < 20


def test_the_environments_credentials_and_the_passphrase_of_a_file_are_known(
    tmp_path: Path,
) -> None:
    file = tmp_path / "passphrase"
    file.write_text("of-the-file\n")
    environment = {
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job",
        "AWS_SECRET_ACCESS_KEY": "of-aws",
        "AWS_SESSION_TOKEN": "of-the-session",
        "AZURE_STORAGE_KEY": "of-the-account",
        "IDENTITY_HEADER": "of-the-identity",
        "PULUMI_ACCESS_TOKEN": "of-pulumi",
        "PULUMI_CONFIG_PASSPHRASE": "of-the-state",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(file),
        "HOME": "/home/me",
        "PWD": "/home/me/triplane",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json",
        "PULUMI_BACKEND_URL": "s3://states",
    }
    plain = ("PULUMI_CONFIG_PASSPHRASE_FILE", "HOME", "PWD", "GOOGLE_APPLICATION_CREDENTIALS")
    wanted = set(environment.values()) - {environment[each] for each in plain} - {"s3://states"}
    assert secrets_in(environment) == wanted | {"of-the-file"}


def test_the_stacks_secret_outputs_and_settings_are_known() -> None:
    def json(*words: str) -> Any:
        if words[0] == "stack":
            return {"gateway_key": "[secret]", "region": "eu", "nested": "[secret]"}
        return {
            "aws:region": {"value": "eu", "secret": False},
            "aws:token": {"value": "of-the-settings", "secret": True},
            "triplane:more": {
                "value": '{"a":"inside"}',
                "objectValue": {"a": "inside"},
                "secret": True,
            },
        }

    outputs = {"gateway_key": KEY, "region": "eu", "nested": {"deep": ["deep-secret"]}}
    stack: Any = SimpleNamespace(
        cli=SimpleNamespace(json=json), outputs=lambda: outputs, environment={}
    )
    found = secrets_of(stack)
    assert {KEY, "deep-secret", "of-the-settings", "inside"} <= found
    assert "eu" not in found
