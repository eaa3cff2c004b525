"""One rule for the values of each type of field, in three places: a contract's example, the gateway, the model server.

A value that one of them allows and another refuses is a request that fails behind the gateway, or an example that is
no request. The server's part is types and forms; ranges are held before it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from gateway import images as gateway_images
from gateway.fields import CHECKS, InvalidValue, check
from model_server import images
from model_server.defects import BadInstance
from model_server.encoder import Encoder
from model_server.inputs import COLUMN_READS
from model_server.readings import Rows, reading
from PIL import Image

from config.contract_values import CHECKS as CONTRACT_CHECKS
from config.contract_values import refuse_value

KINDS = {"f": np.float64, "i": np.int64, "b": np.bool_, "O": np.object_}
"""The elements of an input, by NumPy's words for them."""


def picture(form: str, size: tuple[int, int] = (4, 4)) -> bytes:
    content = io.BytesIO()
    Image.new("L", size).save(content, form)
    return content.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "category": {"values": {"a": "Alpha", "b": "Beta"}},
    "text": {"max_length": 5},
    "vector": {"length": 2},
    "image": {"width": 2, "height": 2, "mode": "rgb", "max_bytes": 9000},
}
ALLOWED: Mapping[str, list[Any]] = {
    "number": [0, -1, 2.5, 1e-300, 2**60],
    "integer": [0, -3, 5.0, -0.0, 2**53 - 1],
    "boolean": [True, False],
    "category": ["a", "b"],
    "text": ["", "12345", "äöüß€", "🦆" * 5],
    "date": ["0001-01-01", "2024-02-29", "9999-12-31"],
    "time": ["00:00", "23:59"],
    "timestamp": [
        "2013-11-17T18:01:00Z", "2013-11-17t18:01:00z", "2013-11-17T18:01:00-05:00", "2013-11-17t18:01:00.5+23:59",
        "2013-11-17T18:01:00.123456789Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    ],
    "vector": [[0, 1], [5.0, -7]],
    "image": [text(picture("PNG")), text(picture("JPEG")), text(picture("PNG", (5000, 1)))],
}  # fmt: skip
REFUSED: Mapping[str, list[Any]] = {
    "number": ["1", True, 10**400, [], {}, ""],
    "integer": ["1", True, 10**400, []],
    "boolean": [0, 1, 1.0, "true", []],
    "category": ["c", "A", "", 0, True, [], {}],
    "text": ["123456", 1, True, [], {}],
    "date": [
        "2013-02-30", "20130105", "2013-W01-6", "2013-W01", "2013-1-5", "2013-01-05T00:00", " 2013-01-05", "2013-01-05\n",
        "2013/01/05", "0000-01-01", "\u0662\u0660\u0661\u0663-01-05", "", 20130105, [],
    ],
    "time": ["24:00", "7:30", "07:30:00", "0730", "T0730", "07", "07:30Z", "07.30", "07:60", "07:30\n", "", 450, []],
    "timestamp": [
        "2013-11-17 18:01:00Z", "2013-11-17_18:01:00Z", "20131117T180100Z", "2013-11-17T18:01Z", "2013-11-17T18Z",
        "2013-11-17", "2013-11-17T18:01:00", "2013-11-17T18:01:00+05", "2013-11-17T18:01:00+0500", "2013-W46-7T18:01:00Z",
        "2013-11-17T18:01:00,5Z", "2013-11-17T18:01:00.Z", "2013-11-17T18:01:00.1234567890Z", "2013-11-17T18:01:60Z",
        "2013-11-31T18:01:00Z", "2013-11-17T25:01:00Z", "2013-11-17T18:01:00+24:00", "2013-11-17T18:01:00Z\n", "", 0, [],
    ],
    "vector": [[0], [0, 1, 2], ["0", 1], [True, 1], [None, 1], [[0], 1], [10**400, 1], "01", 0, {}],
    "image": ["", "no base64!", "AAA", text(b"GIF89a"), f"data:image/png;base64,{text(picture('PNG'))}", 1, [],
              text(picture("PNG") + bytes(9000))],
}  # fmt: skip
BEYOND_THE_FIRST_RULE: Mapping[str, list[Any]] = {
    "integer": [2**53, -(2**53), 1e300, 5.5],  # a model whose column reads a number takes any
    "text": [
        "\ud800"
    ],  # JSON can write half of a character; the server's reader of JSON refuses it
}
"""What contract and gateway refuse, and the server's fields would take."""


def contract_allows(type_: str, value: object) -> bool:
    try:
        refuse_value({"type": type_, **MEMBERS.get(type_, {})}, value)
    except ValueError:
        return False
    return True


def gateway_allows(type_: str, value: object) -> bool:
    try:
        check({"type": type_, **MEMBERS.get(type_, {})})(value)
    except InvalidValue:
        return False
    return True


def server_rules(type_: str) -> Iterator[tuple[str, Callable[[list[Any]], Any]]]:
    """Each way in which a field of the type becomes numbers or texts."""
    spec = {"name": "given", "type": type_, "required": True, **MEMBERS.get(type_, {})}
    for kind, dtype in KINDS.items():
        if found := reading(spec, kind):
            yield kind, Rows([found], dtype).of
    for reads in COLUMN_READS.get(type_, ()):
        table = {"a": 0.0, "b": 1.0} if reads == "table" else None
        encoder = Encoder([{"name": "x", "field": "given", "reads": reads, "table": table}])
        yield reads, encoder.rows


def server_verdicts(type_: str, value: object) -> dict[str, bool]:
    """Whether each of them takes the value."""
    found = {}
    for name, rows in server_rules(type_):
        try:
            with np.errstate(over="raise"):  # as in the server
                rows([{"given": value}])
            found[name] = True
        except BadInstance:
            found[name] = False
    assert found
    return found


def cases(table: Mapping[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(type_, value) for type_, values in table.items() for value in values]


def test_the_table_has_every_type_of_a_field() -> None:
    assert ALLOWED.keys() == REFUSED.keys() == CHECKS.keys() == CONTRACT_CHECKS.keys()


@pytest.mark.parametrize(("type_", "value"), cases(ALLOWED))
def test_what_a_contract_allows_the_gateway_and_the_server_allow(type_: str, value: object) -> None:
    assert contract_allows(type_, value)
    assert gateway_allows(type_, value)
    assert all(server_verdicts(type_, value).values()), server_verdicts(type_, value)


@pytest.mark.parametrize(("type_", "value"), cases(REFUSED))
def test_what_a_contract_refuses_the_gateway_and_the_server_refuse(
    type_: str, value: object
) -> None:
    assert not contract_allows(type_, value)
    assert not gateway_allows(type_, value)
    assert not any(server_verdicts(type_, value).values()), server_verdicts(type_, value)


@pytest.mark.parametrize(("type_", "value"), cases(BEYOND_THE_FIRST_RULE))
def test_what_the_server_would_take_is_refused_before_it(type_: str, value: object) -> None:
    assert not contract_allows(type_, value)
    assert not gateway_allows(type_, value)


def test_gateway_and_server_have_the_same_limits_of_pixels() -> None:
    """A contract's own example is read by the model server, when the model is checked."""
    assert gateway_images.MAX_PIXELS == images.MAX_PIXELS
    assert gateway_images.MAX_PIXELS_OF_REQUEST == images.MAX_PIXELS_OF_REQUEST
    for size, allowed in (((2048, 2048), True), ((2048, 2049), False)):
        value = text(picture("PNG", size))
        assert gateway_allows("image", value) == allowed
        assert server_verdicts("image", value) == {"f": allowed, "i": allowed}
