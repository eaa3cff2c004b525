"""Encodes a flight of a request as the row of numbers that the trees read.

Training and serving use this same code. The list of columns has what the code must know of the data: the number
of each airline, the position of each airport. The list is part of the model's file, so that a model always has
its own encoding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray


class Column(TypedDict):
    """One column of the model: its field, and how the field becomes a number."""

    name: str
    field: str
    reads: str
    """``number`` (may be missing), ``weekday`` of a date, ``minute`` of a time, or ``table``."""
    table: dict[str, float] | None
    """With ``table``: the number that stands for each value."""


class BadInstance(ValueError):
    """An instance that cannot be encoded; the message names the instance, the field and the reason."""


def _number(value: Any) -> float:
    if value is None:
        return math.nan  # the trees accept missing numbers
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return float(value)


def _weekday(value: Any) -> float:
    return date.fromisoformat(value).weekday()


def _minute(value: Any) -> float:
    clock = time.fromisoformat(value)
    return clock.hour * 60 + clock.minute


_READERS: Mapping[str, tuple[Callable[[Any], float], str]] = {
    "number": (_number, "a number"),
    "weekday": (_weekday, "a date as YYYY-MM-DD"),
    "minute": (_minute, "a time as HH:MM"),
}


class Encoder:
    """Encodes instances by a list of columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._fields: list[tuple[str, Callable[[Any], float], str]] = []
        for column in columns:
            if column["table"] is not None:
                values = ", ".join(column["table"])
                reader = (column["table"].__getitem__, f"one of {values}")
            else:
                reader = _READERS[column["reads"]]
            self._fields.append((column["field"], *reader))

    def rows(self, instances: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        """One row an instance, one float32 a column; a missing number is NaN.

        Raises BadInstance for the first field that is missing or has a wrong value.
        """
        fields = self._fields
        try:
            return np.array(
                [
                    [read(instance.get(field)) for field, read, _ in fields]
                    for instance in instances
                ],
                dtype=np.float32,
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise BadInstance(self._reason(instances)) from error

    def _reason(self, instances: Sequence[Any]) -> str:
        """The reason, found by a second and slower pass."""
        for index, instance in enumerate(instances):
            if not isinstance(instance, Mapping):
                return f"instances[{index}] is not an object"
            for field, read, expected in self._fields:
                value = instance.get(field)
                try:
                    read(value)
                except (KeyError, OverflowError, TypeError, ValueError):
                    found = "is missing" if value is None else f"is {value!r:.40}"
                    return f"instances[{index}].{field} {found}; it should be {expected}"
        return "instances could not be read"
