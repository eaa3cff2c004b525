"""The recorded inputs held against the clouds' own request models, offline.

What a provider sends is made from the inputs by rules that are the provider's own; here they are made
anew, as far as names agree, and the rest is a table. An input that goes nowhere is a complaint: nothing is
left out silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


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
    """A complaint when a value does not fit a model's pattern. Java's and Python's patterns differ a little;
    one that Python cannot read is left to the cloud. AWS means the ``whole`` value, OpenAPI a part of it."""
    try:
        fits = re.search(f"^(?:{pattern})$" if whole else pattern, value, re.DOTALL)
    except re.error:
        return
    if not fits:
        yield f"{path}: {value[:60]!r} does not match {pattern}"
