"""How each type of a field reaches a graph, by the type and the shape of the graph's input."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.defects import BadInstance, UnfitModel
from model_server.model import Model
from onnx import TensorProto, helper
from PIL import Image

from tests.onnx_models import contract, graph, mirror

FLOAT, DOUBLE, INT64, INT32 = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.INT32,
)
BOOL, STRING, UINT8 = TensorProto.BOOL, TensorProto.STRING, TensorProto.UINT8
NAMES = {
    FLOAT: "float", DOUBLE: "double", INT64: "int64", INT32: "int32", BOOL: "bool", STRING: "string", UINT8: "uint8",
}  # fmt: skip
N = [None]


def png(width: int, height: int, *pixels: Any, mode: str = "L") -> str:
    """An image of so many pixels, as a request has it."""
    image = Image.new(mode, (width, height))
    image.putdata(pixels or [0] * (width * height))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


FIELDS: dict[str, tuple[dict[str, Any], Any]] = {
    "number": ({}, 2.5),
    "integer": ({}, -3),
    "boolean": ({}, True),
    "category": ({"values": {"red": "Red", "blue": "Blue"}}, "blue"),
    "text": ({"max_length": 10}, "größer"),
    "date": ({}, "1970-01-11"),
    "time": ({}, "02:05"),
    "timestamp": ({}, "1970-01-01T01:00:30.5+01:00"),
    "vector": ({"length": 3}, [1, 2.5, -3]),
    "image": ({"width": 2, "height": 1, "mode": "grayscale", "maximum": 255}, png(2, 1, 0, 200)),
}
"""By type, the other members of a field, and a value."""


def fitted(
    type_: str, element: int, shape: Any, value: Any = None, **members: Any
) -> tuple[Model, dict[str, Any]]:
    """A model that answers with the tensor that it gets for one field, and an instance."""
    others, usual = FIELDS[type_]
    example = {"given": usual if value is None else value}
    document = contract(
        {"given": {"type": type_, **others, **members}}, {"kind": "tensors"}, example
    )
    return Model(mirror({"given": (element, shape)}), document), example


def seen(type_: str, element: int, shape: Any = (None,), **more: Any) -> Any:
    model, example = fitted(type_, element, shape, **more)
    return model.predictions([example])[0]["seen_given"]


@pytest.mark.parametrize(
    ("type_", "element", "expected"),
    [
        ("number", FLOAT, 2.5),
        ("number", DOUBLE, 2.5),
        ("integer", INT64, -3),
        ("integer", INT32, -3),
        ("integer", FLOAT, -3.0),
        ("boolean", BOOL, True),
        ("boolean", INT64, 1),
        ("boolean", FLOAT, 1.0),
        ("category", STRING, "blue"),
        ("category", INT64, 1),
        ("category", FLOAT, 1.0),
        ("text", STRING, "größer"),
        ("date", STRING, "1970-01-11"),
        ("date", INT64, 10),
        ("date", FLOAT, 10.0),
        ("time", STRING, "02:05"),
        ("time", INT32, 125),
        ("timestamp", STRING, "1970-01-01T01:00:30.5+01:00"),
        ("timestamp", DOUBLE, 30.5),
        ("timestamp", INT64, 30),
    ],
)
@pytest.mark.parametrize("shape", [(None,), ("batch", 1), (None, None)], ids=str)
def test_a_field_comes_in_the_type_of_the_input_of_its_name(
    type_: str, element: int, expected: Any, shape: Any
) -> None:
    found = seen(type_, element, shape)
    assert found == (expected if len(shape) == 1 else [expected])
    assert isinstance(np.ravel(found)[0].item(), type(expected))


@pytest.mark.parametrize(
    ("element", "shape", "expected"),
    [
        (FLOAT, (None, 3), [1, 2.5, -3]),
        (DOUBLE, (None, None), [1, 2.5, -3]),
    ],
)
def test_a_vector_is_a_row(element: int, shape: Any, expected: Any) -> None:
    assert seen("vector", element, shape) == expected


def test_a_vector_for_integers_has_whole_numbers() -> None:
    assert seen("vector", INT64, (None, 3), value=[1, 2.0, 3]) == [1, 2, 3]
    model, _ = fitted("vector", INT64, (None, 3), value=[1, 2, 3])
    with pytest.raises(BadInstance, match=r"given has 2.5 at index 1; a whole number should"):
        model.predictions([{"given": [1, 2.5, 3]}])


PIXELS = [(250, 0, 10), (20, 30, 40), (1, 2, 3), (4, 5, 6), (7, 8, 9), (100, 110, 120)]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, 2), [0, 200]),
        ((None, 1, 2), [[0, 200]]),
        ((None, 1, 1, 2), [[[0, 200]]]),
        ((None, "c", "h", "w"), [[[0, 200]]]),
        ((None, 1, 2, 1), [[[0], [200]]]),
    ],
)
@pytest.mark.parametrize("element", [FLOAT, UINT8])
def test_a_gray_image_has_the_shape_of_the_input(shape: Any, expected: Any, element: int) -> None:
    assert seen("image", element, shape) == expected


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((None, 3, 3, 2), (2, 0, 1)),
        ((None, 3, 2, 3), (0, 1, 2)),
        ((None, "height", "width", "channels"), (2, 0, 1)),
        ((None, 3, "height", "width"), (2, 0, 1)),
        ((None, "height", 2, 3), (0, 1, 2)),
    ],
)
def test_a_coloured_image_has_its_channels_where_the_input_has_them(
    shape: Any, order: tuple[int, ...]
) -> None:
    """Three rows of two pixels: what is turned over is seen."""
    size = {"width": 2, "height": 3, "mode": "rgb"}
    value = png(2, 3, *PIXELS, mode="RGB")
    expected = np.array(PIXELS).reshape(3, 2, 3).transpose(order)
    assert seen("image", FLOAT, shape, value=value, **size) == expected.tolist()


@pytest.mark.parametrize(
    ("type_", "element", "shape", "members", "reason"),
    [
        ("number", INT64, N, {}, r"input given: it is tensor\(int64\). Wanted: float or double"),
        ("number", FLOAT, [1], {}, r"its shape is \[1\]. Wanted: \[any number\]"),
        ("number", FLOAT, [None, 2], {}, r"its shape is \[None, 2\]"),
        ("text", FLOAT, N, {}, "Wanted: string for the text given"),
        ("boolean", STRING, N, {}, "Wanted: bool"),
        ("integer", INT64, N, {"required": False}, "Wanted: float or double, or required = true: the integer given"),
        ("category", STRING, N, {"required": False}, "Wanted: float or double, or required = true"),
        ("text", STRING, N, {"required": False}, "Wanted: required = true: the text given may be"),
        ("vector", FLOAT, [None, 4], {}, r"shape is \[None, 4\]. Wanted: \[any number, 3\]"),
        ("image", FLOAT, [None, 3, 1, 2], {}, r"Wanted: \[any number, 1, 1, 2\] or .*for the image"),
        ("image", FLOAT, [None, 9], {}, r"its shape is \[None, 9\]"),
        ("image", STRING, N, {}, "Wanted: float"),
    ],
)  # fmt: skip
def test_an_input_that_cannot_take_its_field_is_refused_with_both(
    type_: str, element: int, shape: Any, members: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnfitModel, match=reason):
        fitted(type_, element, shape, **members)


@pytest.mark.parametrize("type_", ["number", "integer", "boolean", "category", "vector", "image"])
def test_a_value_that_is_left_out_is_nan(type_: str) -> None:
    document = {"type": type_, **FIELDS[type_][0], "required": False}
    size = {"vector": 3, "image": 2}.get(type_, 1)
    given = helper.make_node("IsNaN", ["given"], ["missing"])
    built = graph([given], {"given": (FLOAT, [None, size])}, {"missing": (BOOL, [None, size])})
    example = {"given": FIELDS[type_][1]}
    model = Model(
        built.SerializeToString(), contract({"given": document}, {"kind": "tensors"}, example)
    )
    found = model.predictions([example, {}, {"given": None}])
    assert [each["missing"] for each in found] == [[False] * size, [True] * size, [True] * size]


def table(names: list[str], width: int | None, element: int = FLOAT) -> Model:
    """A model with one input, which is named as no field."""
    fields = {each: {"type": each, **FIELDS[each][0]} for each in names}
    example = {each: FIELDS[each][1] for each in names}
    document = contract(fields, {"kind": "tensors"}, example)
    return Model(mirror({"float_input": (element, [None, width])}), document)


def test_an_input_of_another_name_gets_all_fields_in_their_order() -> None:
    names = ["category", "vector", "number", "boolean", "image", "date", "time"]
    model = table(names, 10)
    instance = {each: FIELDS[each][1] for each in names}
    found = model.predictions([instance, instance])
    assert found[0]["seen_float_input"] == [1, 1, 2.5, -3, 2.5, 1, 0, 200, 10, 125]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("names", "width", "reason"),
    [
        (["number", "integer"], 3, r"its shape is \[None, 3\]. Wanted: any number of rows and 2"),
        (["number", "text"], 2, r"tensor\(float\), and text is of the type text"),
    ],
)
def test_a_matrix_that_does_not_fit_the_fields_is_refused(
    names: list[str], width: int, reason: str
) -> None:
    with pytest.raises(UnfitModel, match=reason):
        table(names, width)


def test_the_only_input_gets_the_only_field_whatever_its_name() -> None:
    document = contract({"sentence": {"type": "text"}}, {"kind": "tensors"}, {"sentence": "good"})
    model = Model(mirror({"input.1": (STRING, [None, 1])}), document)
    assert model.predictions([{"sentence": "bad"}]) == [{"seen_input.1": ["bad"]}]


def test_inputs_that_are_named_as_no_field_are_listed() -> None:
    document = contract(
        {"a": {"type": "number"}, "b": {"type": "number"}}, {"kind": "tensors"}, {"a": 1, "b": 2}
    )
    inputs = {"a": (FLOAT, N), "c": (FLOAT, N)}
    with pytest.raises(UnfitModel, match=r"inputs: a: .*; no field is named c. Wanted: .*\(a, b\)"):
        Model(mirror(inputs), document)


@pytest.mark.parametrize(
    ("type_", "element", "value", "reason"),
    [
        ("number", FLOAT, "2.5", "is '2.5'; it should be a number"),
        ("number", FLOAT, True, "is True; it should be a number"),
        ("number", FLOAT, [1], r"is \[1\]; it should be a number"),
        ("number", FLOAT, None, "is missing; it should be a number"),
        ("integer", INT64, 2.5, "is 2.5; it should be a whole number"),
        ("integer", INT64, 2**70, "is 1180591620717411303424; it should be a whole number"),
        ("integer", INT32, 2**40, "is 1099511627776; it should be a whole number"),
        ("boolean", BOOL, 1, "is 1; it should be true or false"),
        ("category", STRING, "green", "is 'green'; it should be one of red, blue"),
        ("category", INT64, ["red"], r"is \['red'\]; it should be one of red, blue"),
        ("text", STRING, "longer than ten", "has 15 characters; it may have 10"),
        ("text", STRING, 3, "is 3; it should be a text"),
        ("date", STRING, "11.1.1970", "it should be a date as YYYY-MM-DD"),
        ("date", INT64, 19700111, "it should be a date as YYYY-MM-DD"),
        ("time", INT64, "25:00", "it should be a time as HH:MM"),
        (
            "timestamp",
            DOUBLE,
            "1970-01-01T00:00:00",
            "with its offset, such as 2013-11-17T18:01:00-05:00",
        ),
        ("timestamp", DOUBLE, "today", "it should be a time as RFC 3339 has it"),
        ("vector", FLOAT, [1, 2], "has 2 numbers; it should have 3"),
        ("vector", FLOAT, [1, None, 3], "has None at index 1; a number should be there"),
        ("vector", FLOAT, [1, "2", 3], "has '2' at index 1"),
        ("vector", FLOAT, [1, [2], 3], r"has \[2\] at index 1"),
        ("vector", FLOAT, "123", "it should be a list of 3 numbers"),
    ],
)
def test_a_wrong_value_is_named_with_the_instance_the_field_and_the_reason(
    type_: str, element: int, value: Any, reason: str
) -> None:
    shape = (None, 3) if type_ == "vector" else N
    usable = {"vector": [1, 2, 3]}.get(type_)
    model, example = fitted(type_, element, shape, usable)
    with pytest.raises(BadInstance, match=rf"^instances\[1\]\.given .*{reason}"):
        model.predictions([example, {"given": value}])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([2**63, -(2**63), 2**64, 1e308, -0.0, "1970-01-11", "02:05", "Z", "24:00"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
EACH_TYPE = [
    ("number", FLOAT), ("number", DOUBLE), ("integer", INT64), ("integer", INT32), ("integer", FLOAT),
    ("boolean", BOOL), ("boolean", FLOAT), ("category", STRING), ("category", INT64), ("text", STRING),
    ("date", INT64), ("date", STRING), ("time", FLOAT), ("timestamp", DOUBLE), ("timestamp", INT64),
    ("vector", FLOAT), ("vector", INT64), ("image", FLOAT), ("image", UINT8),
]  # fmt: skip
MIXED: list[tuple[Model, dict[str, Any]]] = []
"""Filled by the first example of the test below: loading takes longer than an example."""


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_json_in_any_field_is_read_or_refused_with_its_place(data: st.DataObject) -> None:
    for type_, element in EACH_TYPE[len(MIXED) :]:
        shape = {"vector": (None, 3), "image": (None, 2)}.get(type_, N)
        MIXED.append(fitted(type_, element, shape, [1, 2, 3] if type_ == "vector" else None))
    model, example = data.draw(st.sampled_from(MIXED))
    value = data.draw(JSON)
    with np.errstate(over="raise"):  # as in the server
        reason = ""
        try:
            found = model.predictions([example, {"given": value}])
            assert json.loads(json.dumps(found, allow_nan=False)) == found
        except BadInstance as refusal:
            reason = str(refusal)
    assert not reason or reason.startswith("instances[1].given ")


def test_the_pixels_of_a_request_are_counted_before_any_is_decoded() -> None:
    model, example = fitted("image", FLOAT, [None, 2])
    cut = base64.b64decode(png(2048, 2048))[:100]
    large = {"given": base64.b64encode(cut).decode()}
    with pytest.raises(BadInstance, match=r"instances\[0\].given is a damaged PNG"):
        model.predictions([large] * 8)
    with pytest.raises(BadInstance, match=r"instances\[8\].given brings the images of the request"):
        model.predictions([example, *[large] * 9])


def test_an_instance_that_is_no_object_is_refused() -> None:
    model, example = fitted("number", FLOAT, N)
    for wrong in (1, None, "x", [1]):
        with pytest.raises(BadInstance, match=r"^instances\[1\] is not an object"):
            model.predictions([example, wrong])
