"""What a model must be: each rule of the contract refuses a model that breaks it, and names what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from model_server import serve
from model_server.defects import UnfitModel
from model_server.model import Model
from onnx import TensorProto, helper

from tests.onnx_models import (
    columns,
    flight,
    flight_contract,
    graph,
    model,
    served,
    with_external_weights,
)

from .test_model_serving import answer


def changed(name: str, **change: Any) -> list[Any]:
    return [{**each, **change} if each["name"] == name else each for each in columns()]


def without_dest() -> list[Any]:
    return [each for each in columns() if each["field"] != "dest"]


def short_table(name: str) -> list[Any]:
    return changed(name, table={"UA": 1.0, "AA": 2.0})


def unknown_operator(domain: str) -> onnx.ModelProto:
    """A model with an operator of a set that ONNX Runtime has not heard of."""
    built = model(before=[helper.make_node("Unheard", ["known"], ["other"], domain=domain)])
    built.opset_import.append(helper.make_opsetid(domain, 1))
    return built


def defects(built: onnx.ModelProto | bytes, contract: bytes | None = None) -> str:
    content = built if isinstance(built, bytes) else built.SerializeToString()
    with pytest.raises(UnfitModel) as refused:
        Model(content, flight_contract() if contract is None else contract)
    return str(refused.value)


@pytest.mark.parametrize("reads", [columns(), without_dest()], ids=["all fields", "fewer fields"])
def test_a_model_that_fits_the_contract_is_accepted(reads: list[Any]) -> None:
    found = Model(model(columns=reads).SerializeToString(), flight_contract())
    assert list(found.predictions([flight()])[0]) == ["probability", "late"]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: model(classes=10), r"outputs: probabilities: tensor\(float\) \[None, 10\]\. "),
        (lambda: model(input_columns=4), r"inputs: X: tensor\(float\) \[None, 4\]\. Wanted: .* 14"),
        (lambda: model(input_type=TensorProto.DOUBLE), r"inputs: X: tensor\(double\)"),
        (lambda: model(batch=1), r"inputs: X: tensor\(float\) \[1, 14\]\. Wanted: .*any number"),
        (lambda: model(softmax=False), r"answer to the example: .*finite"),
        (lambda: model(columns=[{"name": "x"}]), "columns: the metadata `columns` cannot be read"),
        (
            lambda: model(opset=99),
            "runtime: it is written for opset 99, which is newer .*ONNX Runtime .* says",
        ),
        (
            lambda: model(before=[helper.make_node("Nonsense", ["x"], ["y"])]),
            "runtime: it has the operator Nonsense, which is in no opset",
        ),
        (
            lambda: unknown_operator("com.acme"),
            "runtime: it has the operator com.acme:Unheard, which ONNX Runtime does not have",
        ),
        (
            lambda: graph(
                [helper.make_node("Erf", ["x"], ["y"])],
                {"x": (TensorProto.DOUBLE, [None, 1])},
                {"y": (TensorProto.DOUBLE, [None, 1])},
            ),
            "runtime: it has the operator Erf for a type of numbers",
        ),
        (lambda: model().SerializeToString()[:200], "format: .* Wanted: a whole ONNX file"),
        (lambda: b"", "format|runtime"),
        (lambda: with_external_weights("/etc/hostname"), "one file: .*Absolute path"),
        (lambda: with_external_weights("../weights.bin"), "one file: "),
        (lambda: with_external_weights("weights.bin"), "one file: "),
    ],
)
def test_each_rule_refuses_a_model_that_breaks_it(build: Callable[[], Any], reason: str) -> None:
    found = defects(build())
    assert re.search(reason, found), found


@pytest.mark.parametrize(
    ("reads", "reason"),
    [
        (changed("temp", field="colour"), "column temp: it reads the field colour. Wanted: one of"),
        (short_table("carrier"), r"column carrier: its table lacks .* \(14 of 16\)"),
        (changed("temp", reads="minute"), "column temp: it reads temp as minute. Wanted: number"),
        (
            changed("carrier", table=None, reads="number"),
            "it reads carrier as number. Wanted: table",
        ),
    ],
)
def test_columns_that_would_refuse_a_valid_request_are_named(reads: list[Any], reason: str) -> None:
    assert re.search(reason, defects(model(columns=reads)))


def test_a_field_that_may_be_left_out_needs_a_column_of_numbers() -> None:
    document = json.loads(flight_contract())
    document["fields"][0]["required"] = False
    found = defects(model(), json.dumps(document).encode())
    assert found.startswith("column carrier: carrier may be left out. Wanted: a column that reads")


def test_an_answer_that_is_no_number_without_the_weather_is_refused() -> None:
    """A linear model answers the example, and NaN to each request that leaves out what it may."""
    built = model()
    built.graph.node[2].input[0] = "never"
    built.graph.node.insert(2, helper.make_node("And", ["missing", "false"], ["never"]))
    built.graph.initializer.append(helper.make_tensor("false", TensorProto.BOOL, [], [False]))
    document = json.loads(flight_contract())
    document["example"]["wind_gust"] = 20
    found = defects(built, json.dumps(document).encode())
    assert found.startswith("answer to the example's required fields: ")
    assert "nan" in found


def test_all_defects_of_a_model_are_reported_together() -> None:
    found = defects(model(classes=3, input_columns=4, columns=changed("temp", field="colour")))
    assert [line.split(":")[0] for line in found.splitlines()] == [
        "inputs",
        "column temp",
        "outputs",
    ]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"name": "x", "fields": [], "answer": {}, "example": {}}',
        b'{"name": "x", "fields": [1], "answer": {"kind": "binary"}, "example": {}}',
        b'{"name": "x", "fields": [{"name": "a", "type": "vector", "required": true}],'
        b' "answer": {"kind": "tensors"}, "example": {}}',
    ],
)
def test_a_contract_that_is_none_is_refused(document: bytes) -> None:
    assert defects(model(), document).startswith("c")


def test_an_example_that_the_model_cannot_read_is_refused_with_the_field() -> None:
    document = json.loads(flight_contract())
    document["example"]["dest"] = "XXX"
    found = defects(model(), json.dumps(document).encode())
    assert found.startswith("answer to the example: instances[0].dest is 'XXX'")


def test_the_server_refuses_a_model_of_ten_classes_and_says_why_in_its_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served(tmp_path, model(classes=10).SerializeToString(), flight_contract())
    apps: list[serve.App] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **_: apps.append(app))
    monkeypatch.setattr("numpy.seterr", lambda **_: None)
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path))
    serve.main()
    body = json.dumps({"instances": [flight()]}).encode()
    for method, path in (("GET", "/healthz"), ("GET", "/ping")):
        status, content = answer(apps[0], method, path)
        assert status == 503, path
        reason = content["reasons"]["flight-delay"][0]
        assert reason.startswith("outputs: probabilities: tensor(float) [None, 10]")
    status, content = answer(apps[0], "POST", "/predict", body)
    assert status == 503
    assert content["reasons"] == [reason]
    assert "The model flight-delay cannot be served.\noutputs: " in capsys.readouterr().out
