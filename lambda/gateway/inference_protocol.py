"""The Open Inference Protocol, version 2, as its clients speak it, with the extension for binary tensors.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

Each field of a contract is an input, and each part of an answer an output. The first dimension is the instances.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway import fields, images
from gateway.contract import Contract
from gateway.http import Answer, Refusal, Request, bytes_answer, json_answer, parsed
from gateway.json_text import json_text
from gateway.predictor import EndpointUnavailable, Prediction

HEADER_LENGTH = "inference-header-content-length"
MEDIA_TYPES = ("application/json", "application/octet-stream", "")
"""The protocol names none; tritonclient sends none for JSON."""
FORMATS = {"FP64": "d", "FP32": "f", "INT64": "q", "INT32": "i", "BOOL": "?"}
"""The characters of `struct`, little-endian."""
INPUTS: Mapping[str, tuple[str, ...]] = {
    "number": ("FP64", "FP32"),
    "integer": ("INT64", "INT32"),
    "boolean": ("BOOL",),
    "vector": ("FP64", "FP32"),
}
"""The datatypes of a field's type, the first as the metadata names it; BYTES for all others."""
TEXTS = ("BYTES",)


@dataclass(frozen=True)
class Input:
    """One tensor of a request."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any]
    """Flat."""


@dataclass(frozen=True)
class InferRequest:
    """An inference request."""

    id: str | None
    inputs: list[Input]
    outputs: Mapping[str, bool | None] | None
    """The wanted outputs, and whether each is wanted in binary; None: all."""
    binary: bool
    """Whether outputs that say nothing are wanted in binary."""

    @classmethod
    def read(cls, request: Request) -> InferRequest:
        """The request in a body. Raises `Refusal`."""
        if request.media_type not in MEDIA_TYPES:
            message = "Send JSON, or JSON with binary tensors behind it."
            raise Refusal(415, "unsupported_media_type", message)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refusal(415, "unsupported_media_type", "Send the body without compression.")
        head, tail = _parts(request)
        content = _object(parsed(head), "the body")
        inputs = _list(content.get("inputs"), "inputs")
        given = _Binary(tail)
        found = [_input(_object(each, "an input"), given) for each in inputs]
        given.refuse_rest()
        names = [each.name for each in found]
        if len(set(names)) < len(names):
            raise _malformed("an input is given twice")
        id_ = content.get("id")
        if id_ is not None and not isinstance(id_, str):
            raise _malformed("id must be a string")
        parameters = _parameters(content)
        return cls(id_, found, _outputs(content), parameters.get("binary_data_output") is True)

    def body(self, contract: Contract) -> object:
        """The instances, by the fields of a contract. Raises `Refusal`."""
        for each in self.inputs:
            if each.name not in contract.fields:
                near = fields.similar(each.name, contract.fields, count=1)
                hint = f"did you mean {near[0]}?" if near else "GET the model for its inputs"
                raise _malformed(f"there is no input {each.name[:60]}; {hint}")
        unknown = [name for name in self.outputs or () if name not in _output_names(contract)]
        if unknown and _output_names(contract):
            raise _malformed(f"there is no output {unknown[0][:60]}")
        counts = {each.shape[0] for each in self.inputs}
        if len(counts) > 1:
            raise _malformed("all inputs must have the same first dimension")
        (count,) = counts or {0}
        if count > contract.max_batch:
            message = f"the first dimension may be up to {contract.max_batch}, not {count}"
            raise _malformed(message)
        instances: list[dict[str, Any]] = [{} for _ in range(count)]
        for each in self.inputs:
            spec = contract.fields[each.name]
            for instance, value in zip(instances, _values(each, spec), strict=True):
                instance[each.name] = value
        return {"instances": instances}

    def answer(self, found: Prediction, request_id: str) -> Answer:
        """The predictions as tensors."""
        outputs, tail = [], b""
        tensors = {each.name: each for each in _output_tensors(found)}
        if unknown := [name for name in self.outputs or () if name not in tensors]:
            raise _malformed(f"there is no output {unknown[0][:60]}")
        for name in self.outputs or tensors:
            tensor = tensors[name]
            wanted = (self.outputs or {}).get(name)
            entry: dict[str, Any] = {
                "name": name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
            }
            if self.binary if wanted is None else wanted:
                packed = _packed(tensor)
                entry["parameters"] = {"binary_data_size": len(packed)}
                tail += packed
            else:
                entry["data"] = tensor.values
            outputs.append(entry)
        content = {
            "model_name": found.contract.name,
            "model_version": found.contract.version,
            **({} if self.id is None else {"id": self.id}),
            "outputs": outputs,
        }
        if not any("parameters" in entry for entry in outputs):
            return json_answer(200, content, request_id)
        head = json_text(content).encode()
        headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
        return bytes_answer(200, head + tail, request_id, headers)


def server(code_version: str) -> dict[str, Any]:
    """What ``GET /v2`` answers."""
    return {"name": "triplane", "version": code_version, "extensions": ["binary_tensor_data"]}


def metadata(contract: Contract) -> dict[str, Any]:
    """What ``GET /v2/models/{name}`` answers."""
    return {
        "name": contract.name,
        "versions": [contract.version],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": name,
                "datatype": _datatypes(spec)[0],
                "shape": [-1, spec["length"]] if spec["type"] == "vector" else [-1],
                "parameters": {"optional": not spec["required"]},
            }
            for name, spec in contract.fields.items()
        ],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1]}
            for name, datatype in _known_outputs(contract)
        ],
    }


def refused(refusal: Refusal, request_id: str) -> Answer:
    """A refusal in the protocol's form: the error is one string."""
    text = " ".join(
        [refusal.message, *(f"{each.field}: {each.reason}." for each in refusal.fields)]
    )
    sent = json_answer(refusal.status, {"error": text}, request_id, refusal.headers)
    return replace(sent, cause=refusal.cause)


def _malformed(reason: str) -> Refusal:
    return Refusal(400, "malformed", f"The request is not valid: {reason}.")


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(f"{what} must be an object")
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _malformed(f"{what} must be an array")
    return value


def _parameters(of: Mapping[str, Any]) -> dict[str, Any]:
    return _object(of.get("parameters", {}), "parameters")


def _parts(request: Request) -> tuple[bytes, bytes]:
    """The JSON of a body and the binary tensors behind it."""
    length = request.headers.get(HEADER_LENGTH)
    if length is None:
        return request.body, b""
    if not (length.isascii() and length.isdecimal() and len(length) < 12):
        raise _malformed(f"{HEADER_LENGTH} must be a whole number")
    if int(length) > len(request.body):
        raise _malformed(f"{HEADER_LENGTH} is larger than the body")
    return request.body[: int(length)], request.body[int(length) :]


class _Binary:
    """The binary tensors of a request, in the order of its inputs."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, size: object) -> bytes:
        if type(size) is not int or not 0 <= size <= len(self._content) - self._at:
            raise _malformed("binary_data_size is not the size of bytes that follow the JSON")
        self._at += size
        return self._content[self._at - size : self._at]

    def refuse_rest(self) -> None:
        if self._at < len(self._content):
            raise _malformed(f"{len(self._content) - self._at} bytes belong to no input")


def _input(entry: dict[str, Any], given: _Binary) -> Input:
    name, datatype = entry.get("name"), entry.get("datatype")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise _malformed("an input needs a name and a datatype")
    shape = _list(entry.get("shape"), "shape")
    if not 1 <= len(shape) <= 2 or not all(type(n) is int and 0 <= n < 2**31 for n in shape):
        raise _malformed(f"the shape of {name[:60]} must be one or two sizes")
    count = math.prod(shape)
    size = _parameters(entry).get("binary_data_size")
    if size is not None:
        if "data" in entry:
            raise _malformed(f"{name[:60]} has both data and binary_data_size")
        values = _unpacked(name[:60], datatype, count, given.take(size))
    else:
        values = _flat(_list(entry.get("data"), f"data of {name[:60]}"), name[:60], len(shape))
    if len(values) != count:
        raise _malformed(f"{name[:60]} has {len(values)} values, and its shape is for {count}")
    return Input(name, datatype, tuple(shape), values)


def _flat(values: list[Any], name: str, depth: int) -> list[Any]:
    """The values of a tensor that is written flat, or nested by its shape."""
    for _ in range(depth - 1):
        if not any(isinstance(each, list) for each in values):
            break
        values = [
            inner for each in values for inner in (each if isinstance(each, list) else [each])
        ]
    if any(isinstance(each, list) for each in values):
        raise _malformed(f"{name} is nested deeper than its shape")
    return values


def _unpacked(name: str, datatype: str, count: int, content: bytes) -> list[Any]:
    """The values of a binary tensor; of BYTES the bytes."""
    if datatype == "BYTES":
        return list(_elements(name, content))
    if datatype not in FORMATS:
        raise _malformed(f"the datatype of {name}, {datatype[:20]}, is none that is read here")
    if count * struct.calcsize(f"<{FORMATS[datatype]}") != len(content):
        raise _malformed(f"{name} has {len(content)} bytes, and its shape is for another size")
    return list(struct.unpack(f"<{count}{FORMATS[datatype]}", content))


def _elements(name: str, content: bytes) -> Iterator[bytes]:
    """Each element of BYTES has its length, in four bytes, before it."""
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "little")
        if at + 4 + size > len(content):
            raise _malformed(f"an element of {name} is longer than the tensor")
        yield content[at + 4 : at + 4 + size]
        at += 4 + size


def _outputs(content: Mapping[str, Any]) -> dict[str, bool | None] | None:
    if content.get("outputs") is None:
        return None
    found: dict[str, bool | None] = {}
    for each in _list(content["outputs"], "outputs"):
        entry = _object(each, "an output")
        name, parameters = entry.get("name"), _parameters(entry)
        if not isinstance(name, str):
            raise _malformed("an output needs a name")
        if parameters.get("classification"):
            raise _malformed("classification is an extension that is not offered here")
        binary = parameters.get("binary_data")
        found[name] = binary if isinstance(binary, bool) else None
    return found or None


def _datatypes(spec: Mapping[str, Any]) -> tuple[str, ...]:
    return INPUTS.get(spec["type"], TEXTS)


def _values(given: Input, spec: Mapping[str, Any]) -> list[Any]:
    """One value for each instance. Raises `Refusal`."""
    allowed = _datatypes(spec)
    if given.datatype not in allowed:
        message = f"{given.name} is {allowed[0]}, not {given.datatype[:20]}"
        raise _malformed(message)
    count, *rest = given.shape
    if spec["type"] == "vector":
        if rest != [spec["length"]]:
            raise _malformed(f"the shape of {given.name} must be [N, {spec['length']}]")
        width: int = spec["length"]
        return [given.values[row * width : row * width + width] for row in range(count)]
    if rest not in ([], [1]):
        raise _malformed(f"the shape of {given.name} must be [N] or [N, 1]")
    if spec["type"] == "image":
        return [_image(value) for value in given.values]
    if allowed == TEXTS:
        return [_text(given.name, value) for value in given.values]
    # A tensor has no gaps: NaN is how a floating one leaves a value out.
    optional = spec["type"] == "number" and not spec["required"]
    return [None if optional and value != value else value for value in given.values]


def _text(name: str, value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _malformed(f"a value of {name} is not UTF-8") from None


def _image(value: Any) -> Any:
    """Base64, which a binary tensor may have as well as the bytes of the file."""
    if not isinstance(value, bytes):
        return value
    if value.startswith((images.PNG, images.JPEG)):
        return base64.b64encode(value).decode()
    return value.decode("latin-1")


@dataclass(frozen=True)
class Tensor:
    """One output."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]


def _known_outputs(contract: Contract) -> list[tuple[str, str]]:
    """Name and datatype of each output; without those of tensors that the contract does not name."""
    answer = contract.answer
    match answer["kind"]:
        case "binary":
            return [("probability", "FP64"), (answer["name"], "BOOL")]
        case "multiclass":
            return [(answer["name"], "BYTES"), ("probability", "FP64")]
        case "regression":
            return [(answer["name"], "FP64")]
    return [(name, "FP64") for name in answer.get("outputs", ())]


def _output_names(contract: Contract) -> list[str]:
    return [name for name, _ in _known_outputs(contract)]


def _output_tensors(found: Prediction) -> Iterator[Tensor]:
    count = len(found.predictions)
    if found.contract.answer["kind"] != "tensors":
        for name, datatype in _known_outputs(found.contract):
            yield Tensor(name, datatype, [count], [each[name] for each in found.predictions])
        return
    for name in found.predictions[0]:
        nested = [each.get(name) for each in found.predictions]
        shape = _shape(nested)
        values = nested
        for _ in shape[1:]:
            values = [
                inner for each in values for inner in (each if isinstance(each, list) else [])
            ]
        if len(values) != math.prod(shape) or any(isinstance(each, list) for each in values):
            raise EndpointUnavailable(f"the output {name} has rows of different lengths")
        yield Tensor(name, _datatype(values), shape, values)


def _shape(nested: Any) -> list[int]:
    shape: list[int] = []
    while isinstance(nested, list):
        shape.append(len(nested))
        nested = nested[0] if nested else None
    return shape


def _datatype(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values}
    return "BOOL" if kinds == {bool} else "BYTES" if str in kinds else "FP64"


def _packed(tensor: Tensor) -> bytes:
    if tensor.datatype == "BYTES":
        texts = [str(value).encode() for value in tensor.values]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return struct.pack(f"<{len(tensor.values)}{FORMATS[tensor.datatype]}", *tensor.values)
