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


def config_of_file(file: StackFile, store: Path = STORE) -> StackConfig:
    """The settings in a stack file, without an engine."""
    values: dict[str, Any] = {}
    secrets = set()
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
    return config_of_values(values, file.name, secrets, store)


def config_of_values(
    values: Mapping[str, Any], file: str, secrets: Collection[str] = (), store: Path = STORE
) -> StackConfig:
    """The settings in the form in which the engine passes them: full keys, mappings as JSON, all else as text.

    ``file`` is the name that an error message gives. ``secrets`` are the keys that are encrypted in
    the file: their values are never shown.
    """
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
    if errors:
        raise pulumi.RunError(messages.error_report(file, errors))
    return config


def _decoded(value: Any, annotation: Any) -> Any:
    """The engine passes mappings as JSON, everything else as plain text."""
    if isinstance(value, str) and annotation not in (str, str | None):
        try:
            decoded = json.loads(value)
        except ValueError:
            return value
        return decoded if isinstance(decoded, dict | bool) else value
    return value
