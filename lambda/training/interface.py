"""What a folder `models/<name>/` is given, and what it has to return.

`data.py` has one function, and may have a second one:

    def load(contract: Contract) -> Any: ...   # whatever train.py wants
    def digest() -> str: ...                   # changes when data outside of the folder changes

`train.py` has one:

    def train(data: Any, contract: Contract, settings: Settings) -> Trained: ...
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Settings = Mapping[str, Any]
"""The settings of `[training]` in model.toml, some of them changed on the command line: each has the type that it has
there, a text, a whole number or a number."""


class BadSetting(ValueError):
    """A setting that the training refuses."""

    def __init__(self, name: str, value: object, reason: str) -> None:
        super().__init__(f"{name}={value}: {reason}")


class DoesNotFit(ValueError):
    """The contract, the data and the trained model do not fit together; the message says where."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a request. What its type does not have is None, or empty."""

    name: str
    type: str
    """``number``, ``integer``, ``boolean``, ``category``, ``text``, ``date``, ``time``, ``timestamp``, ``vector`` or ``image``."""
    label: str
    required: bool
    help: str | None = None
    unit: str | None = None
    minimum: Any = None
    maximum: Any = None
    """The largest value; of an image, the value of white after scaling."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The codes of a category, with their labels. Their positions count, too."""
    max_length: int | None = None
    length: int | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    """Of an image: ``grayscale`` or ``rgb``."""
    max_bytes: int | None = None
    inverted: bool = False
    """Of an image: requests are dark on light, and the model gets light on dark."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model answers. What its kind does not have is None, or empty."""

    kind: str
    """``binary``, ``multiclass``, ``regression`` or ``tensors``."""
    name: str = ""
    label: str = ""
    output: str | None = None
    """The graph's output that has it; None: the only fitting one."""
    threshold: float = 0.5
    yes: str = ""
    no: str = ""
    classes: Mapping[str, str] = field(default_factory=dict)
    best: int = 1
    scores: str = "probabilities"
    unit: str | None = None
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """The contract of a model: model.toml, checked."""

    document: Mapping[str, Any]
    """As in contract.json."""

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def title(self) -> str:
        return str(self.document["title"])

    @property
    def question(self) -> str:
        return str(self.document["question"])

    @property
    def example(self) -> Mapping[str, Any]:
        """A valid instance."""
        return dict(self.document["example"])

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """The fields of a request by name, in their order."""
        return {spec["name"]: Field(**spec) for spec in self.document["fields"]}

    @cached_property
    def answer(self) -> Answer:
        """What the model answers."""
        answer = dict(self.document["answer"])
        if "outputs" in answer:
            answer["outputs"] = tuple(answer["outputs"])
        return Answer(**answer)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained model, and the content of its card."""

    model: bytes
    """The model as ONNX, with all weights in it. The same data, code, settings and libraries should give the same bytes."""
    metrics: Mapping[str, Any]
    """How good it is on data that the training has not seen."""
    baseline: Mapping[str, Any] = field(default_factory=dict)
    """How good the simplest answer is on the same data: ``{"model": "always the mean", …}`` with the same metrics."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """More for the card: where the data is from, how much of it, what it leaves out."""


def print_progress(text: str) -> None:
    """Print progress on stderr; stdout is for the version."""
    print(text, file=sys.stderr, flush=True)
