"""What changed between two sets of inputs, as exactly as the engine can show it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from rehearsal.core.assets import ASSET, SIGNATURE
from rehearsal.core.records import Json
from rehearsal.core.schema import Schema
from rehearsal.core.wire import UNKNOWN


def changes(olds: Json, news: Json, replaces: set[str], schema: Schema) -> dict[str, str]:
    """Property path to ``ADD``, ``UPDATE`` or ``DELETE``, with ``_REPLACE`` where a replacement follows."""
    comparison = Comparison(schema, replaces)
    comparison.compare_objects(schema.inputs, olds, news, TOP)
    return comparison.changes


@dataclass(frozen=True)
class Place:
    """Where a value is in the inputs."""

    path: str
    """As the engine writes it: ``rules[0].port``."""
    dotted: str
    """Without list indexes, as `ResourceType.replace_on` has it: ``rules.port``."""
    replaced: bool
    """Whether a change here is a replacement."""


TOP = Place("", "", False)


@dataclass(frozen=True)
class Comparison:
    """Collects what differs between two sets of inputs of one type."""

    schema: Schema
    replaces: set[str]
    """Top-level inputs and dotted paths whose change is a replacement."""
    changes: dict[str, str] = field(default_factory=dict)

    def compare_objects(self, properties: Json, old: Json, new: Json, place: Place) -> None:
        """Compare two objects property by property; ``properties`` are those of their type."""
        for name in [*old, *(name for name in new if name not in old)]:
            described = properties.get(name, {})
            dotted = f"{place.dotted}.{name}" if place.dotted else name
            inner = Place(
                f"{place.path}{_step(name, first=not place.path)}",
                dotted,
                place.replaced or dotted in self.replaces or bool(described.get("replaces")),
            )
            self.compare_values(described.get("type", "any"), old.get(name), new.get(name), inner)

    def compare_values(self, kind: Any, old: Any, new: Any, place: Place) -> None:
        """Compare two values of a type, as deep as both have the same shape."""
        if _same(old, new):
            return
        constructor, argument = kind if isinstance(kind, list) else ("", "")
        if isinstance(old, dict) and isinstance(new, dict) and SIGNATURE not in old:
            properties = self.schema.types[argument] if constructor == "object" else {}
            self.compare_objects(properties, old, new, place)
        elif isinstance(old, list) and isinstance(new, list):
            inner = argument if constructor == "list" else "any"
            for index in range(max(len(old), len(new))):
                before = old[index] if index < len(old) else None
                after = new[index] if index < len(new) else None
                self.compare_values(
                    inner, before, after, replace(place, path=f"{place.path}[{index}]")
                )
        else:
            change = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
            self.changes[place.path] = f"{change}_REPLACE" if place.replaced else change


def _same(old: Any, new: Any) -> bool:
    if new is UNKNOWN or old is UNKNOWN:
        return False
    if isinstance(old, dict) and isinstance(new, dict) and SIGNATURE in old and SIGNATURE in new:
        # The path of a file does not matter, only its content: https://www.pulumi.com/docs/iac/concepts/assets-archives/
        if old.get("hash") and new.get("hash"):
            return bool(old["hash"] == new["hash"])
        return old[SIGNATURE] == new[SIGNATURE] == ASSET and old == new
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _step(name: str, *, first: bool) -> str:
    if name.replace("_", "a").replace("-", "a").isalnum():
        return name if first else f".{name}"
    return f'["{name}"]'
