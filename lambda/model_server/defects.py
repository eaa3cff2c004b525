"""What can be wrong with a model, a request and an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """One rule that a model breaks."""

    rule: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.found}. Wanted: {self.wanted}"


class UnfitModel(Exception):
    """The model breaks its contract; the message has a line for each rule."""

    def __init__(self, defects: Sequence[Defect]) -> None:
        super().__init__("\n".join(map(str, defects)))
        self.defects = defects


class BadInstance(ValueError):
    """An instance that cannot be read; the message names the instance, the field and the reason."""


class BadValue(ValueError):
    """A field's value that cannot be read, with a reason of its own: ``has 3 numbers; it should have 4``."""


class BadAnswer(Exception):
    """The model has no answer that JSON can carry to an instance that could be read; the message is the reason."""


def shortened(reason: str) -> str:
    """A reason of another program in one line."""
    text = " ".join(reason.split()).rstrip(".")
    return text if len(text) <= 400 else text[:399] + "…"
