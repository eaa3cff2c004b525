"""Inputs as plain JSON: secrets replaced by a word, files and archives by their names.

Imports nothing of the platform, only Pulumi's SDK: the policy pack runs in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pulumi.runtime import rpc

SECRET = "(secret)"  # noqa: S105  # the word, not a secret
"""Replaces every value that the state keeps encrypted."""

# The SDK has these as private names: there is no public place for them.
# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/sig/sig.go
SIGNATURE: str = rpc._special_sig_key
"""The key that marks a value which is not plain JSON: a secret, a file, an archive."""
SECRET_SIGNATURE: str = rpc._special_secret_sig
"""The signature of a secret."""


def plain(value: Any, *secrets: str) -> Any:
    """``value`` as plain JSON. Both marked secrets and these ``secrets`` become `SECRET`."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return SECRET
        if SIGNATURE in value:
            return f"file:{value.get('path') or value.get('hash')}"
        return {
            name: plain(item, *secrets) for name, item in value.items() if not name.startswith("__")
        }
    if isinstance(value, list | tuple):
        return [plain(item, *secrets) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # protobuf has no integers
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, SECRET)
        return value
    if hasattr(value, "assets"):
        return "archive"
    if hasattr(value, "path"):
        return f"file:{Path(str(value.path)).name}"
    return value


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string inside ``value``, with its path."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from strings(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value
