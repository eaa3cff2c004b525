"""The recorded inputs held against the clouds' own request models, offline.

What a provider sends is made from the inputs by rules that are the provider's own; here they are made
anew, as far as names agree, and the rest is a table. An input that goes nowhere is a complaint. One that
goes where the model says nothing is `NotLookedAt`, and stands as such in docs/reference/api-coverage.md: nothing is
left out silently.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

Json = dict[str, Any]


class NotLookedAt(str):
    """Not a complaint: the place of a value that no model says anything about."""

    __slots__ = ()


def complaints(findings: Iterable[str]) -> Iterator[str]:
    """What a cloud would refuse, of all that was found."""
    return (each for each in findings if not isinstance(each, NotLookedAt))


@cache
def same(name: str) -> str:
    """What two spellings of a name have in common: ``SSEAlgorithm``, ``sseAlgorithm``, ``sse_algorithm``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def member(name: str, members: Any) -> str | None:
    """The member that an input means: the same letters, or the other number (``rules``, ``Rule``)."""
    by_letters: dict[str, str] = {same(each): each for each in members}
    plain = same(name)
    for spelling in (plain, plain.removesuffix("s"), plain + "s", plain.removesuffix("es")):
        if spelling in by_letters:
            return by_letters[spelling]
    return None


def put(target: Json, path: str, value: Any) -> None:
    """Write ``value`` at ``a.b.c``."""
    *way, last = path.split(".")
    for step in way:
        target = target.setdefault(step, {})
    target[last] = value


def matches(pattern: str, value: str, path: str, whole: bool = True) -> Iterator[str]:
    """A complaint when a value does not fit a model's pattern. AWS means the ``whole`` value, OpenAPI a
    part of it."""
    if not compiled(pattern, whole).search(value):
        yield f"{path}: {value[:60]!r} does not match {pattern}"


@cache
def compiled(pattern: str, whole: bool = True) -> re.Pattern[str]:
    """A model's pattern as Python reads it. Java's have classes, ``\\p{L}``, and characters written in two
    halves. Raises `re.error`: one that cannot be read has to be translated here."""
    plain = pattern.replace(r"\p{Print}", r"[\x20-\x7e]")
    plain = re.sub(r"\\p\{([A-Z][a-z]?)\}", lambda found: ranges(found[1]), plain)
    plain = re.sub(r"(?i)\\u(d[89ab]..)\\u(d[c-f]..)", halves, plain)
    return re.compile(f"^(?:{plain})\\Z" if whole else plain, re.DOTALL)


def halves(pair: re.Match[str]) -> str:
    """The character that two UTF-16 surrogates stand for."""
    high, low = (int(each, 16) for each in pair.groups())
    return f"\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08x}"


def ranges(category: str) -> str:
    """The characters of one of Unicode's categories (``L``, ``Lu``), as they stand within ``[…]``."""
    spans = categories()
    return "".join(
        each for name in sorted(spans) if name.startswith(category) for each in spans[name]
    )


@cache
def categories() -> Mapping[str, list[str]]:
    """All of Unicode by category, as spans ``\\U00000041-\\U0000005a``."""
    spans: dict[str, list[str]] = {}
    first = 0
    for name, group in groupby(map(unicodedata.category, map(chr, range(sys.maxunicode + 1)))):
        end = first + sum(1 for _ in group)
        spans.setdefault(name, []).append(f"\\U{first:08x}-\\U{end - 1:08x}")
        first = end
    return spans


@dataclass(frozen=True)
class Said:
    """A rule that a model states in prose only, beside the field: the sentence, and what it comes to.
    A test finds the sentence in the installed model, so that it cannot change unnoticed."""

    where: str
    """Where the model says it, in the way of the cloud's own module."""
    sentence: str
    pattern: str
