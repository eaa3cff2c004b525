"""The gateway's settings, from its environment. A wrong environment stops the gateway at the start."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

ENDPOINT_KINDS = ("sagemaker", "vertex", "azureml")
MODEL_NAME = re.compile("(?=.{2,24}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
VERSION = re.compile("[0-9a-f]{64}")
MAX_MODELS = 20
LAKES = ("s3://", "gs://", "https://")
KEYS = ("API_KEY", "API_KEY_SECRET_ARN", "API_KEY_SECRET_NAME", "API_KEY_SECRET_URI")
"""The key itself; the secret that has it on AWS; the version of the secret that has it on Google Cloud, and on Azure."""
MIN_KEY_LENGTH = 16


class SettingsError(Exception):
    """The environment is wrong; the message names the variable and the allowed values."""


@dataclass(frozen=True)
class ServedModel:
    """A model and where it answers."""

    version: str
    target: str
    """A SageMaker endpoint's name, or a URL of Vertex AI or Azure ML."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The gateway's environment, checked."""

    endpoint_kind: Literal["sagemaker", "vertex", "azureml"]
    """The service that all of the models' endpoints belong to."""
    models: Mapping[str, ServedModel]
    models_uri: str
    """Where the models' artifacts are, without a trailing slash: ``<name>/<version>/`` below it."""
    capture_uri: str
    """Where captures go, without a trailing slash."""
    captures: Literal["background", "sync"]
    """When captures are written: after the answer, or before it."""
    access: Literal["key", "public"]
    key: tuple[str, str]
    """One of `KEYS` and its value; both empty if the gateway is public."""
    api_key_secret_version: str
    """The version of the secret on AWS: another version starts new processes."""
    azure_client_id: str
    """The client id of the user-assigned identity on Azure; empty on other clouds."""
    max_body_bytes: int
    max_concurrency: int
    """The most predictions at a time in one process, if a process serves several."""
    code_version: str
    """The content hash of the deployed code, for the health; empty where nobody has set it."""
    host: str
    port: int

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings of this environment. Raises `SettingsError`."""
        kind = environ.get("ENDPOINT_KIND", "")
        if kind not in ENDPOINT_KINDS:
            raise SettingsError(
                f"ENDPOINT_KIND must be one of {', '.join(ENDPOINT_KINDS)}, not {kind!r}."
            )
        access = environ.get("ACCESS", "")
        if access not in ("key", "public"):
            raise SettingsError(
                f"ACCESS must be key or public, not {access!r}: no caller is admitted."
            )
        captures = environ.get("CAPTURES") or "background"
        if captures not in ("background", "sync"):
            raise SettingsError(f"CAPTURES must be background or sync, not {captures!r}.")
        version = environ.get("API_KEY_SECRET_VERSION", "")
        key = _key(environ) if access == "key" else ("", "")
        if key[0] == "API_KEY_SECRET_ARN" and not version:
            raise SettingsError("API_KEY_SECRET_ARN needs API_KEY_SECRET_VERSION beside it.")
        return cls(
            endpoint_kind=cast(Literal["sagemaker", "vertex", "azureml"], kind),
            models=_models(environ.get("MODELS", ""), kind),
            models_uri=_lake(environ, "MODELS_URI"),
            capture_uri=_lake(environ, "CAPTURE_URI"),
            captures=cast(Literal["background", "sync"], captures),
            access=cast(Literal["key", "public"], access),
            key=key,
            api_key_secret_version=version,
            azure_client_id=environ.get("AZURE_CLIENT_ID", ""),
            max_body_bytes=_positive(environ, "MAX_BODY_BYTES", 256 * 1024),
            max_concurrency=_positive(environ, "MAX_CONCURRENCY", 80),
            code_version=environ.get("CODE_VERSION", ""),
            host=environ.get("HOST") or "0.0.0.0",  # noqa: S104 - a container is reached from outside
            port=_positive(environ, "PORT", 8080),
        )


def _models(text: str, kind: str) -> Mapping[str, ServedModel]:
    """The models of ``MODELS``: an object with a version and a target for each name."""
    form = f'MODELS must be JSON, {{"name": ["version", "target"]}} with 1 to {MAX_MODELS} models'
    try:
        given = json.loads(text)
    except ValueError:
        raise SettingsError(f"{form}, not {text[:100]!r}.") from None
    if not isinstance(given, dict) or not 1 <= len(given) <= MAX_MODELS:
        raise SettingsError(f"{form}, not {text[:100]!r}.")
    found = {}
    for name, entry in given.items():
        match entry:
            case [str(version), str(target)] if VERSION.fullmatch(version) and target:
                found[name] = ServedModel(version, target)
            case _:
                raise SettingsError(
                    f"{form}: {name} needs a SHA-256 and a target, not {str(entry)[:100]!r}."
                )
        if not MODEL_NAME.fullmatch(name):
            raise SettingsError(f"MODELS has {name[:100]!r}, which is no name of a model.")
        if kind != "sagemaker" and not target.startswith(("https://", "http://")):
            raise SettingsError(f"MODELS: the target of {name} must be a URL, not {target!r}.")
    return found


def _lake(environ: Mapping[str, str], name: str) -> str:
    uri = environ.get(name, "").rstrip("/")
    if not uri.startswith(LAKES):
        raise SettingsError(f"{name} must start with {' or '.join(LAKES)}: {uri!r}.")
    return uri


def _key(environ: Mapping[str, str]) -> tuple[str, str]:
    """Where the key is: one of `KEYS` and its value."""
    given = [(name, environ[name]) for name in KEYS if environ.get(name)]
    if len(given) != 1:
        found = " and ".join(name for name, _ in given) or "none"
        raise SettingsError(
            f"ACCESS=key needs exactly one of {', '.join(KEYS)}; the environment has {found}."
        )
    api_key = environ.get("API_KEY", "")
    # App Service passes the reference itself when it cannot resolve it, and anybody can guess that text
    # (https://learn.microsoft.com/azure/app-service/app-service-key-vault-references).
    if api_key.startswith("@Microsoft.KeyVault("):
        raise SettingsError(
            "API_KEY is a Key Vault reference that App Service could not resolve. Set"
            " API_KEY_SECRET_URI to the secret's URI: the gateway reads the key itself."
        )
    if api_key and len(api_key) < MIN_KEY_LENGTH:
        raise SettingsError(f"API_KEY must have at least {MIN_KEY_LENGTH} characters.")
    if given[0][0] == "API_KEY_SECRET_URI" and not given[0][1].startswith("https://"):
        raise SettingsError(f"API_KEY_SECRET_URI must begin with https://: {given[0][1]!r}.")
    return given[0]


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**31):
        raise SettingsError(f"{name} must be a whole number above 0, not {text!r}.")
    return int(text)
