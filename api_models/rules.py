"""The compiled rules of one resource type, as plain data, and the check of a program's inputs against them.

`api_models.compiler` makes the rules of a cloud's request model, in a process of its own. This module needs none of
the clouds' packages: a resident process can have it.

A rule is a mapping with some of these keys:

| key | the value must |
|---|---|
| `enum` | be one of these texts; with `fold`, in any case |
| `pattern`, `shown` | match this pattern of Python; the pattern as the model writes it |
| `range`, `length`, `count` | be a number, a text or a list within these two bounds; None is no bound |
| `members`, `required` | be a mapping with these rules by name, and have these names |
| `item`, `value`, `key` | have members of a list, or values and keys of a map, by this rule |
| `ref` | keep the rule of this name in `definitions`: types may refer to themselves |
| `accepted` | (be right, whatever the rest says: the provider's documentation names these values) |
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

Json = dict[str, Any]
Problems = Iterator[tuple[str, str]]
SHOWN = 12
"""Values of an enumeration that a message lists."""


def problems(rules: Mapping[str, Any], inputs: Json) -> Problems:
    """What the cloud would refuse: property path and reason. A value of an unknown kind is skipped."""
    if rules:
        for path, reason in Check(rules).value(rules["rule"], inputs, ""):
            yield path, f"{reason} ({rules['source']})"


class Check:
    """One check of one resource."""

    def __init__(self, rules: Mapping[str, Any]) -> None:
        self.definitions: Json = rules.get("definitions", {})
        self.bridged: bool = rules.get("bridged", False)

    def value(self, rule: Json, value: Any, path: str) -> Problems:
        """The problems of a value under a rule."""
        if "ref" in rule:
            rule = self.definitions[rule["ref"]]
        # A provider that is bridged from Terraform does not send an empty value: it means "not set".
        # https://developer.hashicorp.com/terraform/plugin/sdkv2/schemas/schema-types (zero values)
        if self.bridged and path and not value:
            return
        match value:
            case dict():
                yield from self.mapping(rule, value, path)
            case list():
                if "count" in rule and len(value) > 0:
                    yield from outside(rule["count"], len(value), path, "entries")
                for index, each in enumerate(value):
                    yield from self.value(rule.get("item", {}), each, f"{path}[{index}]")
            case bool():
                return
            case str() | int() | float() if str(value) not in rule.get("accepted", ()):
                yield from scalar(rule, value, path)

    def mapping(self, rule: Json, value: Json, path: str) -> Problems:
        """The problems of an object, or of a map whose keys the user chooses."""
        prefix = f"{path}." if path else ""
        members = rule.get("members", {})
        for name in rule.get("required", ()):
            if value.get(name) is None:
                yield prefix + name, "is required and missing"
        for name, each in value.items():
            if name in members:
                yield from self.value(members[name], each, prefix + name)
            elif "value" in rule:
                yield from self.value(rule.get("key", {}), name, prefix + name)
                yield from self.value(rule["value"], each, prefix + name)


def scalar(rule: Json, value: str | int | float, path: str) -> Problems:
    """The problems of a text or a number."""
    if bounds := rule.get("range"):
        try:
            yield from outside(bounds, float(value), path, "")
        except ValueError:
            return
    if not isinstance(value, str):
        return
    if "length" in rule and not value.lstrip().startswith(("{", "[")):  # the provider rewrites JSON
        yield from outside(rule["length"], len(value), path, "characters")
    if "enum" in rule and not is_one_of(value, rule["enum"], rule.get("fold", False)):
        yield path, f"must be {listed(value, rule['enum'])}, not {shown(value)}"
    if "pattern" in rule and not compiled(rule["pattern"]).search(value):
        yield path, f"must match {rule['shown']}, not {shown(value[:60])}"


def listed(value: str, allowed: list[str]) -> str:
    """An enumeration in words; of a long one, the values that are most like the one that was written."""
    if len(allowed) <= SHOWN:
        return "one of " + ", ".join(allowed)
    near = difflib.get_close_matches(value, allowed, SHOWN // 2, 0.1) or allowed[: SHOWN // 2]
    return f"one of {len(allowed)} values, of which the nearest are {', '.join(near)}"


def shown(value: str) -> str:
    """A text for a message."""
    return json.dumps(value, ensure_ascii=False)


def is_one_of(value: str, allowed: list[str], fold: bool) -> bool:
    """Whether a text is in an enumeration."""
    return value in allowed or (fold and value.casefold() in {each.casefold() for each in allowed})


def outside(bounds: list[float | None], number: float, path: str, unit: str) -> Problems:
    """A problem when a number is outside of its bounds."""
    low, high = bounds
    if (low is not None and number < low) or (high is not None and number > high):
        limits = [
            word
            for word, bound in ((f"at least {low}", low), (f"at most {high}", high))
            if bound is not None
        ]
        text = f"must be {' and '.join(limits)}, not {number:g}"
        yield path, text.replace("must be", "must have") + f" {unit}" if unit else text


@lru_cache(512)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of a rule."""
    return re.compile(pattern, re.DOTALL)
