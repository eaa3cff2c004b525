"""What the three clouds share: names, patterns, and what a comparison finds.

A provider makes its request from the inputs by rules of its own. Here the request is rebuilt: most names
agree, and tables in the clouds' modules have the rest. An input that has no place in any request is a problem.
An input of which the model states nothing but the name is `NotChecked`, and docs/reference/api-coverage.md
lists it: nothing is left out silently.
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


class NotChecked(str):
    """A finding that is no problem: the path of a value of which no model states anything."""

    __slots__ = ()


def problems_among(findings: Iterable[str]) -> Iterator[str]:
    """The findings that a cloud would refuse."""
    return (each for each in findings if not isinstance(each, NotChecked))


@cache
def normalized(name: str) -> str:
    """A name without what spellings differ in: ``SSEAlgorithm``, ``sseAlgorithm``, ``sse_algorithm``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def matching_member(name: str, members: Any) -> str | None:
    """The member that an input means: the same letters, singular or plural (``rules``, ``Rule``)."""
    by_letters: dict[str, str] = {normalized(each): each for each in members}
    plain = normalized(name)
    for spelling in (plain, plain.removesuffix("s"), plain + "s", plain.removesuffix("es")):
        if spelling in by_letters:
            return by_letters[spelling]
    return None


def set_path(target: Json, path: str, value: Any) -> None:
    """Write ``value`` at ``a.b.c``."""
    *parents, last = path.split(".")
    for step in parents:
        target = target.setdefault(step, {})
    target[last] = value


def pattern_problems(pattern: str, value: str, path: str, whole: bool = True) -> Iterator[str]:
    """A problem when a value does not match a model's pattern. An AWS pattern covers the ``whole`` value, an
    OpenAPI pattern a part of it."""
    if not compiled(pattern, whole).search(value):
        yield f"{path}: {value[:60]!r} does not match {pattern}"


@cache
def compiled(pattern: str, whole: bool = True) -> re.Pattern[str]:
    """A model's pattern for Python. Java's patterns have Unicode classes, ``\\p{L}``, and characters written
    as two surrogates. Raises `re.error`: a pattern that Python cannot read must be translated here."""
    plain = pattern.replace(r"\p{Print}", r"[\x20-\x7e]")
    plain = re.sub(r"\\p\{([A-Z][a-z]?)\}", lambda found: category_ranges(found[1]), plain)
    plain = re.sub(r"(?i)\\u(d[89ab]..)\\u(d[c-f]..)", joined_surrogates, plain)
    return re.compile(f"^(?:{plain})\\Z" if whole else plain, re.DOTALL)


def joined_surrogates(pair: re.Match[str]) -> str:
    """The character that two UTF-16 surrogates stand for."""
    high, low = (int(each, 16) for each in pair.groups())
    return f"\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08x}"


def category_ranges(category: str) -> str:
    """The characters of a Unicode category (``L``, ``Lu``) as ranges inside ``[…]``."""
    ranges = unicode_categories()
    return "".join(
        each for name in sorted(ranges) if name.startswith(category) for each in ranges[name]
    )


@cache
def unicode_categories() -> Mapping[str, list[str]]:
    """All of Unicode by category, as ranges ``\\U00000041-\\U0000005a``."""
    ranges: dict[str, list[str]] = {}
    first = 0
    for name, group in groupby(map(unicodedata.category, map(chr, range(sys.maxunicode + 1)))):
        end = first + sum(1 for _ in group)
        ranges.setdefault(name, []).append(f"\\U{first:08x}-\\U{end - 1:08x}")
        first = end
    return ranges


@dataclass(frozen=True)
class ProseRule:
    """A rule that a model states only in its documentation: the sentence, and the pattern that it describes.
    A test finds the sentence in the installed model, so that a change of it is noticed."""

    where: str
    """The place of the sentence, as the cloud's `documentation` takes it."""
    sentence: str
    pattern: str
