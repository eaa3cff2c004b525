"""A wrong environment stops the gateway, and the message names the variable."""

from __future__ import annotations

import pytest
from gateway.settings import Settings, SettingsError

GOOD = {
    "SAGEMAKER_ENDPOINT": "flights",
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
    assert found.endpoint == ("SAGEMAKER_ENDPOINT", "flights")
    assert found.capture_uri == "s3://lake/captures"
    assert (found.access, found.port, found.max_concurrency) == ("key", 8080, 80)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SAGEMAKER_ENDPOINT": None}, "exactly one of SAGEMAKER_ENDPOINT"),
        ({"VERTEX_PREDICT_URL": "https://x/y:rawPredict"}, "VERTEX_PREDICT_URL"),
        ({"SAGEMAKER_ENDPOINT": None, "AZUREML_SCORING_URL": "host"}, "AZUREML_SCORING_URL"),
        ({"CAPTURE_URI": None}, "CAPTURE_URI"),
        ({"CAPTURE_URI": "ftp://x"}, "CAPTURE_URI"),
        ({"ACCESS": None}, "ACCESS"),
        ({"ACCESS": "Public"}, "ACCESS"),
        ({"ACCESS": ""}, "ACCESS"),
        ({"API_KEY_SECRET_ARN": None}, "has none"),
        ({"API_KEY_SECRET_VERSION": None}, "API_KEY_SECRET_VERSION"),
        ({"API_KEY": "x" * 32}, "has API_KEY and API_KEY_SECRET_ARN"),
        ({"API_KEY_SECRET_NAME": "projects/1/secrets/k/versions/1"}, "API_KEY_SECRET_NAME"),
        ({"API_KEY_SECRET_ARN": None, "API_KEY": "short"}, "at least 16"),
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
