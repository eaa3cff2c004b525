"""Small real ONNX models with their contracts: some that fit, and variants that do not."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from config.model_contract import canonical_json, model_definition, version_of, version_text
from config.model_store import MODEL, Artifact

MODELS = Path(__file__).parents[1] / "models"
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "text": {"max_length": 1000},
    "image": {"max_bytes": 2**20, "maximum": 1.0, "inverted": False},
    "binary": {"threshold": 0.5, "yes": "yes", "no": "no"},
    "multiclass": {"best": 3, "scores": "probabilities"},
}


def contract(
    fields: Mapping[str, Mapping[str, Any]],
    answer: Mapping[str, Any],
    example: Mapping[str, Any],
    name: str = "small",
) -> bytes:
    """A contract document; what model.toml may leave out is filled in."""
    named = [
        {"name": each, "label": each, "required": True, **DEFAULTS.get(spec["type"], {}), **spec}
        for each, spec in fields.items()
    ]
    return canonical_json(
        {
            "name": name,
            "title": "A small model",
            "question": "What comes out?",
            "max_batch": 100,
            "fields": named,
            "answer": {**DEFAULTS.get(answer["kind"], {}), **answer},
            "example": example,
        }
    )


@cache
def flight_contract() -> bytes:
    """The contract of the flight model."""
    return canonical_json(model_definition(MODELS / "flight-delay").document)


def flight() -> dict[str, Any]:
    """The example of the flight model."""
    return dict(json.loads(flight_contract())["example"])


def columns() -> list[dict[str, Any]]:
    """A column for each field of the flight model."""
    reads = {"date": "weekday", "time": "minute", "number": "number", "category": "table"}
    return [
        {
            "name": each["name"],
            "field": each["name"],
            "reads": reads[each["type"]],
            "table": {code: float(place) for place, code in enumerate(each["values"])}
            if "values" in each
            else None,
        }
        for each in json.loads(flight_contract())["fields"]
    ]


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[int | str | None]]],
    outputs: Mapping[str, tuple[int, Sequence[int | str | None]]],
    constants: Mapping[str, Any] | None = None,
    opset: int = 13,
) -> onnx.ModelProto:
    """A model; inputs and outputs with their types and shapes."""
    built = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(name, *form) for name, form in inputs.items()],
        [helper.make_tensor_value_info(name, *form) for name, form in outputs.items()],
        [
            onnx.numpy_helper.from_array(np.asarray(each), name)
            for name, each in (constants or {}).items()
        ],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(built, opset_imports=opsets, ir_version=8)


def model(
    *,
    classes: int = 2,
    columns: Sequence[Mapping[str, Any]] = columns(),
    input_type: int = TensorProto.FLOAT,
    input_columns: int | None = None,
    batch: int | None = None,
    output: str = "probabilities",
    softmax: bool = True,
    before: Sequence[onnx.NodeProto] = (),
    opset: int = 13,
) -> onnx.ModelProto:
    """Softmax of a linear function of columns, in which a missing number counts as zero."""
    width = len(columns) if input_columns is None else input_columns
    weights = np.full((width, classes), 1e-5, dtype=np.float32)
    weights[0] = np.arange(classes)
    nodes = [
        helper.make_node("Cast", ["X"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "x"], ["known"]),
        *before,
        helper.make_node("MatMul", ["known", "W"], ["score" if softmax else output]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["score"], [output], axis=1))
    built = graph(
        nodes,
        {"X": (input_type, [batch, width])},
        {output: (TensorProto.FLOAT, [batch, classes])},
        {"W": weights, "zero": np.float32(0)},
        opset,
    )
    helper.set_model_props(built, {"columns": json.dumps(list(columns))})
    return built


def with_external_weights(location: str) -> onnx.ModelProto:
    """A model whose weights are in another file."""
    built = model()
    weights = built.graph.initializer[0]
    size = len(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(size))):
        weights.external_data.add(key=key, value=value)
    return built


def with_large_table(elements: int) -> onnx.ModelProto:
    """A model that makes a table of so many float32 for an answer."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [elements])
    return model(
        before=[
            helper.make_node("Constant", [], ["size"], value=shape),
            helper.make_node("ConstantOfShape", ["size"], ["large"]),
            helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
            helper.make_node("Add", ["known", "sum"], ["unused"]),
        ]
    )


def mirror(
    inputs: Mapping[str, tuple[int, Sequence[int | str | None]]],
    outputs: Mapping[str, str] | None = None,
) -> bytes:
    """A model whose outputs are its inputs, under the names `seen_<input>` or those in ``outputs``."""
    named = outputs or {each: f"seen_{each}" for each in inputs}
    nodes = [helper.make_node("Identity", [each], [named[each]]) for each in inputs]
    shown = {named[each]: form for each, form in inputs.items()}
    return bytes(graph(nodes, inputs, shown).SerializeToString())


def packed(files: Mapping[str, bytes]) -> bytes:
    """Files as the archive that SageMaker gets."""
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def stored(
    model: bytes,
    store: Path,
    contract: bytes | None = None,
    archived: bytes | None = None,
    name: str = MODEL,
) -> Artifact:
    """A model as a version of a model store."""
    document = flight_contract() if contract is None else contract
    files = {"contract.json": document, "model.onnx": model}
    text = version_text(document, model)
    folder = store / name / version_of(text)
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    (folder / "model.tar.gz").write_bytes(packed(files) if archived is None else archived)
    (folder / "version.txt").write_text(text)
    (folder / "card.json").write_text("{}")
    return Artifact(name=name, version=version_of(text), directory=folder)


def served(folder: Path, model: bytes, contract: bytes) -> Path:
    """A model as a service puts it into a container; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "contract.json").write_bytes(contract)
    return folder
