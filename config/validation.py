"""From settings as they are written to `StackConfig`: everything is validated, all errors are reported together.

Every function raises `pulumi.RunError`, for which the engine prints the message and no traceback.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pulumi
from pydantic import ValidationError

from config import messages
from config.credentials import unencrypted_credentials
from config.model_store import STORE
from config.schema import StackConfig, all_settings
from config.stack_file import StackFile


def config_of_running_stack() -> StackConfig:
    """The settings of the stack whose program the engine runs now."""
    from pulumi.runtime import config as runtime

    # pulumi.Config returns the keys that one can name; to find a misspelt one, all keys are needed.
    values = {**runtime.get_config_env(), **runtime.CONFIG.get()}
    secrets = {key for key in values if runtime.is_config_secret(key)}
    return config_of_values(values, f"Pulumi.{pulumi.get_stack()}.yaml", secrets)


def config_of_file(file: StackFile, store: Path | None = STORE) -> StackConfig:
    """The settings in a stack file, without an engine. Without a store: whether or not it has the models' versions."""
    return _config(*_written(file), file.name, store)


def refuse_wrong_models(file: StackFile) -> None:
    """Raise if a stack file names its models wrongly. What else is wrong, and whether they are trained, does not matter."""
    _, errors = _validated(*_written(file), store=None)
    known = [setting.key for setting in all_settings()]
    wrong = {key: errors[key] for key in errors if messages.may_mean(MODELS_KEY, key, known)}
    if wrong:
        raise pulumi.RunError(messages.error_report(file.name, wrong))


MODELS_KEY = "triplane:models"


def _written(file: StackFile) -> tuple[dict[str, Any], set[str]]:
    """The settings of a file in the form in which the engine passes them, and the keys of the encrypted ones."""
    values: dict[str, Any] = {}
    secrets: set[str] = set()
    for key, value in file.settings.items():
        match value:
            case {"secure": _}:
                secrets.add(key)
                values[key] = ""
            case bool():
                values[key] = str(value).lower()
            case dict() | list() | None:
                values[key] = value
            case _:
                values[key] = str(value)
    return values, secrets


def config_of_values(
    values: Mapping[str, Any], file: str, secrets: Collection[str] = (), store: Path = STORE
) -> StackConfig:
    """The settings in the form in which the engine passes them: full keys, mappings as JSON, all else as text.

    ``file`` is the name that an error message gives. ``secrets`` are the keys that are encrypted in
    the file: their values are never shown.
    """
    return _config(values, secrets, file, store)


def _config(
    values: Mapping[str, Any], secrets: Collection[str], file: str, store: Path | None
) -> StackConfig:
    config, errors = _validated(values, secrets, store)
    if errors or config is None:
        raise pulumi.RunError(messages.error_report(file, errors))
    return config


def _validated(
    values: Mapping[str, Any], secrets: Collection[str], store: Path | None
) -> tuple[StackConfig | None, messages.Errors]:
    """The settings, and what is wrong with them; None in the place of settings that cannot be made."""
    fields = {str(field.alias): field for field in StackConfig.model_fields.values()}
    data = {
        key: _decoded(value, fields[key].annotation if key in fields else None)
        for key, value in values.items()
        if key.startswith("triplane:") or key in fields
    }
    known = [setting.key for setting in all_settings()]
    errors = {
        **messages.misspelt_namespaces(values, fields),
        **unencrypted_credentials({**values, **data}, secrets, known),
    }
    config = None
    try:
        config = StackConfig.model_validate(data, context={"store": store})
    except ValidationError as error:
        for detail in error.errors():
            top, *rest = detail["loc"]
            # A default that fails validation is reported under the field's own name.
            field = StackConfig.model_fields.get(str(top))
            detail["loc"] = (
                str(field.alias) if field else top,
                *(part for part in rest if part != "[key]"),
            )
            key = messages.dotted_key(detail["loc"])
            if not any(key == reported or key.startswith(f"{reported}.") for reported in errors):
                hidden = str(detail["loc"][0]) in secrets
                errors[key] = (
                    messages.written_value(detail, hidden),
                    messages.explanation(detail, values, known),
                )
    if MODELS_KEY not in data:
        # Nobody wrote the default. If the models are written under a wrong key, that is the error.
        of_default = {key for key in errors if key.startswith(MODELS_KEY) and key not in data}
        others = {key: error for key, error in errors.items() if key not in of_default}
        if any(messages.may_mean(MODELS_KEY, key, known) for key in others):
            errors = others
    return config, errors


def _decoded(value: Any, annotation: Any) -> Any:
    """The engine passes mappings as JSON, everything else as plain text."""
    if isinstance(value, str) and annotation not in (str, str | None):
        try:
            decoded = json.loads(value)
        except ValueError:
            return value
        return decoded if isinstance(decoded, dict | bool) else value
    return value
