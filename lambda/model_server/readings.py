"""The fields of a contract as numbers and texts of a tensor.

Everything here checks types, and sizes that cost memory. The ranges of a contract are the gateway's to check.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.defects import BadInstance, BadValue

Field = Mapping[str, Any]
"""A field of a contract document."""

TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
"""https://www.rfc-editor.org/rfc/rfc3339#section-5.6. Gateway and contract have the same (tests/unit/lambda/test_value_rules.py)."""
EPOCH = date(1970, 1, 1).toordinal()
MAX_TEXT = 1000
"""Characters of a text whose field has no ``max_length``."""


def number(value: Any) -> float:
    """A number; a missing one is NaN."""
    if type(value) is float:
        return value
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return float(value)


def whole_number(value: Any) -> int:
    """A number without a fraction: JSON has one kind of number, and clients write 3 as 3.0."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise TypeError
    return int(value)


def boolean(value: Any) -> bool:
    """True or false; 0 and 1 are numbers."""
    if isinstance(value, bool):
        return value
    raise TypeError


def day(value: Any) -> date:
    """A date as YYYY-MM-DD."""
    # Of the forms that date.fromisoformat has, 2013-W01-6 alone is as long; a pattern would double the time.
    if len(value) != 10 or value[5] == "W":
        raise ValueError
    return date.fromisoformat(value)


def weekday(value: Any) -> int:
    """Monday is 0."""
    return day(value).weekday()


def ordinal(value: Any) -> int:
    """Days since 1970."""
    return day(value).toordinal() - EPOCH


def minute(value: Any) -> int:
    """Minutes since midnight."""
    if len(value) != 5 or value[2] != ":":  # as above: T0730
        raise ValueError
    clock = time.fromisoformat(value)
    return clock.hour * 60 + clock.minute


def seconds(value: Any) -> float:
    """Seconds since 1970 in UTC."""
    if not TIMESTAMP.fullmatch(value):
        raise ValueError
    return datetime.fromisoformat(value.upper()).timestamp()


def text(maximum: int, value: Any) -> str:
    """A text of at most so many characters."""
    if not isinstance(value, str):
        raise TypeError
    if len(value) > maximum:
        raise BadValue(f"has {len(value)} characters; it may have {maximum}")
    return value


def _verbatim(read: Callable[[Any], Any], value: Any) -> str:
    """The text as it came, if it can be read."""
    read(value)
    return str(value)


def code(values: Mapping[str, Any], value: Any) -> str:
    """A code of a category."""
    values[value]
    return str(value)


def numbers(length: int, fractions: bool, value: Any) -> list[float]:
    """A vector."""
    if not isinstance(value, list):
        raise TypeError
    if len(value) != length:
        raise BadValue(f"has {len(value)} numbers; it should have {length}")
    for index, each in enumerate(value):
        kind = type(each)
        if not (kind is int or (kind is float and (fractions or each.is_integer()))):
            wanted = "a number" if fractions else "a whole number"
            raise BadValue(f"has {each!r:.40} at index {index}; {wanted} should be there")
    return value


@dataclass(frozen=True)
class Reading:
    """How a field of an instance becomes a value of a tensor, or several."""

    field: str
    read: Callable[[Any], Any]
    """Gets None for a field that is missing. Raises KeyError, OverflowError, TypeError or ValueError."""
    expected: str
    width: int = 1
    """How many values: the length of a vector, the numbers of an image."""


def present(value: Any) -> float:
    """A number that may not be missing."""
    if value is None:
        raise TypeError
    return number(value)


def _or_missing(read: Callable[[Any], Any], missing: Any, value: Any) -> Any:
    return missing if value is None else read(value)


MOMENTS: Mapping[str, tuple[Callable[[Any], float], str]] = {
    "date": (ordinal, "a date as YYYY-MM-DD"),
    "time": (minute, "a time as HH:MM"),
    "timestamp": (
        seconds,
        "a time as RFC 3339 has it, with its offset, such as 2013-11-17T18:01:00-05:00",
    ),
}


def reading(field: Field, kind: str) -> Reading | None:
    """The field for a tensor of the NumPy kind ``f``, ``i``, ``u``, ``b`` or ``O`` (texts); None when it fits none.

    A field that may be left out fits floating numbers alone: NaN is their sign for a missing value.
    """
    found = _required(field, kind)
    if found is None or field["required"]:
        return found
    if kind != "f":
        return None
    if found.read is present:
        return replace(found, read=number)
    missing = math.nan if found.width == 1 else np.full(found.width, math.nan)
    return replace(found, read=partial(_or_missing, found.read, missing))


def _required(field: Field, kind: str) -> Reading | None:
    name, type_ = field["name"], field["type"]
    match type_, kind:
        case "number", "f":
            return Reading(name, present, "a number")
        case "integer", "f" | "i" | "u":
            return Reading(name, whole_number, "a whole number")
        case "boolean", "f" | "i" | "u" | "b":
            return Reading(name, boolean, "true or false")
        case "category", "f" | "i" | "u" | "O":
            places = {each: index for index, each in enumerate(field["values"])}
            expected = f"one of {', '.join(places)}"
            return Reading(
                name, partial(code, places) if kind == "O" else places.__getitem__, expected
            )
        case "text", "O":
            return Reading(name, partial(text, field.get("max_length", MAX_TEXT)), "a text")
        case "date" | "time" | "timestamp", "f" | "i" | "O":
            read, expected = MOMENTS[type_]
            return Reading(name, partial(_verbatim, read) if kind == "O" else read, expected)
        case "vector", "f" | "i" | "u":
            length = field["length"]
            read_vector = partial(numbers, length, kind == "f")
            return Reading(name, read_vector, f"a list of {length} numbers", length)
        case "image", "f" | "i" | "u":
            from model_server.images import Form  # Pillow takes 30 ms to import, so only for images

            form = Form.of(field)
            return Reading(name, form.numbers, "a PNG or JPEG in base64", form.size)
    return None


UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Rows:
    """Reads instances as rows, with the values of their fields side by side."""

    def __init__(self, readings: Sequence[Reading], dtype: Any) -> None:
        self._readings = readings
        self._dtype = dtype
        self._fields = [(each.field, each.read) for each in readings]
        self._plain = all(each.width == 1 for each in readings)
        self.width = sum(each.width for each in readings)

    def of(self, instances: Sequence[Any]) -> NDArray[Any]:
        """One row an instance. Raises BadInstance for the first field that is missing or has a wrong value."""
        fields, dtype = self._fields, self._dtype
        try:
            if self._plain:
                rows = [[read(each.get(field)) for field, read in fields] for each in instances]
                return np.array(rows, dtype)
            parts = [
                np.array([read(each.get(field)) for each in instances], dtype)
                for field, read in fields
            ]
            return np.concatenate([each.reshape(len(instances), -1) for each in parts], axis=1)
        except UNREADABLE as error:
            raise BadInstance(self._reason(instances)) from error

    def _reason(self, instances: Sequence[Any]) -> str:
        """The reason, found by a second and slower pass."""
        for index, instance in enumerate(instances):
            if not isinstance(instance, Mapping):
                return f"instances[{index}] is not an object"
            for each in self._readings:
                value = instance.get(each.field)
                try:
                    np.array(each.read(value), self._dtype)
                except BadValue as error:
                    return f"instances[{index}].{each.field} {error}"
                except UNREADABLE:
                    found = "is missing" if value is None else f"is {value!r:.40}"
                    return f"instances[{index}].{each.field} {found}; it should be {each.expected}"
        return "instances could not be read"
