"""The conditions of role assignments: the part of their language that is about blobs.

``AND``, ``OR``, ``NOT`` and ``!``, ``ActionMatches`` and ``SubOperationMatches``, and comparisons of an attribute with a text
or a set of texts. https://learn.microsoft.com/azure/role-based-access-control/conditions-format
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
CONTAINER_NAME = "Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name]"
BLOB_PATH = f"Resource[{BLOBS}:path]"
LIST_PREFIX = f"Request[{BLOBS}:prefix]"
ATTRIBUTES = (CONTAINER_NAME, BLOB_PATH, LIST_PREFIX)
LISTING = "Blob.List"
VERSION = "2.0"

TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[!(){},])|'(?P<text>(?:[^'\\]|\\.)*)'|@(?P<attribute>(?:Resource|Request|Principal|Environment)\[[^\]]+\])"""
    r"""|(?P<word>[A-Za-z]+(?::[A-Za-z]+)?))""",
    re.ASCII,
)
QUANTIFIERS: dict[str, Callable[[list[bool]], bool]] = {
    "ForAnyOfAnyValues": any,
    "ForAllOfAnyValues": any,  # an attribute has one value here
    "ForAnyOfAllValues": all,
    "ForAllOfAllValues": all,
}


class Unsupported(ValueError):
    """A condition that this module does not evaluate."""


@dataclass(frozen=True)
class Asked:
    """A requested data action, with the attributes that a condition compares."""

    action: str
    suboperation: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """By source and name, such as `BLOB_PATH`. What is missing makes a comparison false."""


Test = Callable[[Asked], bool]


def check(condition: str) -> None:
    """Raise `Unsupported` for a condition that `holds` cannot evaluate."""
    _Parser(condition).whole()


def holds(condition: str, asked: Asked) -> bool:
    """Whether the condition allows what is asked for."""
    return _Parser(condition).whole()(asked)


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, condition: str) -> None:
        self._condition = condition
        self._tokens: list[tuple[str, str]] = []
        end = 0
        while found := TOKEN.match(condition, end):
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind]))
            end = found.end()
        if condition[end:].strip():
            self._fail(condition[end:])
        self._next = 0

    def whole(self) -> Test:
        test = self._any()
        if self._next < len(self._tokens):
            self._fail(self._tokens[self._next][1])
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._takes("word", "OR"):
            tests.append(self._all())
        return lambda asked: any(test(asked) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._takes("word", "AND"):
            tests.append(self._one())
        return lambda asked: all(test(asked) for test in tests)

    def _one(self) -> Test:
        if self._takes("mark", "!") or self._takes("word", "NOT"):
            negated = self._one()
            return lambda asked: not negated(asked)
        if self._takes("mark", "("):
            inner = self._any()
            self._require("mark", ")")
            return inner
        if self._takes("word", "ActionMatches"):
            (pattern,) = self._texts()
            return lambda asked: _like(asked.action.lower(), pattern.lower())
        if self._takes("word", "SubOperationMatches"):
            (name,) = self._texts()
            return lambda asked: asked.suboperation == name
        return self._comparison(self._require("attribute"))

    def _comparison(self, attribute: str) -> Test:
        if attribute not in ATTRIBUTES:
            self._fail(f"@{attribute}")
        quantifier, _, function = self._require("word").rpartition(":")
        compare = FUNCTIONS.get(function)
        combine = QUANTIFIERS.get(quantifier, any)
        if compare is None or (quantifier and quantifier not in QUANTIFIERS):
            self._fail(f"{quantifier}:{function}" if quantifier else function)
        wanted = self._texts() if quantifier else [self._require("text")]

        def test(asked: Asked) -> bool:
            value = asked.attributes.get(attribute)
            return value is not None and combine([compare(value, each) for each in wanted])

        return test

    def _texts(self) -> list[str]:
        self._require("mark", "{")
        texts = [self._require("text")]
        while self._takes("mark", ","):
            texts.append(self._require("text"))
        self._require("mark", "}")
        return texts

    def _takes(self, kind: str, text: str) -> bool:
        if self._tokens[self._next : self._next + 1] != [(kind, text)]:
            return False
        self._next += 1
        return True

    def _require(self, kind: str, text: str | None = None) -> str:
        found = self._tokens[self._next] if self._next < len(self._tokens) else ("", "its end")
        if found[0] != kind or text not in (None, found[1]):
            self._fail(found[1])
        self._next += 1
        return found[1]

    def _fail(self, place: str) -> NoReturn:
        raise Unsupported(f"the rehearsal does not evaluate {place!r} in {self._condition!r}")


def _like(value: str, pattern: str) -> bool:
    """``*`` is for any characters and ``?`` for one; a backslash makes either a character."""
    parts = re.findall(r"\\.|[*?]|[^*?\\]+", pattern)
    wild = {"*": ".*", "?": "."}
    expression = "".join(wild.get(part) or re.escape(part.removeprefix("\\")) for part in parts)
    return re.fullmatch(expression, value, re.DOTALL) is not None


FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringNotEquals": lambda value, wanted: value != wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringStartsWith": str.startswith,
    "StringNotStartsWith": lambda value, wanted: not value.startswith(wanted),
    "StringLike": _like,
    "StringNotLike": lambda value, pattern: not _like(value, pattern),
}
