"""What changed between two sets of inputs, as exactly as the engine can show it."""

from __future__ import annotations

from typing import Any

from rehearsal.core.assets import ASSET, SIGNATURE
from rehearsal.core.records import Json
from rehearsal.core.schema import Schema
from rehearsal.core.wire import UNKNOWN


def changes(olds: Json, news: Json, replaces: set[str], schema: Schema) -> dict[str, str]:
    """Property path to ``ADD``, ``UPDATE`` or ``DELETE``, with ``_REPLACE`` where that is what follows."""
    found: dict[str, str] = {}
    _object(found, schema, schema.inputs, olds, news, "", "", replaces, False)
    return found


def _object(
    found: dict[str, str],
    schema: Schema,
    properties: Json,
    olds: Json,
    news: Json,
    path: str,
    dotted: str,
    replaces: set[str],
    replaced: bool,
) -> None:
    for name in [*olds, *(name for name in news if name not in olds)]:
        about = properties.get(name, {})
        here = f"{dotted}{name}"
        _value(
            found,
            schema,
            about.get("type", "any"),
            olds.get(name),
            news.get(name),
            f"{path}{_step(name, first=not path)}",
            here,
            replaces,
            replaced or here in replaces or bool(about.get("replaces")),
        )


def _value(
    found: dict[str, str],
    schema: Schema,
    kind: Any,
    old: Any,
    new: Any,
    path: str,
    dotted: str,
    replaces: set[str],
    replaced: bool,
) -> None:
    if _same(old, new):
        return
    constructor, argument = kind if isinstance(kind, list) else ("", "")
    if isinstance(old, dict) and isinstance(new, dict) and SIGNATURE not in old:
        properties = schema.types[argument] if constructor == "object" else {}
        _object(found, schema, properties, old, new, path, f"{dotted}.", replaces, replaced)
    elif isinstance(old, list) and isinstance(new, list):
        inner = argument if constructor == "list" else "any"
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else None
            after = new[index] if index < len(new) else None
            place = f"{path}[{index}]"
            _value(found, schema, inner, before, after, place, dotted, replaces, replaced)
    else:
        change = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
        found[path] = f"{change}_REPLACE" if replaced else change


def _same(old: Any, new: Any) -> bool:
    if new is UNKNOWN or old is UNKNOWN:
        return False
    if isinstance(old, dict) and isinstance(new, dict) and SIGNATURE in old and SIGNATURE in new:
        # Where a file lies does not matter: https://www.pulumi.com/docs/iac/concepts/assets-archives/
        if old.get("hash") and new.get("hash"):
            return bool(old["hash"] == new["hash"])
        return old[SIGNATURE] == new[SIGNATURE] == ASSET and old == new
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _step(name: str, *, first: bool) -> str:
    if name.replace("_", "a").replace("-", "a").isalnum():
        return name if first else f".{name}"
    return f'["{name}"]'
