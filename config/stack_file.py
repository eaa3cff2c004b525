"""The settings of a stack, read from its file or from the engine."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pulumi
from pydantic import (
    ValidationError,
)

from config import messages
from config.messages import shown
from config.model_store import STORE
from config.schema import StackConfig, schema


def load() -> StackConfig:
    """The settings of the stack that is running; raises `pulumi.RunError`, which prints no traceback."""
    from pulumi.runtime import config as runtime

    # pulumi.Config answers for keys that one can name; a misspelt one is found by looking at all.
    raw = {**runtime.get_config_env(), **runtime.CONFIG.get()}
    secrets = {key for key in raw if runtime.is_config_secret(key)}
    return parse(raw, f"Pulumi.{pulumi.get_stack()}.yaml", secrets)


def read(text: str, file: str, store: Path = STORE) -> StackConfig:
    """A stack file's text, checked as `load` does, without an engine. Raises `pulumi.RunError`."""
    import yaml

    raw: dict[str, Any] = {}
    secrets = set()
    try:
        whole = _with_text_keys(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a 13th month
        raise pulumi.RunError(f"{file} is not valid YAML: {error}") from None
    config = whole.get("config") if isinstance(whole, dict) else whole
    if not isinstance(config, dict | None):
        place = "config" if isinstance(whole, dict) else "the whole file"
        says = messages.NO_MAPPING + (
            " Of the file's own keys config: is the one that holds the settings."
            if whole is config
            else " Each line of it is a setting, such as triplane:cloud: aws."
        )
        raise pulumi.RunError(messages.report(file, {place: (shown(config), says)}))
    for key, value in (config or {}).items():
        name = key if ":" in key else f"triplane:{key}"  # as the engine does
        match value:
            case {"secure": _}:
                secrets.add(name)
                raw[name] = ""
            case bool():
                raw[name] = str(value).lower()
            case dict() | list() | None:
                raw[name] = value
            case _:
                raw[name] = str(value)
    return parse(raw, file, secrets, store)


def _with_text_keys(value: Any) -> Any:
    """YAML's keys may be numbers, dates and truth values; JSON's, and so the engine's, are texts."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(inner) for key, inner in value.items()}
    return [_with_text_keys(inner) for inner in value] if isinstance(value, list) else value


def parse(
    raw: Mapping[str, Any], file: str, secrets: Collection[str] = (), store: Path = STORE
) -> StackConfig:
    """Settings as the engine hands them over (``triplane:cloud`` …; mappings as JSON), checked.

    ``secrets`` are the keys that are encrypted in the file: their values are never shown. Raises
    `pulumi.RunError` with every mistake in it.
    """
    fields = {str(field.alias): field for field in StackConfig.model_fields.values()}
    data = {
        key: _decoded(value, fields[key].annotation if key in fields else None)
        for key, value in raw.items()
        if key.startswith("triplane:") or key in fields
    }
    known = [key for key, *_ in schema()]
    mistakes = {
        **messages.misplaced(raw, fields),
        **messages.credentials({**raw, **data}, secrets, known),
    }
    try:
        config = StackConfig.model_validate(data, context={"store": store})
    except ValidationError as error:
        for detail in error.errors():
            top, *rest = detail["loc"]
            # A default that fails validation is reported under the field's own name.
            field = StackConfig.model_fields.get(str(top))
            detail["loc"] = (str(field.alias) if field else top, *rest)
            key = messages.joined(detail["loc"])
            if not any(key == told or key.startswith(f"{told}.") for told in mistakes):
                hidden = str(detail["loc"][0]) in secrets
                mistakes[key] = (
                    messages.written(detail, hidden),
                    messages.explained(detail, raw, known),
                )
    if mistakes:
        raise pulumi.RunError(messages.report(file, mistakes))
    return config


def _decoded(value: Any, annotation: Any) -> Any:
    """The engine hands mappings over as JSON, everything else as plain text."""
    if isinstance(value, str) and annotation not in (str, str | None):
        try:
            decoded = json.loads(value)
        except ValueError:
            return value
        return decoded if isinstance(decoded, dict | bool) else value
    return value
