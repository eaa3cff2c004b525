"""Each type of field accepts what its contract allows, and refuses everything else with the reason."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import pytest
from gateway import images
from gateway.contract import Contract
from gateway.fields import CHECKS, InvalidValue, check
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from config.contract_values import CHECKS as CONTRACT_CHECKS
from config.contract_values import refuse_value

from .gateway_models import DOCUMENTS, contract

SPECS: dict[str, dict[str, Any]] = {
    "number": {"type": "number", "minimum": -5, "maximum": 5.5, "unit": "m"},
    "any number": {"type": "number"},
    "integer": {"type": "integer", "minimum": 0, "maximum": 9},
    "any integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "category": {"type": "category", "values": {"a": "Alpha", "b": "Beta"}},
    "text": {"type": "text", "max_length": 5},
    "date": {"type": "date", "minimum": "2013-01-01", "maximum": "2013-12-31"},
    "any date": {"type": "date"},
    "time": {"type": "time", "minimum": "06:00"},
    "any time": {"type": "time"},
    "timestamp": {
        "type": "timestamp",
        "minimum": "2013-01-01T00:00:00Z",
        "maximum": "2014-01-01T00:00:00+02:00",
    },
    "any timestamp": {"type": "timestamp"},
    "vector": {"type": "vector", "length": 2, "minimum": 0, "maximum": 1},
    "image": {"type": "image", "width": 8, "height": 8, "mode": "rgb", "max_bytes": 3000},
}


def picture(size: tuple[int, int] = (8, 8), form: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    Image.new("L", size).save(content, form, **options)
    return content.getvalue()


def resized(width: int, height: int) -> bytes:
    """A PNG whose header says that it has this size."""
    content = picture()
    return content[:16] + width.to_bytes(4) + height.to_bytes(4) + content[24:]


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def reason(kind: str, value: object) -> str | None:
    try:
        check(SPECS[kind])(value)
    except InvalidValue as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", [-5, 5.5, 0, 1e-300]),
        ("any number", [1.7e308, -1.7e308, 10**300]),
        ("integer", [0, 9, 5.0]),
        ("any integer", [2**53 - 1, 1 - 2**53]),
        ("boolean", [True, False]),
        ("category", ["a", "b"]),
        ("text", ["", "12345", "äöüß€", "🦆" * 5, "\x00"]),
        ("date", ["2013-01-01", "2013-12-31"]),
        ("any date", ["0001-01-01", "2024-02-29"]),
        ("time", ["06:00", "23:59"]),
        ("any time", ["00:00"]),
        ("timestamp", ["2013-01-01T00:00:00Z", "2013-12-31T22:00:00.000z"]),
        ("any timestamp", ["2013-06-01T12:00:00.123456789-05:00", "2013-06-01t12:00:00Z"]),
        ("vector", [[0, 1.0], [0.5, 0]]),
        ("image", [text(picture()), text(picture(form="JPEG")), text(picture((70_000, 1)))]),
    ],
)
def test_what_the_contract_allows_is_returned_as_it_is(kind: str, values: list[Any]) -> None:
    for value in values:
        assert check(SPECS[kind])(value) == value


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    found = check(SPECS["integer"])(5.0)
    assert (found, type(found)) == (5, int)


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("number", 5.6, "must be from -5 to 5.5 m, not 5.6"),
        ("number", "1", 'must be a number, not "1"'),
        ("number", True, "must be a number, not true"),
        ("any number", math.inf, "must be a finite number"),
        ("any number", math.nan, "must be a finite number"),
        ("any number", 10**400, "must be a finite number"),
        ("integer", 5.5, "must be a whole number, not 5.5"),
        ("integer", 10, "must be from 0 to 9, not 10"),
        ("integer", False, "must be a whole number, not false"),
        ("integer", math.nan, "must be a whole number"),
        ("any integer", 2**53, "must be from -9007199254740991 to 9007199254740991"),
        ("any integer", 1e300, "must be from"),
        ("boolean", 1, "must be true or false, not 1"),
        ("boolean", "true", "must be true or false"),
        ("category", "alpha", "must be one of a, b"),
        ("category", [], "not an array"),
        ("text", "123456", "may have 5 characters, not 6"),
        ("text", 7, "must be a text, not 7"),
        ("text", "\ud800", "half of a surrogate pair"),
        ("date", "2014-01-01", "must be from 2013-01-01 to 2013-12-31"),
        ("any date", "2013-02-30", "not a day of the calendar"),
        ("any date", "2013-W01-6", 'must be a date like "2013-01-31"'),
        ("time", "05:59", "must be from 06:00"),
        ("any time", "24:00", 'must be a time like "18:30"'),
        ("timestamp", "2012-12-31T23:59:59Z", "must be from 2013-01-01T00:00:00Z to"),
        ("timestamp", "2014-01-01T00:00:00Z", "to 2014-01-01T00:00:00+02:00"),
        ("any timestamp", "2013-06-01T12:00:00", "with its offset"),
        ("any timestamp", "2013-06-31T12:00:00Z", "no time of the calendar"),
        ("any timestamp", "2013-06-01T12:00:60Z", "no time of the calendar"),
        ("any timestamp", 1370088000, "must be a timestamp"),
        ("vector", [0], "must have 2 numbers, not 1"),
        ("vector", [0, 2], "must be from 0 to 1, not 2, at position 1"),
        ("vector", [0, None], "must be a number, not null, at position 1"),
        ("vector", [0, [1]], "must be a number, not an array"),
        ("vector", "01", "must be an array of 2 numbers"),
        ("image", "", "is neither a PNG nor a JPEG"),
        ("image", "no base64!", "must be a PNG or JPEG in base64"),
        ("image", "é", "must be a PNG or JPEG in base64"),
        (
            "image",
            f"data:image/png;base64,{text(picture())}",
            "leave out the part before the comma",
        ),
        ("image", text(b"GIF89a" + bytes(50)), "is neither a PNG nor a JPEG"),
        ("image", text(picture()[:20]), "ends before its size"),
        ("image", text(resized(4097, 1024)), "1 to 4,194,304 pixels, not 4097×1024"),
        ("image", text(picture() + bytes(3000)), "may have 3000 bytes"),
        ("image", "A" * 2**20, "may have 3000 bytes"),
        ("image", {"b64": ""}, "must be a PNG or JPEG in base64, not an object"),
    ],
)
def test_what_the_contract_does_not_allow_is_refused_with_the_reason(
    kind: str, value: object, why: str
) -> None:
    found = reason(kind, value)
    assert found
    assert why in found
    assert len(found) < 200


def test_gateway_and_contract_check_the_same_types() -> None:
    assert CHECKS.keys() == CONTRACT_CHECKS.keys()


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates().map(str),
    st.times().map(lambda each: each.isoformat("minutes")),
    st.datetimes(timezones=st.timezones()).map(lambda each: each.isoformat()),
    st.lists(st.floats(-1, 2), min_size=1, max_size=3),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SPECS)), ANYTHING)
def test_gateway_and_contract_allow_the_same_values(kind: str, value: object) -> None:
    """The example of a contract, which config checks, is a request that the gateway accepts."""
    try:
        refuse_value(SPECS[kind], value)
        allowed = True
    except ValueError:
        allowed = False
    assert (reason(kind, value) is None) == allowed


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_example_of_each_contract_is_valid(name: str) -> None:
    found = Contract(DOCUMENTS[name], "v")
    example = DOCUMENTS[name]["example"]
    assert found.check({"instances": [example]}) == ([example], [])


def test_no_more_than_twenty_errors_of_a_hostile_vector_are_worded() -> None:
    field = {"name": "v", "type": "vector", "length": 5000, "required": True}
    _, errors = contract(fields=[field]).check({"instances": [{"v": ["x"] * 5000}]})
    assert len(errors) == 1


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (4096, 17)])
def test_the_size_of_an_image_is_read_from_its_header(form: str, size: tuple[int, int]) -> None:
    assert images.size(picture(size, form)) == size


def test_the_size_of_a_jpeg_is_behind_its_other_segments() -> None:
    content = picture(
        (33, 44), "JPEG", progressive=True, comment=b"c" * 5000, exif=b"Exif\0\0" + bytes(999)
    )
    assert images.size(content) == (33, 44)
    assert images.size(content[:2] + b"\xff\xff\xff" + content[2:]) == (33, 44)


def test_a_bomb_is_known_by_its_header_and_never_decoded() -> None:
    """60,000 x 60,000 pixels of one colour are a few hundred kilobytes of PNG."""
    assert "not 60000×60000" in str(reason("image", text(resized(60_000, 60_000))))


def test_the_images_of_a_request_have_a_limit_together() -> None:
    field = {"type": "image", "width": 8, "height": 8, "mode": "rgb", "max_bytes": 9000}
    sides = [{**field, "name": name, "required": False} for name in ("front", "back")]
    found = contract(fields=sides, max_batch=100)
    assert images.MAX_PIXELS_OF_REQUEST == 8 * 2048 * 2048
    eighth = text(picture((2048, 2048)))
    both = {"front": eighth, "back": eighth}
    assert found.check({"instances": [both] * 4})[1] == []
    assert found.check({"instances": [{"back": eighth}] * 8 + [{}] * 9})[1] == []
    (error,) = found.check({"instances": [*[both] * 4, {"back": text(picture((1, 1)))}]})[1]
    assert (error.field, error.reason) == (
        "instances",
        "may have images of 33,554,432 pixels together, not 33,554,433",
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([images.PNG, images.JPEG, b"\xff\xd8"]))
def test_any_bytes_are_an_image_or_none(tail: bytes, head: bytes) -> None:
    found = images.size(head + tail)
    assert (reason("image", text(head + tail)) is None) == (
        found is not None and 1 <= found[0] * found[1] <= images.MAX_PIXELS
    )
