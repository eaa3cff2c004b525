"""A wrong environment stops the gateway, and the message names the variable."""

from __future__ import annotations

import json

import pytest
from gateway.settings import ServedModel, Settings, SettingsError

MODELS = json.dumps({"flight-delay": ["ab" * 32, "flights"]})
GOOD = {
    "ENDPOINT_KIND": "sagemaker",
    "MODELS": MODELS,
    "MODELS_URI": "s3://lake/models/",
    "CAPTURE_URI": "s3://lake/captures/",
    "ACCESS": "key",
    "API_KEY_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key",
    "API_KEY_SECRET_VERSION": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE",
}


def read(**changes: str | None) -> Settings:
    environ = {**GOOD, **changes}
    return Settings.read({name: value for name, value in environ.items() if value is not None})


def test_a_valid_environment_is_completed_with_defaults() -> None:
    found = read()
    assert found == Settings(
        endpoint_kind="sagemaker",
        models={"flight-delay": ServedModel("ab" * 32, "flights")},
        models_uri="s3://lake/models",
        capture_uri="s3://lake/captures",
        captures="background",
        access="key",
        key=("API_KEY_SECRET_ARN", GOOD["API_KEY_SECRET_ARN"]),
        api_key_secret_version=GOOD["API_KEY_SECRET_VERSION"],
        azure_client_id="",
        max_body_bytes=256 * 1024,
        max_concurrency=80,
        code_version="",
        host="0.0.0.0",
        port=8080,
    )


def test_each_setting_has_its_variable() -> None:
    found = read(
        ENDPOINT_KIND="azureml",
        MODELS=json.dumps({"a1": ["0" * 64, "https://e/score"], "bc": ["1" * 64, "http://f"]}),
        MODELS_URI="https://account.blob.core.windows.net/models",
        CAPTURE_URI="https://account.blob.core.windows.net/captures",
        CAPTURES="sync",
        API_KEY_SECRET_ARN=None,
        API_KEY_SECRET_VERSION=None,
        API_KEY_SECRET_URI="https://vault/secrets/key/1",
        AZURE_CLIENT_ID="client",
        MAX_BODY_BYTES="1",
        MAX_CONCURRENCY=str(2**31 - 1),
        CODE_VERSION="c0de",
        HOST="127.0.0.1",
        PORT="80",
    )
    assert found == Settings(
        endpoint_kind="azureml",
        models={
            "a1": ServedModel("0" * 64, "https://e/score"),
            "bc": ServedModel("1" * 64, "http://f"),
        },
        models_uri="https://account.blob.core.windows.net/models",
        capture_uri="https://account.blob.core.windows.net/captures",
        captures="sync",
        access="key",
        key=("API_KEY_SECRET_URI", "https://vault/secrets/key/1"),
        api_key_secret_version="",
        azure_client_id="client",
        max_body_bytes=1,
        max_concurrency=2**31 - 1,
        code_version="c0de",
        host="127.0.0.1",
        port=80,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"ENDPOINT_KIND": "vertex", "MODELS": MODELS.replace("flights", "http://127.0.0.1/e")},
        {"MODELS_URI": "gs://lake/models"},
        {"CAPTURE_URI": "gs://lake/captures"},
        {"API_KEY_SECRET_ARN": None, "API_KEY_SECRET_NAME": "projects/1/secrets/k/versions/1"},
        {"API_KEY_SECRET_ARN": None, "API_KEY": "x" * 16},
    ],
)
def test_what_another_cloud_or_a_rehearsal_sets_is_a_valid_environment(
    changes: dict[str, str | None],
) -> None:
    found = read(**changes)
    given = [found.endpoint_kind, found.models_uri, found.capture_uri, *found.key]
    wanted = [value for name, value in changes.items() if value and name != "MODELS"]
    assert all(value in given for value in wanted)


def test_a_public_gateway_has_no_key() -> None:
    assert read(ACCESS="public", API_KEY_SECRET_ARN=None).key == ("", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ENDPOINT_KIND": None}, "ENDPOINT_KIND must be one of sagemaker, vertex, azureml"),
        ({"ENDPOINT_KIND": "bedrock"}, "not 'bedrock'"),
        ({"ENDPOINT_KIND": "vertex"}, "target of flight-delay must be a URL, not 'flights'"),
        ({"MODELS": None}, "MODELS must be JSON"),
        ({"MODELS": "flight-delay"}, "MODELS must be JSON"),
        ({"MODELS": "{}"}, "1 to 20 models"),
        ({"MODELS": "[]"}, "1 to 20 models"),
        ({"MODELS": '{"a": 1}'}, "a needs a SHA-256 and a target"),
        ({"MODELS": MODELS.replace("ab", "AB")}, "needs a SHA-256"),
        ({"MODELS": MODELS.replace("flights", "")}, "needs a SHA-256 and a target"),
        ({"MODELS": MODELS.replace("flight-delay", "Flight")}, "'Flight', which is no name"),
        ({"MODELS": MODELS.replace("flight-delay", "a/b")}, "'a/b', which is no name"),
        ({"MODELS_URI": None}, "MODELS_URI must start with s3://"),
        ({"CAPTURES": "later"}, "CAPTURES must be background or sync, not 'later'"),
        ({"CAPTURE_URI": "http://x/captures"}, "CAPTURE_URI"),
        ({"CAPTURE_URI": None}, "CAPTURE_URI"),
        ({"CAPTURE_URI": "ftp://x"}, "CAPTURE_URI"),
        ({"ACCESS": None}, "ACCESS"),
        ({"ACCESS": "Public"}, "ACCESS"),
        ({"ACCESS": ""}, "ACCESS"),
        ({"API_KEY_SECRET_ARN": None}, "has none"),
        ({"API_KEY_SECRET_VERSION": None}, "API_KEY_SECRET_VERSION"),
        ({"API_KEY": "x" * 32}, "has API_KEY and API_KEY_SECRET_ARN"),
        ({"API_KEY_SECRET_NAME": "projects/1/secrets/k/versions/1"}, "API_KEY_SECRET_NAME"),
        ({"API_KEY_SECRET_ARN": None, "API_KEY": "x" * 15}, "at least 16"),
        (
            {
                "API_KEY_SECRET_ARN": None,
                "API_KEY": "@Microsoft.KeyVault(SecretUri=https://vault.vault.azure.net/secrets/k)",
            },
            "could not resolve",
        ),
        ({"API_KEY_SECRET_URI": "https://vault.vault.azure.net/secrets/k/1"}, "exactly one"),
        ({"API_KEY_SECRET_ARN": None, "API_KEY_SECRET_URI": "vault/k"}, "begin with https"),
        ({"MAX_BODY_BYTES": "1MB"}, "MAX_BODY_BYTES"),
        ({"MAX_BODY_BYTES": "0"}, "MAX_BODY_BYTES"),
        ({"MAX_CONCURRENCY": "-1"}, "MAX_CONCURRENCY"),
        ({"PORT": "²"}, "PORT"),
        ({"PORT": "१"}, "PORT"),
        ({"MAX_CONCURRENCY": str(2**31)}, "MAX_CONCURRENCY"),
    ],
)
def test_a_wrong_environment_names_the_variable(
    changes: dict[str, str | None], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        read(**changes)


def test_an_error_never_contains_the_key() -> None:
    with pytest.raises(SettingsError) as refused:
        read(API_KEY_SECRET_ARN=None, API_KEY="hunter2")
    assert "hunter2" not in str(refused.value)
