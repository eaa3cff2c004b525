"""Small real ONNX models: one that fits the contract of the flight model, and variants that do not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from model_server import train
from model_server.store import archive
from onnx import TensorProto, helper

from config.model_store import MODEL, Artifact


def model(
    *,
    classes: int = 2,
    columns: Sequence[Mapping[str, Any]] | None = None,
    input_type: int = TensorProto.FLOAT,
    input_columns: int | None = None,
    batch: int | None = None,
    output: str = "probabilities",
    softmax: bool = True,
    before: Sequence[onnx.NodeProto] = (),
    opset: int = 13,
) -> onnx.ModelProto:
    """Softmax of a linear function, in which a missing number counts as zero."""
    columns = train.columns() if columns is None else columns
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
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("X", input_type, [batch, width])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, classes])],
        [
            helper.make_tensor("W", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        ],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
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


REDUCTIONS = ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceL1", "ReduceL2")


def with_large_table(elements: int) -> onnx.ModelProto:
    """A model that makes a table of so many float32 for an answer, and reads it several times."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [elements])
    return model(
        before=[
            helper.make_node("Constant", [], ["size"], value=shape),
            helper.make_node("ConstantOfShape", ["size"], ["large"]),
            *(helper.make_node(name, ["large"], [name], keepdims=0) for name in REDUCTIONS),
            helper.make_node("Sum", ["known", *REDUCTIONS], ["unused"]),
        ]
    )


def stored(content: bytes, store: Path, archived: bytes | None = None) -> Artifact:
    """A model as a version of a model store."""
    version = hashlib.sha256(content).hexdigest()
    folder = store / MODEL / version
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "model.tar.gz").write_bytes(archive(content) if archived is None else archived)
    (folder / "card.json").write_text("{}")
    return Artifact(name=MODEL, version=version, directory=folder)
