"""What leaves this machine has no secret in it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
    assert Redaction(["password", "password-of-production"]).text("password-of-production") == (
        "[secret]"
    )


def test_a_short_secret_is_replaced_where_it_stands_alone() -> None:
    assert Redaction(["dev"]).text("dev: a developer's device") == "[secret]: a developer's device"


@pytest.mark.parametrize(
    "text",
    [
        "PUT https://a.blob.core.windows.net/c/b?sv=2025&sig=abcDEF%2B12 failed",
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=0123abcd&X-Amz-Expires=60",
        "authorization: Bearer opaque.token-of-a-caller",
        "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6==;EndpointSuffix=x",
        "key AKIAABCDEFGHIJKLMNOP was refused",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJyZXBvIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_credential_is_replaced_though_nobody_knew_it(text: str) -> None:
    shown = Redaction([]).text(text)
    assert "[secret]" in shown
    for secret in ("abcDEF", "0123abcd", "opaque", "Eby8vdM0", "AKIAABCD", "eyJzdWIi"):
        assert secret not in shown


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
        "PULUMI_BACKEND_URL": "s3://states",
    }
    wanted = set(environment.values()) - {str(file), "/home/me", "s3://states"}
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
