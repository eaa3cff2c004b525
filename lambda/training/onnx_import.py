"""A contract drafted from the graph of an ONNX file, and the folder with both.

The graph has names, types and shapes, and not their meaning: the drafted model.toml marks with `TODO` what a person has to
fill in.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import pulumi
from google.protobuf.message import DecodeError
from model_server.model import Model
from onnx import TensorProto

from config.messages import printable
from config.model_check import refuse_unfit_models
from config.model_contract import MAX_CODES, MAX_FIELDS, MAX_LENGTH, canonical_json
from config.model_store import Artifact
from training import new_folder
from training.new_folder import Refused
from training.runs import reasons
from training.store import ModelStore

MAX_BYTES = 2**31 - 1
"""What a file of protobuf can have: https://protobuf.dev/programming-guides/proto-limits/"""
SHOWN = ("kind", "output", "scores")
"""The lines of an answer by which a person knows it."""
LISTED = 20
"""So many inputs, and outputs, are listed."""
MAX_DRAFT = 2**20
"""Characters of a drafted model.toml, four times what its contract.json may have in bytes."""
NUMBERS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16}
INTEGERS = {
    TensorProto.INT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
}
DATA = '''"""No data: the model was trained elsewhere, and model.onnx is what came of it."""

from __future__ import annotations

from pathlib import Path

from training.interface import Contract


def load(contract: Contract) -> bytes:
    """The file."""
    return Path(__file__).with_name("model.onnx").read_bytes()
'''
TRAIN = '''"""Hands model.onnx over as it is."""

from __future__ import annotations

from training.interface import Contract, Settings, Trained


def train(data: bytes, contract: Contract, settings: Settings) -> Trained:
    """TODO: what is known of how good it is, of its data and of the simplest answer, for its card."""
    return Trained(model=data, metrics={}, card={"data": {"source": "trained elsewhere"}})
'''


@dataclass
class Tensor:
    """An input or output of the graph. A size that is open is None."""

    name: str
    element: int
    shape: list[int | None] | None
    """None for what is no tensor, such as a list of mappings."""

    def __str__(self) -> str:
        name = printable(self.name[:100])
        if self.shape is None:
            return f"{name}: a list of mappings"
        sizes = ["?" if size is None else str(size) for size in self.shape[:10]]
        sizes += ["…"] if len(self.shape) > 10 else []
        known = self.element in TensorProto.DataType.values()
        element = TensorProto.DataType.Name(self.element).lower() if known else "unknown type"
        return f"{name}: {element} [{', '.join(sizes)}]"


@dataclass
class Draft:
    """A contract that is being drafted: the lines of model.toml, and what a person has to fill in."""

    fields: list[str] = field(default_factory=list)
    example: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)


def imported(name: str, file: Path, models: Path, store: ModelStore) -> str:
    """Write models/<name>/ with the file and a drafted contract; returns what was read and what to do next.

    Raises Refused; then there is no folder.
    """
    new_folder.refuse_taken(name, models)
    content, graph = _read(file)
    inputs, outputs = _tensors(graph.graph)
    listed = "".join(_listed("input", inputs) + _listed("output", outputs))
    if len(inputs) > MAX_FIELDS:
        raise Refused(f"{file} was read:\n{listed}A contract may have {MAX_FIELDS} fields.")
    passed_over: list[str] = []
    for answer in _answers(graph, outputs):
        draft = Draft(answer=answer)
        if columns := _columns(graph):
            _draft_columns(columns, draft)
        else:
            for each in inputs:
                _draft_field(each, draft)
        text = _toml(name, draft)
        if len(text) > MAX_DRAFT:
            reason = (
                f"the contract would have {len(text):,} characters, and {MAX_DRAFT:,} are allowed."
            )
            raise Refused(f"{file} was read:\n{listed}{reason}")
        try:
            answered = _tried(name, text, content, store)
        except Refused as error:
            shown = [each.partition(" #")[0] for each in answer if each.startswith(SHOWN)]
            reason = "\n".join(f"  {printable(each)}" for each in error.reason.splitlines() if each)
            passed_over.append(f"Passed over: {', '.join(shown)}, because:\n{reason}\n")
            continue
        texts = {"model.toml": text, "data.py": DATA, "train.py": TRAIN}
        written = {part: each.encode() for part, each in texts.items()}
        new_folder.write(name, models, {**written, "model.onnx": content})
        places = new_folder.open_places(models / name)
        counted = ", ".join(f"{count} in {part}" for part, count in places.items())
        return (
            f"{file} was read:\n{listed}{''.join(passed_over)}"
            f"The drafted example was answered: {answered}\n"
            f"models/{name}/ has {sum(places.values())} places marked TODO, which no graph says: {counted}. Fill them in first.\n"
            f"{new_folder.next_steps(name)}"
        )
    reason = "".join(passed_over) or "No output is numbers that an answer could have.\n"
    raise Refused(f"{file} was read:\n{listed}{reason.rstrip()}")


def _listed(word: str, tensors: Sequence[Tensor]) -> list[str]:
    """Inputs or outputs, a line each."""
    more = [f"  and {len(tensors) - LISTED} more\n"] if len(tensors) > LISTED else []
    return [f"  {word} {each}\n" for each in tensors[:LISTED]] + more


def _quoted(value: str | Sequence[str]) -> str:
    """A text, or a list of texts, as TOML writes it. Raises Refused."""
    # JSON leaves DEL as it is. Its pairs of surrogates are no TOML, so everything else is written as it is.
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(
            f"{printable(text[:100])}: half of a character, which no file can have."
        ) from None
    return text


def _white(side: int) -> str:
    """A white PNG in base64: https://www.w3.org/TR/png-3/"""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * side) * side, 9)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


WHITE = _white(8)
"""The model server brings it to the size that a model wants, which nothing here needs to trust."""


def _read(file: Path) -> tuple[bytes, onnx.ModelProto]:
    """The file, and the model in it. Nothing of it is run. Raises Refused."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise Refused(f"FILE={file}: it has more than 2 GiB, which no ONNX file can have.")
        content = file.read_bytes()
    except OSError as error:
        raise Refused(f"FILE={file}: it cannot be read: {error.strerror}.") from None
    try:
        graph = onnx.load_model_from_string(content)
    except (DecodeError, ValueError):
        graph = onnx.ModelProto()
    if not graph.graph.node:
        raise Refused(
            f"FILE={file}: no ONNX file, or only a part of one. A model of scikit-learn, XGBoost, LightGBM or PyTorch becomes one by"
            " the exporters (docs/how-to/train-a-model.md). What no exporter takes is served by an image of its own, which"
            " image: below triplane:models names (docs/reference/container.md)."
        )
    return content, graph


def _tensors(graph: onnx.GraphProto) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs. Old files list their weights among the inputs."""
    weights = {each.name for each in graph.initializer}

    def tensor(value: onnx.ValueInfoProto) -> Tensor:
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            return Tensor(value.name, 0, None)
        sizes = [each.dim_value if each.HasField("dim_value") else None for each in kind.shape.dim]
        return Tensor(value.name, kind.elem_type, sizes if kind.HasField("shape") else [None])

    inputs = [tensor(each) for each in graph.input if each.name not in weights]
    return inputs, [tensor(each) for each in graph.output]


def _draft_field(tensor: Tensor, draft: Draft) -> None:
    """Add the field that an input gets, and its value in the example. Raises Refused."""
    shape = tensor.shape
    if shape is None or not shape:
        raise Refused(f"input {tensor}: no tensor of instances, which a request could fill.")
    if shape[0] is not None:
        raise Refused(
            f"input {tensor}: its first size is fixed to {shape[0]}, so it takes that many instances at a time and no other number. Export the model again with a first"
            " dimension of any size."
        )
    kind, lines, value = _kind(tensor, shape[1:])
    _draft(tensor.name, kind, lines, value, draft)


def _draft(name: str, kind: str, lines: Sequence[str], value: str, draft: Draft) -> None:
    """Add a field and its value in the example."""
    key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)
    label = f"label = {_quoted(name[:100])} # TODO: what a person calls it"
    draft.fields += [f"[fields.{key}]", f'type = "{kind}"', label, *lines, ""]
    draft.example.append(f"{key} = {value} # TODO: a real one")


def _columns(graph: onnx.ModelProto) -> list[Mapping[str, Any]]:
    """The columns that a model of this platform has in its metadata."""
    for entry in graph.metadata_props:
        if entry.key == "columns":
            try:
                found = json.loads(entry.value)
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, list) or not all(map(_is_column, found)):
                wanted = "a list of columns, as lambda/model_server/encoder.py has them, is needed"
                raise Refused(f"the metadata `columns` cannot be read: {wanted}.")
            return found
    return []


def _is_column(value: object) -> bool:
    """Whether this is what model_server.encoder.Column describes."""
    match value:
        case {"name": str(), "field": str(field), "reads": str(reads), "table": None} if field:
            return reads in COLUMN_KINDS
        case {"name": str(), "field": str(field), "reads": "table", "table": dict(table)} if field:
            return bool(table)
    return False


COLUMN_KINDS = {
    "boolean": ("boolean", "false"),
    "integer": ("integer", "0"),
    "number": ("number", "0.0"),
    "weekday": ("date", '"2026-01-01"'),
    "ordinal": ("date", '"2026-01-01"'),
    "minute": ("time", '"12:00"'),
    "timestamp": ("timestamp", '"2026-01-01T12:00:00Z"'),
}
"""The type of a field by how a column reads it, and a value."""


def _draft_columns(columns: Sequence[Mapping[str, Any]], draft: Draft) -> None:
    """Add the fields that the columns read."""
    for name, column in {each["field"]: each for each in columns}.items():
        if column["table"]:
            codes = list(column["table"])
            hint = f'values = {_quoted(codes)} # TODO: labels: {{code = "label"}}'
            _draft(name, "category", [hint], _quoted(codes[0]), draft)
        else:
            kind, value = COLUMN_KINDS[column["reads"]]
            optional = ["required = false"] if kind == "number" else []
            _draft(name, kind, optional, value, draft)


def _kind(tensor: Tensor, sizes: Sequence[int | None]) -> tuple[str, list[str], str]:
    """The type of the field, its other lines, and a value."""
    number = tensor.element in NUMBERS
    match list(sizes):
        case [] | [1]:
            if tensor.element == TensorProto.STRING:
                hint = '# TODO: a text of few values is better a category: values = ["one", "two"]'
                return "text", [hint], '"text"'
            if tensor.element == TensorProto.BOOL:
                return "boolean", [], "false"
            limits = ["# TODO: minimum, maximum, unit"]
            if number:
                return "number", limits, "0.0"
            if tensor.element in INTEGERS:
                return "integer", limits, "0"
        case [int(length)] if length > MAX_LENGTH:
            raise Refused(f"input {tensor}: a vector may have {MAX_LENGTH:,} numbers.")
        case [int(length)] if number or tensor.element in INTEGERS:
            hint = (
                "# TODO: one field for each number is better on a page: a table for each, in their order, none named"
                f" {printable(tensor.name[:100])}"
            )
            return "vector", [f"length = {length}", hint], f"[{', '.join(['0'] * length)}]"
        case [1 | 3 as channels, int(height), int(width)] | [
            int(height),
            int(width),
            1 | 3 as channels,
        ] if number or tensor.element == TensorProto.UINT8:
            mode = "rgb" if channels == 3 else "grayscale"
            lines = [f"width = {width}", f"height = {height}", f'mode = "{mode}"']
            lines.append("maximum = 1.0 # TODO: the value of white: 1.0, 255 …")
            lines.append(
                "# TODO: inverted = true, when pictures are dark on light and the model wants light on dark"
            )
            return "image", lines, _quoted(WHITE)
        case [int(height), int(width)] if number:
            lines = [f"width = {width}", f"height = {height}", 'mode = "grayscale"']
            return (
                "image",
                [*lines, "maximum = 1.0 # TODO: the value of white: 1.0, 255 …"],
                _quoted(WHITE),
            )
    raise Refused(
        f"input {tensor}: no field has this type and shape. Possible: [?] or [?, 1] of numbers, truth values or texts;"
        " [?, length] of numbers; [?, 1 or 3, height, width] or [?, height, width, 1 or 3] for images."
    )


def _answers(graph: onnx.ModelProto, outputs: Sequence[Tensor]) -> Iterator[list[str]]:
    """The answers that the outputs can be, the likeliest first."""
    tables = [each for each in outputs if each.shape is None or each.element in NUMBERS]
    chosen = next(
        (each for each in tables if each.name in ("probabilities", "output_probability")), None
    )
    chosen = chosen or next((each for each in tables if each.shape and len(each.shape) == 2), None)
    chosen = chosen or (tables[0] if len(tables) == 1 else None)
    todo = "better binary, multiclass or regression, if it is one"
    if chosen is not None:
        name = f"output = {_quoted(chosen.name)}"
        words = 'name = "answer" # TODO: the name of the answer in JSON'
        width = chosen.shape[1] if chosen.shape and len(chosen.shape) == 2 else None
        labels = _labels(graph)
        count = len(labels) if chosen.shape is None or (width is None and labels) else width
        if count == 2:
            yield [
                'kind = "binary"',
                words,
                name,
                'yes = "yes" # TODO',
                'no = "no" # TODO',
                "threshold = 0.5",
            ]
        if count and count > MAX_CODES:
            todo = f"{printable(chosen.name[:100])} has {count:,} columns, and classes may be {MAX_CODES:,}"
        elif count and count > 2:
            codes = labels if len(labels) == count else [str(each) for each in range(count)]
            classes = f"classes = {_quoted(codes)} # TODO: what the classes are called"
            for scores in ("probabilities", "logits"):
                yield ['kind = "multiclass"', words, name, classes, f'scores = "{scores}"']
        if chosen.shape is not None and (len(chosen.shape) == 1 or width == 1):
            yield ['kind = "regression"', words, name, "# TODO: unit"]
    tensors = [
        each.name
        for each in outputs
        if each.shape is not None and each.element in NUMBERS | INTEGERS
    ]
    if tensors or chosen is None:
        yield [
            f'kind = "tensors" # TODO: {todo}',
            f"outputs = {_quoted(tensors)}",
        ]


def _labels(graph: onnx.ModelProto) -> list[str]:
    """The classes that a classifier of ONNX's ML operators names."""
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name.startswith(("classlabels_", "classlabels_int64s")):
                found = [each.decode("utf-8", "replace") for each in attribute.strings]
                if labels := found or [str(each) for each in attribute.ints]:
                    return labels
    return []


def _toml(name: str, draft: Draft) -> str:
    title = name.replace("-", " ").capitalize()
    lines = [
        "# Drafted from the graph of model.onnx. Every key: docs/reference/model-contract.md",
        f"title = {_quoted(title)} # TODO",
        'question = "What does this model answer?" # TODO',
        "",
        *draft.fields,
        "[answer]",
        *draft.answer,
        "",
        "# TODO: a real request, which has to work: the page shows it, the smoke test and the load gate send it.",
        "[example]",
        *draft.example,
    ]
    return "\n".join(lines) + "\n"


def _tried(name: str, text: str, content: bytes, store: ModelStore) -> Mapping[str, Any]:
    """The answer to the drafted example, from a process with limits. Raises Refused."""
    with tempfile.TemporaryDirectory(prefix="triplane-import-") as parent:
        folder = Path(parent) / name
        folder.mkdir()
        (folder / "model.toml").write_text(text, "utf-8")
        document = new_folder.definition(folder).document
    contract = canonical_json(document)
    with store.draft(name, contract, content) as (version, draft):
        try:
            refuse_unfit_models([Artifact(name=name, version=version, directory=draft)])
        except pulumi.RunError as error:
            raise Refused(reasons(error)) from None
    # It loaded and answered within the limits of the check.
    (answer,) = Model(content, contract).predictions([document["example"]])
    return answer
