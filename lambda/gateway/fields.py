"""The values of a contract's fields: for each field a function that returns a valid value, or raises with the reason."""

from __future__ import annotations

import binascii
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NoReturn

from gateway import images

Spec = Mapping[str, Any]
"""A field, as the contract document has it."""
Check = Callable[[Any], Any]

LARGEST_INTEGER = 2**53 - 1
"""JSON's numbers are exact up to it: https://www.rfc-editor.org/rfc/rfc8259#section-6"""
FORMS: Mapping[str, str] = {
    "date": "a date as YYYY-MM-DD",
    "time": "a time as HH:MM",
    "timestamp": "a timestamp with its offset",
}
"""How a value that is missing is written, where the type alone does not say it."""
LISTED = 20
"""So many codes of a category are listed in a reason."""
COMPARED_CHARACTERS = 4000
"""Of all spellings that are compared with a wrong one: about 20 ms. 2,000 codes of 30 characters take 0.4 s."""
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""https://www.rfc-editor.org/rfc/rfc3339#section-5.6"""


class InvalidValue(Exception):
    """The value is not valid; the message is the reason."""

    def __init__(self, reason: str, hint: Callable[[], str] | None = None) -> None:
        """``hint`` is more of the reason, for which it takes long to search."""
        super().__init__(reason)
        self.hint = hint


def check(spec: Spec) -> Check:
    """The check of a field's values. Raises KeyError for a type that nothing here checks."""
    return CHECKS[spec["type"]](spec)


def abbreviated(value: object) -> str:
    """A value in a form short enough for an error; a container by its kind only."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value[:60] if isinstance(value, str) else value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"


def _refuse(wanted: str, value: object) -> NoReturn:
    raise InvalidValue(f"must be {wanted}, not {abbreviated(value)}")


def _range(spec: Spec) -> str:
    """The range in words, such as ``from 0 to 100 %``; empty for a field without one."""
    ends = [("from", spec.get("minimum")), ("to", spec.get("maximum"))]
    words = [f"{word} {limit}" for word, limit in ends if limit is not None]
    if words and spec.get("unit"):
        words.append(str(spec["unit"]))
    return " ".join(words)


def _limits(spec: Spec, least: float, most: float) -> tuple[float, float]:
    low, high = spec.get("minimum"), spec.get("maximum")
    return least if low is None else low, most if high is None else high


def _number(spec: Spec) -> Check:
    low, high = _limits(spec, -sys.float_info.max, sys.float_info.max)
    finite = _range(spec) or "a finite number"

    def valid(value: Any) -> Any:
        # The exact types: in Python bool is an int, but true is no temperature.
        if type(value) is float or type(value) is int:
            if low <= value <= high:  # false for NaN
                return value
            if value - value != 0:
                raise InvalidValue("must be a finite number")
            _refuse(finite, value)
        _refuse("a number", value)

    return valid


def _integer(spec: Spec) -> Check:
    low, high = _limits(spec, -LARGEST_INTEGER, LARGEST_INTEGER)
    wanted = _range(spec) or f"from {-LARGEST_INTEGER} to {LARGEST_INTEGER}"

    def valid(value: Any) -> int:
        # JSON has one kind of number: 5.0 is whole (https://json-schema.org/draft/2020-12/json-schema-core#section-4.2.2).
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            _refuse("a whole number", value)
        if low <= value <= high:
            return value
        _refuse(wanted, value)

    return valid


def _boolean(spec: Spec) -> Check:
    def valid(value: Any) -> bool:
        if type(value) is bool:
            return value
        _refuse("true or false", value)

    return valid


def _category(spec: Spec) -> Check:
    codes: Mapping[str, str] = spec["values"]

    def valid(value: Any) -> str:
        if type(value) is str and value in codes:
            return value
        known = ", ".join(codes) if len(codes) <= LISTED else f"its {len(codes)} codes"
        reason = f"must be one of {known}, not {abbreviated(value)}"
        raise InvalidValue(reason, lambda: nearest(value))

    def nearest(value: Any) -> str:
        near = _nearest(codes, value) if isinstance(value, str) else []
        found = ", ".join(f"{code} ({codes[code]})" for code in near)
        return f"; nearest: {found}" if near else ""

    return valid


def _nearest(codes: Mapping[str, str], value: str) -> list[str]:
    """Up to three codes that the caller may mean: by their name, else by spelling."""
    wanted = value.strip()[:40].casefold()
    named = [code for code, name in codes.items() if len(wanted) > 2 and wanted in name.casefold()]
    if named:
        return named[:3]
    spellings = {code.casefold(): code for code in codes}
    # 0.5: a code of two letters with one wrong letter is still found.
    return [spellings[each] for each in similar(wanted, spellings, cutoff=0.5)]


def similar(word: str, known: Iterable[str], count: int = 3, cutoff: float = 0.6) -> list[str]:
    """The nearest spellings, out of as many as can be compared while other callers wait.

    If these are not all, those that begin as the word does are compared first.
    """
    word = word[:40]
    left = COMPARED_CHARACTERS
    compared = []
    for each in sorted(known, key=lambda each: each[:1] != word[:1]):
        left -= len(each)
        if left < 0:
            break
        compared.append(each)
    return difflib.get_close_matches(word, compared, count, cutoff)


def _text(spec: Spec) -> Check:
    longest: int = spec["max_length"]

    def valid(value: Any) -> str:
        if type(value) is not str:
            _refuse("a text", value)
        if len(value) > longest:
            raise InvalidValue(f"may have {longest} characters, not {len(value)}")
        try:
            value.encode()
        except UnicodeEncodeError:
            # JSON can write half of a surrogate pair (https://www.rfc-editor.org/rfc/rfc8259#section-8.2).
            raise InvalidValue("has half of a surrogate pair, which is no character") from None
        return value

    return valid


def _date(spec: Spec) -> Check:
    low, high = spec.get("minimum", "0000"), spec.get("maximum", "9999-99-99")
    like = abbreviated(spec.get("minimum", "2013-01-31"))

    def valid(value: Any) -> str:
        # date.fromisoformat alone also accepts 20130105 and 2013-W01-6.
        if type(value) is not str or not DATE.fullmatch(value):
            _refuse(f"a date like {like}", value)
        try:
            date.fromisoformat(value)
        except ValueError:
            raise InvalidValue(f"{abbreviated(value)} is not a day of the calendar") from None
        if low <= value <= high:
            return value
        _refuse(_range(spec), value)

    return valid


def _time(spec: Spec) -> Check:
    low, high = spec.get("minimum", "00:00"), spec.get("maximum", "23:59")

    def valid(value: Any) -> str:
        if type(value) is not str or not TIME.fullmatch(value):
            _refuse('a time like "18:30"', value)
        if low <= value <= high:
            return value
        _refuse(_range(spec), value)

    return valid


def _seconds(value: str) -> float:
    return datetime.fromisoformat(value.upper()).timestamp()


def _timestamp(spec: Spec) -> Check:
    low = _seconds(spec["minimum"]) if "minimum" in spec else float("-inf")
    high = _seconds(spec["maximum"]) if "maximum" in spec else float("inf")

    def valid(value: Any) -> str:
        if type(value) is not str or not TIMESTAMP.fullmatch(value):
            _refuse('a timestamp with its offset, like "2013-11-17T18:01:00-05:00"', value)
        try:
            seconds = _seconds(value)
        except (ValueError, OverflowError):
            raise InvalidValue(
                f"{abbreviated(value)} is no time of the calendar and the clock"
            ) from None
        if low <= seconds <= high:
            return value
        _refuse(_range(spec), value)

    return valid


def _vector(spec: Spec) -> Check:
    length: int = spec["length"]
    number = _number(spec)

    def valid(value: Any) -> list[Any]:
        if type(value) is not list:
            _refuse(f"an array of {length} numbers", value)
        if len(value) != length:
            raise InvalidValue(f"must have {length} numbers, not {len(value)}")
        for index, each in enumerate(value):
            try:
                number(each)
            except InvalidValue as error:
                raise InvalidValue(f"{error}, at position {index}") from None
        return value

    return valid


def image_characters(spec: Spec) -> int:
    """The longest text of an image field: its bytes in base64."""
    most: int = spec["max_bytes"]
    return (most + 2) // 3 * 4


def pixels(value: str) -> int:
    """The pixels of a valid image."""
    width, height = images.size(binascii.a2b_base64(value)) or (0, 0)
    return width * height


def _image(spec: Spec) -> Check:
    most: int = spec["max_bytes"]
    longest = image_characters(spec)

    def valid(value: Any) -> str:
        if type(value) is not str:
            _refuse("a PNG or JPEG in base64", value)
        if len(value) > longest:
            raise InvalidValue(f"may have {most} bytes, which is {longest} characters in base64")
        try:
            content = binascii.a2b_base64(value, strict_mode=True)
        except ValueError:  # binascii.Error, and a text that is not ASCII
            hint = "; leave out the part before the comma" if value[:5] == "data:" else ""
            raise InvalidValue(f"must be a PNG or JPEG in base64{hint}") from None
        if len(content) > most:
            raise InvalidValue(f"may have {most} bytes, not {len(content)}")
        found = images.size(content)
        if found is None:
            raise InvalidValue("is neither a PNG nor a JPEG, or ends before its size")
        width, height = found
        if not 1 <= width * height <= images.MAX_PIXELS:
            limit = f"1 to {images.MAX_PIXELS:,} pixels"
            raise InvalidValue(f"may have {limit}, not {width}×{height}")
        return value

    return valid


CHECKS: Mapping[str, Callable[[Spec], Check]] = {
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
