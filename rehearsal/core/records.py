"""A resource as the rehearsal stores it, and the ways in which a cloud refuses one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class Refusal(Exception):
    """The cloud's answer when it refuses: its own code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Errors:
    """A cloud's own codes and words for what can happen to a resource of any type."""

    not_found: tuple[str, str]
    """The text has ``{what}`` and ``{id}``."""
    taken: str
    """The code when another resource has the name."""
    throttled: tuple[str, str]
    unavailable: tuple[str, str]
    expired: tuple[str, str]
    """Credentials that end in the middle of a run. No client tries again with the same ones."""


class Incomplete(Refusal):
    """The resource exists, but its creation did not come to a good end: the engine keeps it, with the reason."""

    record: Record | None = None
    """What exists; known once it is stored."""


class CheckFailure(Exception):
    """An input that can be refused before anything is built; preview shows it beside the property."""

    def __init__(self, property: str, reason: str) -> None:
        super().__init__(f"{property}: {reason}")
        self.property = property
        self.reason = reason


class Inputs(dict[str, Any]):
    """A resource's inputs at check time, without the values that are not known during a preview.

    So an absent input may be an unknown one: look at `unknown` before refusing it.
    """

    def __init__(self, values: Mapping[str, Any], unknown: frozenset[str] = frozenset()) -> None:
        super().__init__(values)
        self.unknown = unknown
        """Top-level properties that are, or contain, values not known yet."""


@dataclass
class Record:
    """One existing resource. Wire names (camelCase), plain JSON, secrets unwrapped.

    Assets and archives stay in their wire form; `asset_bytes` and `archive_bytes` read them.
    """

    package: str
    """``aws``, ``gcp`` or ``azure-native``."""
    token: str
    id: str
    urn: str
    inputs: Json
    outputs: Json
    config: Json = field(default_factory=dict)
    """The provider's settings when it was created: ``region``; ``project``; ``location``…"""
    secrets: list[list[str | int]] = field(default_factory=list)
    """Paths of the inputs that arrived as secrets; the provider returns them as secrets again."""
    created: float = 0.0
    """Seconds since the epoch."""

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rsplit("::", 1)[-1]
