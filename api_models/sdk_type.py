"""What a Pulumi SDK states of a resource type, and the parts of rules that the clouds share."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api_models.matching import compiled

Json = dict[str, Any]
QUOTED = re.compile(r"`+\"?([^`\"\n]+)\"?`+|\"([^\"\s]+)\"")


@dataclass
class SdkType:
    """What a Pulumi SDK states of one type."""

    token: str
    inputs: Json
    """By name, as ``rehearsal.core.extract.Describer`` describes them."""
    types: Json
    """The nested types, in the same form."""
    documentation: Mapping[tuple[str, str], str]
    """The text of each property, by nested type (empty: the resource itself) and name."""
    suggested: Mapping[tuple[str, str], list[str]] = field(default_factory=dict)
    """The values that the SDK lists for a text of which it accepts any value, in the same form."""

    def text(self, owner: str, name: str) -> str:
        """What the SDK says of a property."""
        return self.documentation.get((owner, name), "")

    def words(self, owner: str, name: str) -> list[str]:
        """The values that the documentation of a property quotes."""
        return list(dict.fromkeys(a or b for a, b in QUOTED.findall(self.text(owner, name))))


def with_accepted(rule: Json, words: list[str]) -> Json:
    """A rule that accepts the values which the documentation names."""
    left = [each for each in words if each not in rule.get("enum", ())]
    return {**rule, "accepted": left} if left and rule else rule


def pattern_rule(pattern: str, whole: bool = True) -> Json:
    """The rule of a model's pattern; empty for a pattern that Python cannot read."""
    try:
        return {"pattern": compiled(pattern, whole).pattern, "shown": pattern}
    except re.error:
        return {}


def installed_version(name: str) -> str:
    """The version of an installed package; empty where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
