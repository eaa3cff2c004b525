"""How a request becomes the tensors of a model, read out of its graph and its contract.

1. A model with the metadata ``columns`` has one input ``X``: the rows of numbers that model_server/encoder.py makes.
2. Else each input gets the field of its name.
3. Else the only input gets the only field, whatever its name, or all fields in their order as a matrix.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model_server.contract import Contract, Field
from model_server.defects import Defect
from model_server.encoder import Encoder
from model_server.readings import Rows, reading

Feed = dict[str, NDArray[Any]]
Shape = Sequence[int | str | None]
"""A dimension of any size is None or a text."""

ELEMENTS: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
FITTING = {
    "number": "float or double",
    "integer": "float, double, or an integer type",
    "boolean": "bool, float, double, or an integer type",
    "category": "string, float, double, or an integer type",
    "text": "string",
    "date": "string, float, double, int32 or int64",
    "time": "string, float, double, int32 or int64",
    "timestamp": "string, double or int64",
    "vector": "float, double, or an integer type",
    "image": "float, double, or uint8",
}
"""The types of an input for each type of a field, in words; `model_server.readings.reading` decides."""

COLUMN_READS: Mapping[str, Sequence[str]] = {
    "category": ("table",),
    "boolean": ("boolean",),
    "integer": ("number", "integer"),
    "number": ("number",),
    "date": ("weekday", "ordinal"),
    "time": ("minute",),
    "timestamp": ("timestamp",),
}
"""How a column may read each type of a field."""


class Layout(NamedTuple):
    """The shape of an input."""

    shape: tuple[int, ...]
    """Of one instance: () for one value."""
    transposed: tuple[int, ...] = ()
    """Height, width and channels, when the channels come first."""


@dataclass
class Tensor:
    """One input of the graph, and what is in it."""

    name: str
    rows: Rows
    layout: Layout

    def array(self, instances: Sequence[Any]) -> NDArray[Any]:
        """Raises BadInstance."""
        found = self.rows.of(instances)
        if self.layout.transposed:
            found = found.reshape(-1, *self.layout.transposed).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(found).reshape(len(instances), *self.layout.shape)


class Inputs:
    """The inputs of a graph, and what is wrong with them."""

    def __init__(self, session: onnxruntime.InferenceSession, contract: Contract) -> None:
        self.defects: list[Defect] = []
        self._encoder: Encoder | None = None
        self._tensors: list[Tensor] = []
        graph = session.get_inputs()
        columns = session.get_modelmeta().custom_metadata_map.get("columns")
        fields = {each["name"]: each for each in contract.fields}
        self._images = {name: each for name, each in fields.items() if each["type"] == "image"}
        if columns is not None:
            self.defects += self._columns(graph, columns, fields)
        elif len(graph) == 1 and graph[0].name not in fields:
            only = next(iter(fields.values()))
            whole = (
                self._tensor(graph[0], only) if len(fields) == 1 else self._matrix(graph[0], fields)
            )
            self.defects += whole
        else:
            self.defects += self._named(graph, fields)

    def feed(self, instances: Sequence[Any]) -> Feed:
        """What ONNX Runtime gets. Raises BadInstance, naming the instance, the field and the reason."""
        if self._encoder:
            return {"X": self._encoder.rows(instances)}
        if self._images:
            from model_server.images import (
                Form,
                refuse_too_many_pixels,
            )  # Pillow takes 30 ms to import, so only for images

            forms = {name: Form.of(field) for name, field in self._images.items()}
            refuse_too_many_pixels(forms, instances)
        return {each.name: each.array(instances) for each in self._tensors}

    def _columns(
        self, graph: Sequence[Any], columns: str, fields: Mapping[str, Field]
    ) -> Iterator[Defect]:
        try:
            listed = json.loads(columns)
            self._encoder = Encoder(listed)
            names = [(each["name"], each["field"], each["reads"], each["table"]) for each in listed]
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            found = f"the metadata `columns` cannot be read ({type(error).__name__}: {error})"
            yield Defect("columns", found, "a list of columns, as model_server/encoder.py has them")
            return
        shape = graph[0].shape if len(graph) == 1 else ()
        if [(each.name, each.type) for each in graph] != [("X", "tensor(float)")] or (
            not _is_table(shape, len(names))
        ):
            wanted = f"one, X: tensor(float) of any number of rows and {len(names)} columns"
            yield Defect("inputs", _described(graph), wanted)
        for each in names:
            yield from _column_defects(*each, fields)

    def _named(self, graph: Sequence[Any], fields: Mapping[str, Field]) -> Iterator[Defect]:
        unknown = [each.name for each in graph if each.name not in fields]
        if unknown or not graph:
            found = f"{_described(graph)}; no field is named {' or '.join(unknown) or 'so'}"
            wanted = f"inputs named as fields ({', '.join(fields)}), or one numeric input for all of them"
            yield Defect("inputs", found, wanted)
            return
        for each in graph:
            yield from self._tensor(each, fields[each.name])

    def _tensor(self, given: Any, field: Field) -> Iterator[Defect]:
        """An input for one field."""
        rule, name = f"input {given.name}", field["name"]
        dtype = ELEMENTS.get(given.type)
        found = dtype and reading(field, np.dtype(dtype).kind)
        if not found:
            yield Defect(rule, f"it is {given.type}", _fitting(field, dtype))
            return
        layouts = _layouts(field)
        layout = next((each for each in layouts if _fits(given.shape, each)), None)
        if layout is None:
            wanted = " or ".join(dict.fromkeys(_written(each) for each in layouts))
            yield Defect(
                rule, f"its shape is {given.shape}", f"{wanted} for the {field['type']} {name}"
            )
            return
        self._tensors.append(Tensor(given.name, Rows([found], dtype), layout))

    def _matrix(self, given: Any, fields: Mapping[str, Field]) -> Iterator[Defect]:
        """The only input, for all fields in their order."""
        rule = f"input {given.name}"
        dtype = ELEMENTS.get(given.type)
        kind = np.dtype(dtype).kind if dtype else ""
        if kind not in ("f", "i", "u"):
            wanted = f"a numeric type, or inputs named as fields: {', '.join(fields)}"
            yield Defect(rule, f"it is {given.type}", wanted)
            return
        readings = []
        for name, field in fields.items():
            if found := reading(field, kind):
                readings.append(found)
            else:
                optional = "" if field["required"] else " that may be left out"
                reason = f"it is {given.type}, and {name} is of the type {field['type']}{optional}"
                yield Defect(rule, reason, "numbers for all fields, or an input for each field")
        rows = Rows(readings, dtype)
        if len(readings) == len(fields) and not _is_table(given.shape, rows.width):
            wanted = f"any number of rows and {rows.width} columns, the fields in their order"
            yield Defect(rule, f"its shape is {given.shape}", wanted)
        self._tensors.append(Tensor(given.name, rows, Layout((rows.width,))))


def _fitting(field: Field, dtype: Any) -> str:
    """The types of an input that the field fits, in words."""
    type_, named = field["type"], f"the {field['type']} {field['name']}"
    present = {**field, "required": True}
    if not dtype or not reading(present, np.dtype(dtype).kind):
        return f"{FITTING.get(type_, 'another type of a field')} for {named}"
    instead = "float or double, or " if reading(present, "f") else ""
    return f"{instead}required = true: {named} may be left out, for which only NaN is a sign"


def _described(graph: Sequence[Any]) -> str:
    return ", ".join(f"{each.name}: {each.type} {each.shape}" for each in graph) or "none"


def _is_table(shape: Shape, columns: int) -> bool:
    """Whether a shape can be any number of rows with so many columns."""
    return _fits(shape, Layout((columns,)))


def _fits(shape: Shape, layout: Layout) -> bool:
    """Whether a shape can be any number of instances in this layout."""
    return (
        len(shape) == len(layout.shape) + 1
        and not isinstance(shape[0], int)
        and all(
            size == wanted or not isinstance(size, int)
            for size, wanted in zip(shape[1:], layout.shape, strict=True)
        )
    )


def _written(layout: Layout) -> str:
    return f"[{', '.join(['any number', *map(str, layout.shape)])}]"


def _layouts(field: Field) -> list[Layout]:
    """The shapes that an input for a field may have. Where a graph leaves the sizes open, the first one counts."""
    match field["type"]:
        case "vector":
            return [Layout((field["length"],))]
        case "image":
            height, width = field["height"], field["width"]
            channels = 3 if field["mode"] == "rgb" else 1
            sizes = (height, width, channels)
            plane = [Layout((height, width))] if channels == 1 else []
            first = Layout((channels, height, width), sizes)
            return [first, Layout(sizes), *plane, Layout((height * width * channels,))]
    return [Layout(()), Layout((1,))]


def _column_defects(
    name: str, field: str, reads: str, table: Any, fields: Mapping[str, Field]
) -> Iterator[Defect]:
    """What is wrong with a column: a request that is valid must not be refused by the model."""
    spec, rule = fields.get(field), f"column {name}"
    if spec is None:
        yield Defect(rule, f"it reads the field {field}", f"one of {', '.join(fields)}")
        return
    kind = "table" if table is not None else reads
    allowed = COLUMN_READS.get(spec["type"], ())
    if kind not in allowed:
        wanted = f"{' or '.join(allowed) or 'no column'}: {field} is of the type {spec['type']}"
        yield Defect(rule, f"it reads {field} as {kind}", wanted)
    elif table is not None and (missing := set(spec["values"]) - set(table)):
        some = ", ".join(sorted(missing)[:5])
        found = f"its table lacks {some} ({len(missing)} of {len(spec['values'])})"
        yield Defect(rule, found, f"a number for each value of {field}")
    elif kind != "number" and not spec["required"]:
        yield Defect(rule, f"{field} may be left out", "a column that reads a number")
