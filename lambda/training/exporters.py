"""Trained models as ONNX, by each library's own converter, in a form that the contract's fields fit.

`largest_difference` compares the answers of the exported model, on the model server's inputs, with those of the original.
The packages of a library are imported by the function that exports its models:

- scikit-learn: skl2onnx, which every training has
- XGBoost and LightGBM: onnxmltools
- PyTorch: torch and onnxscript

They go into the model's own requirements.txt, with onnx, onnxruntime and numpy (docs/how-to/train-a-model.md).
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from model_server import answers
from model_server.contract import Contract as Document
from model_server.defects import BadInstance
from model_server.inputs import Inputs
from model_server.readings import Reading, Rows, reading
from numpy.typing import NDArray

from training.interface import Contract, DoesNotFit

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("category", "text")
OPSETS = {"": 21, "ai.onnx.ml": 3}
INPUT = "X"
"""The only input of a model that gets all fields as a matrix."""


class DifferentAnswers(DoesNotFit):
    """The exported model does not answer as the original does."""


def columns(contract: Contract, instances: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Instances as a table of what a model with an input for each field gets: `from_sklearn` exports such a one.

    Codes and texts stay as they are. A date is the days since 1970, a time the minutes since midnight, a timestamp the
    seconds since 1970; a missing number is NaN. Raises DoesNotFit for an instance that the contract does not allow.
    """
    import pandas as pd

    rows = list(_without_nan(instances))
    table = {}
    for spec in contract.document["fields"]:
        kind: Any = np.object_ if spec["type"] in TEXTS else np.float64
        found = reading(spec, np.dtype(kind).kind)
        if found is None or found.width != 1:
            raise DoesNotFit(f"the {spec['type']} {spec['name']} is no column; see matrix()")
        table[spec["name"]] = _rows([found], kind, rows)[:, 0]
    return pd.DataFrame(table)


def matrix(contract: Contract, instances: Iterable[Mapping[str, Any]]) -> NDArray[np.float32]:
    """Instances as rows of numbers, all fields side by side in their order: what a model with the one input ``X`` gets.

    As `columns`, but a code is its position among the values of its category, and a vector or an image takes as many
    columns as it has numbers. Texts have no numbers.
    """
    readings = [reading(spec, "f") for spec in contract.document["fields"]]
    if missing := [
        spec["name"]
        for spec, found in zip(contract.document["fields"], readings, strict=True)
        if found is None
    ]:
        raise DoesNotFit(f"there are no numbers for {', '.join(missing)}")
    return _rows([each for each in readings if each], np.float32, list(_without_nan(instances)))


def _rows(
    readings: Sequence[Reading], kind: Any, rows: Sequence[Mapping[str, Any]]
) -> NDArray[Any]:
    """Instances of the training's data as the model server reads those of a request."""
    try:
        return Rows(readings, kind).of(rows)
    except BadInstance as error:
        raise DoesNotFit(
            f"the data has an instance that the contract does not allow: {error}"
        ) from None


def _without_nan(instances: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """A missing value of pandas is NaN, that of a request is none."""
    for each in instances:
        yield {
            name: value
            for name, value in each.items()
            if not (isinstance(value, float) and math.isnan(value))
        }


def from_sklearn(model: Any, contract: Contract) -> bytes:
    """A model or pipeline of scikit-learn that was fitted on `columns`."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    def tensor(kind: str) -> Any:
        if kind in TEXTS:
            return StringTensorType([None, 1])
        # float32 has no seconds since 1970: it would be two minutes off.
        return DoubleTensorType([None, 1]) if kind == "timestamp" else FloatTensorType([None, 1])

    graph = to_onnx(
        model,
        initial_types=[(name, tensor(field.type)) for name, field in contract.fields.items()],
        name=contract.name,
        options={"zipmap": False} if hasattr(model, "predict_proba") else None,
        target_opset=OPSETS,
    )
    return finished(graph)


def from_xgboost(model: Any, contract: Contract) -> bytes:
    """A model of XGBoost that was fitted on `matrix`."""
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [(INPUT, FloatTensorType([None, _width(contract)]))]
    return finished(convert_xgboost(model, contract.name, types, target_opset=_common_opset()))


def from_lightgbm(model: Any, contract: Contract) -> bytes:
    """A model of LightGBM that was fitted on `matrix`, a classifier with labels that are numbers or texts."""
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    if np.asarray(getattr(model, "classes_", 0)).dtype == np.bool_:
        raise DoesNotFit("onnxmltools takes no truth values as labels: fit the model on 0 and 1")
    types = [(INPUT, FloatTensorType([None, _width(contract)]))]
    return finished(
        convert_lightgbm(model, contract.name, types, target_opset=_common_opset(), zipmap=False)
    )


def from_torch(module: Any, example: Any, name: str = INPUT) -> bytes:
    """A module of PyTorch with one tensor in and one out. ``example`` is a tensor of two instances or more.

    ``name`` is the graph's input: the field that it gets, or ``X`` for all fields as `matrix`.
    """
    import torch

    content = io.BytesIO()
    program = torch.onnx.export(
        module.eval(),
        (example,),
        input_names=[name],
        output_names=["output"],
        dynamic_shapes=({0: torch.export.Dim("instances")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    program.save(content, external_data=False)
    return finished(onnx.load_from_string(content.getvalue()))


def _width(contract: Contract) -> int:
    """The columns of `matrix`."""
    readings = [reading(spec, "f") for spec in contract.document["fields"]]
    return sum(each.width for each in readings if each)


def _common_opset() -> int:
    """The newest opset that the converter and the runtime both have."""
    from onnxmltools.convert.common.onnx_ex import get_maximum_opset_supported

    return min(OPSETS[""], int(get_maximum_opset_supported()))


def finished(graph: onnx.ModelProto) -> bytes:
    """The bytes of a model, the same each time; without a classifier's output of labels, which the contract has."""
    outputs = list(graph.graph.output)
    probabilities = [each for each in outputs if each.name == "probabilities"]
    if probabilities:
        del graph.graph.output[:]
        graph.graph.output.extend(probabilities)
    # skl2onnx collects them in a set, whose order is another one in each process.
    opsets = sorted(graph.opset_import, key=lambda each: each.domain)
    del graph.opset_import[:]
    graph.opset_import.extend(opsets)
    # PyTorch notes which line of which file on this machine made a node.
    for part in (graph.graph, *graph.graph.node, *graph.graph.initializer, *graph.graph.value_info):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    onnx.checker.check_model(graph)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def largest_difference(
    model: bytes,
    contract: Contract,
    instances: Sequence[Mapping[str, Any]],
    expected: Any,
    tolerance: float = 1e-4,
) -> float:
    """How far the exported model's answers are from those of the original, relative to them where they are above 1.

    The exported model is asked as the model server asks it. ``expected``: the probability of yes, or of each class, or
    the value, for each instance. Raises DifferentAnswers beyond the tolerance.
    """
    session = onnxruntime.InferenceSession(model)
    document = Document.read(json.dumps(contract.document).encode())
    inputs = Inputs(session, document)
    answer = answers.KINDS[document.answer["kind"]](document.answer, session.get_outputs())
    if defects := [*inputs.defects, *answer.defects]:
        raise DifferentAnswers(
            "the exported model cannot answer as the contract says:\n"
            + "\n".join(
                f"  {each.rule}: {each.found}\n      Wanted: {each.wanted}." for each in defects
            )
        )
    rows = list(_without_nan(instances))
    found = np.asarray(session.run(answer.names, inputs.feed(rows))[0], np.float64)
    wanted = np.asarray(expected, np.float64)
    if wanted.ndim == 1:
        found = found.reshape(len(wanted), -1)[:, -1]
    if found.shape != wanted.shape:
        raise DifferentAnswers(
            f"the exported model's answers have the shape {list(found.shape)}, the original's {list(wanted.shape)}"
        )
    difference = np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))
    worst = float(difference.max())
    if not worst <= tolerance:
        index = int(np.nanargmax(difference.reshape(len(wanted), -1).max(axis=1)))
        raise DifferentAnswers(
            f"the exported model answers {found[index].tolist()} where the original answers {wanted[index].tolist()}"
            f" (instance {index}); {tolerance} is allowed"
        )
    return worst
