"""The Open Inference Protocol, as a client of it speaks it, and as nobody should."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from gateway.http import Answer
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from . import gateway_models as models
from .gateway_models import DOCUMENTS, FLIGHT, KEY, PREDICTIONS, VERSIONS, contract, got, handler
from .test_gateway_asgi import serving
from .test_gateway_fields import picture

HEADERS = {"x-api-key": KEY}
"""A copy for each call: the client adds its own to what it is given."""
ALL = handler(*DOCUMENTS)
DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}


@pytest.fixture(scope="module")
def client() -> Iterator[triton.InferenceServerClient]:
    with serving(*DOCUMENTS, MAX_BODY_BYTES="65536") as gateway:
        yield triton.InferenceServerClient(f"127.0.0.1:{gateway.port}")


def inputs(name: str, binary: bool, count: int = 2) -> list[triton.InferInput]:
    """The example of a model, several times, as tensors by the metadata's datatypes."""
    found = []
    for field in DOCUMENTS[name]["fields"]:
        if field["name"] not in DOCUMENTS[name]["example"]:
            continue
        value = DOCUMENTS[name]["example"][field["name"]]
        datatype = DATATYPES.get(field["type"], "BYTES")
        kind = {"FP64": np.float64, "INT64": np.int64, "BOOL": bool, "BYTES": object}[datatype]
        tensor = triton.InferInput(field["name"], [count], datatype)
        tensor.set_data_from_numpy(np.array([value] * count, dtype=kind), binary_data=binary)
        found.append(tensor)
    return found


def test_a_client_sees_a_live_and_ready_server_with_its_models(
    client: triton.InferenceServerClient,
) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    for name, document in DOCUMENTS.items():
        assert client.is_model_ready(name)
        assert client.is_model_ready(name, VERSIONS[name])
        assert not client.is_model_ready(name, "0" * 64)
        metadata = client.get_model_metadata(name)
        assert metadata["versions"] == [VERSIONS[name]]
        assert [each["name"] for each in metadata["inputs"]] == [
            field["name"] for field in document["fields"]
        ]
        assert metadata["outputs"]
    assert not client.is_model_ready("nothing")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_client_gets_each_models_prediction_in_json_and_in_binary(
    client: triton.InferenceServerClient, name: str, binary: bool
) -> None:
    outputs = [triton.InferRequestedOutput(each, binary_data=binary) for each in names(name)]
    found = client.infer(
        name, inputs(name, binary), outputs=outputs, request_id="seven", headers=dict(HEADERS)
    )
    assert found.get_response()["id"] == "seven"
    assert found.get_response()["model_version"] == VERSIONS[name]
    for output in names(name):
        expected = PREDICTIONS[name][output]
        values = found.as_numpy(output).tolist()
        texts = [each.decode() if isinstance(each, bytes) else each for each in values]
        assert texts == [expected, expected]


def names(model: str) -> list[str]:
    return [name for name in PREDICTIONS[model] if name != "best"]


def test_a_client_that_names_no_outputs_gets_all_in_binary(
    client: triton.InferenceServerClient,
) -> None:
    found = client.infer("flight-delay", inputs("flight-delay", True), headers=dict(HEADERS))
    assert found.as_numpy("probability").tolist() == [0.25, 0.25]
    assert found.as_numpy("late").tolist() == [False, False]


def test_a_client_may_send_the_bytes_of_an_image(client: triton.InferenceServerClient) -> None:
    for content in (picture(), base64.b64encode(picture(form="JPEG"))):
        tensor = triton.InferInput("image", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[content]], dtype=object))
        found = client.infer("digits", [tensor], headers=dict(HEADERS))
        assert found.as_numpy("digit").tolist() == [b"3"]


def test_a_client_asks_for_one_version(client: triton.InferenceServerClient) -> None:
    asked = ("digits", inputs("digits", True))
    assert client.infer(*asked, model_version=VERSIONS["digits"], headers=dict(HEADERS))
    with pytest.raises(InferenceServerException, match="is not served") as refused:
        client.infer(*asked, model_version="0" * 64, headers=dict(HEADERS))
    assert refused.value.status() == "404"


def test_a_client_without_the_key_gets_the_reason_as_text(
    client: triton.InferenceServerClient,
) -> None:
    with pytest.raises(InferenceServerException, match="Send the key") as refused:
        client.infer("digits", inputs("digits", True))
    assert refused.value.status() == "401"


def infer(content: Any, at: Any = ALL, model: str = "flight-delay", **headers: str) -> Answer:
    return models.answer_to(content, path=f"/v2/models/{model}/infer", at=at, **headers)


def tensors(**changes: Any) -> dict[str, Any]:
    """One flight as tensors of one value, with these changes."""
    found = []
    for name, value in {**FLIGHT, **changes}.items():
        if value is not ...:
            known = FLIGHT.get(name) if value is None else value
            datatype = "FP64" if isinstance(known, int | float) else "BYTES"
            found.append({"name": name, "shape": [1], "datatype": datatype, "data": [value]})
    return {"inputs": found}


def test_the_instances_are_the_same_as_those_of_the_platforms_own_route() -> None:
    answer = infer(tensors())
    assert answer.status == 200
    assert answer.capture
    assert answer.capture["instances"] == [FLIGHT]
    assert answer.capture["predictions"] == [PREDICTIONS["flight-delay"]]


@pytest.mark.parametrize("value", [None, ...])
def test_an_optional_field_may_be_null_or_no_input_at_all(value: Any) -> None:
    assert infer(tensors(temp=value)).status == 200


def test_nan_leaves_out_an_optional_number_and_no_other() -> None:
    def binary(name: str) -> Answer:
        content = tensors(**{name: ...})
        nan = {"binary_data_size": 8}
        content["inputs"].append(
            {"name": name, "shape": [1], "datatype": "FP64", "parameters": nan}
        )
        head = json.dumps(content).encode()
        length = {"inference_header_content_length": str(len(head))}
        body = head + struct.pack("<d", float("nan"))
        return infer(body, content_type="application/octet-stream", **length)

    answer = binary("temp")
    assert answer.status == 200
    assert answer.capture
    assert "temp" not in answer.capture["instances"][0]
    assert b"is BYTES, not FP64" in binary("carrier").body


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"carrier": ...}, 422, "instances[0].carrier: is missing"),
        ({"carrier": "ZZ"}, 422, "instances[0].carrier: must be one of"),
        ({"temp": 1000}, 422, "must be from -20 to 110"),
        ({"temp": "hot"}, 400, "temp is FP64, not BYTES"),
        ({"wind_sped": 1}, 400, "no input wind_sped; did you mean wind_speed?"),
    ],
)
def test_a_wrong_tensor_is_refused_with_the_reason(
    changes: dict[str, Any], status: int, reason: str
) -> None:
    answer = infer(tensors(**changes))
    assert answer.status == status
    assert reason in json.loads(answer.body)["error"]


def nested(depth: int) -> Any:
    return 50 if depth == 0 else [nested(depth - 1)]


GOOD = {"name": "temp", "shape": [1], "datatype": "FP64", "data": [50]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "the body must be an object"),
        ({}, "inputs must be an array"),
        ({"inputs": [7]}, "an input must be an object"),
        ({"inputs": [{}]}, "needs a name and a datatype"),
        ({"inputs": [{**GOOD, "shape": []}]}, "the shape of temp must be one or two sizes"),
        ({"inputs": [{**GOOD, "shape": [-1]}]}, "one or two sizes"),
        ({"inputs": [{**GOOD, "shape": [True]}]}, "one or two sizes"),
        ({"inputs": [{**GOOD, "shape": [2]}]}, "temp has 1 values, and its shape is for 2"),
        ({"inputs": [{**GOOD, "shape": [10**9, 10**9]}]}, "its shape is for"),
        ({"inputs": [{**GOOD, "shape": [1, 3], "data": [1, 2, 3]}]}, "must be [N] or [N, 1]"),
        ({"inputs": [{**GOOD, "datatype": "INT8"}]}, "temp is FP64, not INT8"),
        ({"inputs": [GOOD, GOOD]}, "an input is given twice"),
        ({"inputs": [{**GOOD, "data": None}]}, "data of temp must be an array"),
        ({"inputs": [{**GOOD, "parameters": []}]}, "parameters must be an object"),
        ({"inputs": [{**GOOD, "parameters": {"binary_data_size": 8}}]}, "has both data and"),
        (
            {"inputs": [{"name": "temp", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}]},
            "not the size of bytes that follow",
        ),
        ({"inputs": [GOOD], "id": 7}, "id must be a string"),
        ({"inputs": [GOOD], "outputs": [{"name": 1}]}, "an output needs a name"),
        ({"inputs": [GOOD], "outputs": [{"name": "x"}]}, "there is no output x"),
        (
            {"inputs": [GOOD], "outputs": [{"name": "late", "parameters": {"classification": 3}}]},
            "classification",
        ),
        ({"inputs": [{**GOOD, "shape": [101], "data": [1] * 101}]}, "may be up to 100, not 101"),
        ({"inputs": [{**GOOD, "data": nested(900)}]}, "is nested deeper than its shape"),
        ({"inputs": [{**GOOD, "data": [[50]]}]}, "is nested deeper than its shape"),
        (
            {"inputs": [{"name": "temp", "shape": [2**31 - 1, 2**31 - 1], "datatype": "FP64", "parameters": {"binary_data_size": 0}}]},
            "temp has 0 bytes, and its shape is for another size",
        ),
    ],
)  # fmt: skip
def test_a_request_outside_of_the_protocol_is_a_400_with_the_reason(
    content: Any, reason: str
) -> None:
    answer = infer(content)
    assert answer.status == 400
    assert reason in json.loads(answer.body)["error"]


def test_inputs_of_different_lengths_are_refused() -> None:
    content = tensors()
    content["inputs"][0] |= {"shape": [2], "data": ["UA", "UA"]}
    assert b"the same first dimension" in infer(content).body


@pytest.mark.parametrize(
    ("length", "reason"),
    [("x", "whole number"), ("²", "whole number"), ("99999", "larger than the body")],
)
def test_a_wrong_length_of_the_json_is_refused(length: str, reason: str) -> None:
    answer = infer(tensors(), inference_header_content_length=length)
    assert answer.status == 400
    assert reason in answer.body.decode()


def test_bytes_behind_the_tensors_are_refused() -> None:
    head = json.dumps(tensors()).encode()
    answer = infer(head + b"more", inference_header_content_length=str(len(head)))
    assert b"4 bytes belong to no input" in answer.body


@pytest.mark.parametrize("size", [0, 3, 5, 2**32 - 1])
def test_an_element_of_a_wrong_length_is_refused(size: int) -> None:
    content = tensors(carrier=...)
    packed = size.to_bytes(4, "little") + b"UA"
    content["inputs"].append(
        {
            "name": "carrier",
            "shape": [1],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(packed)},
        }
    )
    head = json.dumps(content).encode()
    answer = infer(head + packed, inference_header_content_length=str(len(head)))
    assert answer.status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": "text/plain"}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"content_type": ""}, 200),
        ({"content_type": "application/json"}, 200),
    ],
)
def test_another_form_of_body_is_refused(headers: dict[str, str], status: int) -> None:
    assert infer(tensors(), **headers).status == status


VECTOR = contract(
    name="digits",
    fields=[{"name": "v", "type": "vector", "length": 3, "required": True}],
    answer={"kind": "tensors"},
).document


def vectors(answer: Any) -> Any:
    """A handler of a model that takes vectors and answers with tensors."""
    lake = models.Lake()
    version = lake.add(VECTOR)
    return handler(
        "digits",
        ask=lambda model, instances: {"predictions": answer, "model_version": version},
        lake=lake,
        versions={"digits": version},
    )


def test_a_vector_is_a_row_and_raw_tensors_keep_their_shape() -> None:
    at = vectors([{"y": [[1, 2.5], [3, 4], [5, 6]]}, {"y": [[0, 0], [0, 0], [0, 0]]}])
    tensor = {"name": "v", "shape": [2, 3], "datatype": "FP32", "data": [[1, 2, 3], [4, 5, 6]]}
    answer = infer({"inputs": [tensor]}, at, "digits")
    assert answer.capture
    assert answer.capture["instances"] == [{"v": [1, 2, 3]}, {"v": [4, 5, 6]}]
    (output,) = json.loads(answer.body)["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("y", "FP64", [2, 3, 2])
    assert output["data"] == [1, 2.5, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0]
    wrong = infer({"inputs": [{**tensor, "shape": [3, 2]}]}, at, "digits")
    assert b"must be [N, 3]" in wrong.body


def test_rows_of_different_lengths_are_a_defect_of_the_model() -> None:
    at = vectors([{"y": [1, 2]}, {"y": [1]}])
    tensor = {"name": "v", "shape": [2, 3], "datatype": "FP64", "data": [1] * 6}
    assert infer({"inputs": [tensor]}, at, "digits").status == 503


@pytest.mark.parametrize("path", ["/v2", "/v2/models/digits", "/v2/models/digits/ready"])
def test_what_a_client_reads_needs_no_key(path: str) -> None:
    assert got(path, ALL).status == 200


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=40),
    st.one_of(st.none(), st.integers(0, 60).map(str)),
    st.sampled_from(["FP64", "BYTES", "INT64", "BOOL", "FP16"]),
    st.lists(st.integers(-1, 5), max_size=3),
    st.integers(-1, 60),
)
def test_any_tensor_gets_an_answer_below_500(
    tail: bytes, length: str | None, datatype: str, shape: list[int], size: int
) -> None:
    parameters = {"binary_data_size": size}
    entry = {"name": "temp", "datatype": datatype, "shape": shape, "parameters": parameters}
    head = json.dumps({"inputs": [entry]}).encode()
    headers = {} if length is None else {"inference_header_content_length": length}
    for sent in (headers, {"inference_header_content_length": str(len(head))}):
        answer = infer(head + tail, **sent)
        assert answer.status in (200, 400, 415, 422)
        assert isinstance(json.loads(answer.body)["error"], str)
