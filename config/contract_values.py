"""Whether a value fits a field of a contract: for the limits and the example that a contract itself has.

The gateway checks requests by the same rules (lambda/gateway), in a form that is fast.
"""

from __future__ import annotations

import base64
import binascii
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

Spec = Mapping[str, Any]
"""A field, as the contract document has it."""

LARGEST_INTEGER = 2**53 - 1
"""Beyond it, JSON's numbers are no longer exact: https://www.rfc-editor.org/rfc/rfc8259#section-6"""

SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How a PNG and a JPEG begin."""


def day(value: str) -> str:
    """The value, if it is a day of the calendar as YYYY-MM-DD. Raises ValueError."""
    # date.fromisoformat alone also accepts 20130105 and 2013-W01-6.
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise ValueError("A date as YYYY-MM-DD is needed.")
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError("The calendar has no such day.") from None
    return value


def clock(value: str) -> str:
    """The value, if it is a time as HH:MM. Raises ValueError."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value, re.ASCII):
        raise ValueError("A time as HH:MM is needed, from 00:00 to 23:59.")
    return value


def seconds(value: str) -> float:
    """A timestamp of RFC 3339 as seconds since 1970. Raises ValueError.

    https://www.rfc-editor.org/rfc/rfc3339#section-5.6
    """
    form = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)"
    if not re.fullmatch(form, value, re.ASCII):
        raise ValueError(
            "A timestamp with its offset is needed, such as 2013-11-17T18:01:00-05:00."
        )
    try:
        return datetime.fromisoformat(value.upper()).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("The calendar or the clock has no such time.") from None


def refuse_value(spec: Spec, value: object) -> None:
    """Raise ValueError, with the reason, unless the value fits the field."""
    CHECKS[spec["type"]](spec, value)


def _number(spec: Spec, value: object) -> None:
    # In Python bool is an int, but true is no number.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("A finite number is needed.")
    if not abs(value) <= sys.float_info.max:  # NaN compares with nothing; 10**400 is no float
        raise ValueError("A finite number is needed.")
    _within(spec, value)


def _integer(spec: Spec, value: object) -> None:
    if isinstance(value, float) and value.is_integer():  # in JSON, 5.0 is whole
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("A whole number is needed.")
    if abs(value) > LARGEST_INTEGER:
        raise ValueError(f"Allowed: whole numbers to {LARGEST_INTEGER}, up or down.")
    _within(spec, value)


def _boolean(spec: Spec, value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError("Allowed: true, false.")


def _category(spec: Spec, value: object) -> None:
    if not isinstance(value, str) or value not in spec["values"]:
        codes = list(spec["values"])
        more = f" and {len(codes) - 10} more" if len(codes) > 10 else ""
        raise ValueError(f"Allowed: {', '.join(codes[:10])}{more}.")


def _text(spec: Spec, value: object) -> None:
    # JSON may have half of a character, which no UTF-8 has.
    whole = isinstance(value, str) and not re.search("[\ud800-\udfff]", value)
    if not whole or len(str(value)) > spec["max_length"]:
        raise ValueError(f"A text of at most {spec['max_length']} characters is needed.")


def _date(spec: Spec, value: object) -> None:
    _within(spec, day(value if isinstance(value, str) else ""))


def _time(spec: Spec, value: object) -> None:
    _within(spec, clock(value if isinstance(value, str) else ""))


def _timestamp(spec: Spec, value: object) -> None:
    _within(spec, seconds(value if isinstance(value, str) else ""), seconds)


def _vector(spec: Spec, value: object) -> None:
    if not isinstance(value, list) or len(value) != spec["length"]:
        found = f", not {len(value)}" if isinstance(value, list) else ""
        raise ValueError(f"A list of {spec['length']} numbers is needed{found}.")
    for each in value:
        _number(spec, each)


def _image(spec: Spec, value: object) -> None:
    try:
        content = base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content.startswith(SIGNATURES):
        raise ValueError("A PNG or a JPEG in base64 is needed.")
    if len(content) > spec["max_bytes"]:
        raise ValueError(
            f"The image has {len(content)} bytes, and max_bytes is {spec['max_bytes']}."
        )


def _within(spec: Spec, value: Any, ordered: Callable[[Any], Any] = lambda limit: limit) -> None:
    """Dates and times compare as texts."""
    low, high = spec.get("minimum"), spec.get("maximum")
    if (low is None or ordered(low) <= value) and (high is None or value <= ordered(high)):
        return
    ends = [f"{word} {limit}" for word, limit in (("from", low), ("to", high)) if limit is not None]
    raise ValueError(f"Allowed: {' '.join(ends)}.")


CHECKS: Mapping[str, Callable[[Spec, object], None]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _category,
    "text": _text,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "vector": _vector,
    "image": _image,
}
