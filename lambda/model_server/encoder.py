"""Encodes an instance as the row of numbers that trees read, by a list of columns.

Training and serving use this same code. The list of columns has what the code must know of the data: the number
of each airline, the position of each airport. The list is part of the model's file, so that a model always has
its own encoding. A model without the list reads its fields as model_server/inputs.py says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from model_server.defects import BadInstance
from model_server.readings import (
    MOMENTS,
    Reading,
    Rows,
    boolean,
    number,
    ordinal,
    seconds,
    weekday,
    whole_number,
)

__all__ = ["BadInstance", "Column", "Encoder"]


class Column(TypedDict):
    """One column of the model: its field, and how the field becomes a number."""

    name: str
    field: str
    reads: str
    """One of `READERS`, or ``table``."""
    table: dict[str, float] | None
    """With ``table``: the number that stands for each value."""


READERS: Mapping[str, tuple[Callable[[Any], float], str]] = {
    "number": (number, "a number"),  # may be missing: trees accept NaN
    "integer": (whole_number, "a whole number"),
    "boolean": (boolean, "true or false"),
    "weekday": (weekday, "a date as YYYY-MM-DD"),
    "ordinal": (ordinal, MOMENTS["date"][1]),
    "minute": MOMENTS["time"],
    "timestamp": (seconds, MOMENTS["timestamp"][1]),
}


class Encoder:
    """Encodes instances by a list of columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        readings: list[Reading] = []
        for column in columns:
            if column["table"] is not None:
                values = ", ".join(column["table"])
                reader = (column["table"].__getitem__, f"one of {values}")
            else:
                reader = READERS[column["reads"]]
            readings.append(Reading(column["field"], *reader))
        self._rows = Rows(readings, np.float32)

    def rows(self, instances: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        """One row an instance, one float32 a column; a missing number is NaN.

        Raises BadInstance for the first field that is missing or has a wrong value.
        """
        return self._rows.of(instances)
