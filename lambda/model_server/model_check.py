"""Whether an artifact is a model that the platform can serve: the artifact held against a contract.

``python -m model_server.model_check MODEL CONTRACT`` prints what is wrong as JSON. It is a process of its own because an
artifact is not trusted: memory and time have limits, and the empty working directory has no file that could be taken for
the model's weights.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from model_server.encoder import Column, Encoder

READS = {"category": "table", "date": "weekday", "time": "minute", "number": "number"}
"""How the encoder reads each type of a field."""

SUM_TOLERANCE = 1e-3
"""How far the probabilities of one instance may be from 1 together: they are float32."""


@dataclass(frozen=True)
class Contract:
    """What the gateway sends and expects, as data."""

    fields: Sequence[Mapping[str, Any]] = ()
    """The fields of an instance, as in features.json; without them only the model's own columns count."""
    example: Mapping[str, Any] | None = None
    input: str = "X"
    output: str = "probabilities"
    classes: int = 2
    """The probabilities of no and of yes."""
    memory_mib: int = 2048
    """For loading the model and for an answer: what AWS's serverless endpoint has (components/aws/model_endpoint.py)."""
    cpu_seconds: int = 60
    """For the same. SageMaker ends an invocation after 60 s:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""


@dataclass(frozen=True)
class Defect:
    """One rule that a model breaks."""

    rule: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.found}. Wanted: {self.wanted}"


class UnfitModel(Exception):
    """The model breaks the contract; the message has a line for each rule."""

    def __init__(self, defects: Sequence[Defect]) -> None:
        super().__init__("\n".join(map(str, defects)))
        self.defects = defects


def session(content: bytes) -> onnxruntime.InferenceSession:
    """The model, loaded. Raises UnfitModel."""
    options = onnxruntime.SessionOptions()
    # One prediction takes microseconds: other threads would only add time.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class of its own
        raise UnfitModel([_unloadable(str(error))]) from error


def _unloadable(reason: str) -> Defect:
    found = f"ONNX Runtime {onnxruntime.__version__} says: {_shortened(reason)}"
    if "xternal data" in reason or "external_data" in reason:
        wanted = "the weights inside model.onnx, the only file that is uploaded (onnx.save with save_as_external_data=False)"
        return Defect("one file", found, wanted)
    if "protobuf" in reason.lower():
        return Defect("format", found, "a whole ONNX file")
    return Defect("runtime", found, "operators and opsets that this version has")


def _shortened(reason: str) -> str:
    """The reason in one line."""
    text = " ".join(reason.split()).rstrip(".")
    return text if len(text) <= 400 else text[:399] + "…"


def refuse_unfit(loaded: onnxruntime.InferenceSession, contract: Contract) -> list[Column]:
    """The model's columns. Raises UnfitModel with all rules of the contract that it breaks."""
    try:
        columns: list[Column] = json.loads(loaded.get_modelmeta().custom_metadata_map["columns"])
        encoder = Encoder(columns)
        fields = [(each["name"], each["field"], each["reads"], each["table"]) for each in columns]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        found = f"the metadata `columns` cannot be read ({type(error).__name__}: {error})"
        raise UnfitModel(
            [Defect("columns", found, "the list of columns that model_server.train writes")]
        ) from error
    defects = [
        *_signature(loaded, contract, len(fields)),
        *(_columns(fields, contract) if contract.fields else ()),
    ]
    # A model of another form, or of other columns, cannot be asked about the example.
    defects = defects or list(_answers(loaded, encoder, contract, columns))
    if defects:
        raise UnfitModel(defects)
    return columns


def _signature(
    loaded: onnxruntime.InferenceSession, contract: Contract, columns: int
) -> Iterator[Defect]:
    """What is wrong with names, types and shapes."""
    wanted = f"one, {contract.input}: tensor(float) of any number of rows and {columns} columns"
    inputs = loaded.get_inputs()
    found = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs)
    if [(each.name, each.type) for each in inputs] != [(contract.input, "tensor(float)")] or (
        not _is_table(inputs[0].shape, columns)
    ):
        yield Defect("inputs", found or "none", wanted)
    outputs = {each.name: each for each in loaded.get_outputs()}
    output = outputs.get(contract.output)
    wanted = f"{contract.output}: tensor(float) of {contract.classes} columns, a probability for each class"
    if output is None:
        yield Defect("outputs", ", ".join(outputs) or "none", wanted)
    elif output.type not in ("tensor(float)", "tensor(double)") or not _is_table(
        output.shape, contract.classes
    ):
        yield Defect("outputs", f"{output.name}: {output.type} {output.shape}", wanted)


def _is_table(shape: Sequence[object], columns: int) -> bool:
    """Whether a shape can be any number of rows with so many columns. An unknown size is None, or a text."""
    return (
        len(shape) == 2
        and not isinstance(shape[0], int)
        and (shape[1] == columns or not isinstance(shape[1], int))
    )


def _columns(fields: Sequence[tuple[str, str, str, Any]], contract: Contract) -> Iterator[Defect]:
    """What is wrong with the columns: a request that is valid must not be refused by the model."""
    known = {each["name"]: each for each in contract.fields}
    for name, field, reads, table in fields:
        spec, rule = known.get(field), f"column {name}"
        if spec is None:
            yield Defect(rule, f"it reads the field {field}", f"one of {', '.join(known)}")
            continue
        kind = "table" if table is not None else reads
        if kind != READS[spec["type"]]:
            wanted = f"{READS[spec['type']]}: {field} is of the type {spec['type']}"
            yield Defect(rule, f"it reads {field} as {kind}", wanted)
        elif table is not None and (missing := set(spec["values"]) - set(table)):
            found = f"its table lacks {', '.join(sorted(missing)[:5])} ({len(missing)} of {len(spec['values'])})"
            yield Defect(rule, found, f"a number for each value of {field}")
        elif kind != "number" and not spec["required"]:
            yield Defect(rule, f"{field} may be left out", "a column that reads a number")


def _answers(
    loaded: onnxruntime.InferenceSession,
    encoder: Encoder,
    contract: Contract,
    columns: Sequence[Column],
) -> Iterator[Defect]:
    """What is wrong with the answers: to the example, and to the same without what may be left out."""
    example = contract.example or _made_up(columns)
    required = {each["name"] for each in contract.fields if each["required"]} or {
        each["field"] for each in columns if each["reads"] != "number" or each["table"]
    }
    bare = {name: value for name, value in example.items() if name in required}
    wanted = (
        f"{contract.classes} finite probabilities from 0 to 1 for each instance, which add up to 1"
    )
    for name, instance in (("the example", example), ("the example's required fields", bare)):
        rule = f"answer to {name}"
        try:
            rows = encoder.rows([instance, instance])
            answer = loaded.run([contract.output], {contract.input: rows})[0]
        except Exception as error:  # as above, and MemoryError
            rule = "memory" if "allocate" in str(error) or isinstance(error, MemoryError) else rule
            limit = f"an answer within {contract.memory_mib} MiB" if rule == "memory" else wanted
            yield Defect(rule, _shortened(str(error)) or type(error).__name__, limit)
            return
        if answer.shape != (2, contract.classes):
            yield Defect(rule, f"for two instances the shape {list(answer.shape)}", wanted)
        elif (
            not np.isfinite(answer).all()
            or ((answer < 0) | (answer > 1)).any()
            or (np.abs(answer.sum(axis=1) - 1) > SUM_TOLERANCE).any()
        ):
            yield Defect(rule, f"it is {answer[0].tolist()}", wanted)


def _made_up(columns: Sequence[Column]) -> dict[str, Any]:
    """An instance with a value for each field that the columns read: the server has no example."""
    values = {"number": 0.0, "weekday": "2013-01-01", "minute": "12:00"}
    return {
        each["field"]: next(iter(each["table"])) if each["table"] else values[each["reads"]]
        for each in columns
    }


def main() -> None:
    """Print ``{"defects": [...]}`` for a model and a contract, both files."""
    model, document = map(Path, sys.argv[1:3])
    contract = Contract(**json.loads(document.read_bytes()))
    # Not every system has these limits (macOS has none for the address space).
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (contract.memory_mib * 2**20,) * 2)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (contract.cpu_seconds, contract.cpu_seconds + 5))
    defects: Sequence[Defect] = ()
    try:
        refuse_unfit(session(model.read_bytes()), contract)
    except UnfitModel as error:
        defects = error.defects
    print(json.dumps({"defects": [vars(each) for each in defects]}))


if __name__ == "__main__":
    main()
