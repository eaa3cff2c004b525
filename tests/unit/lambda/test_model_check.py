"""What a model must be: each rule of the contract refuses a model that breaks it, and names what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from model_server import schema, serve, train
from model_server.model_check import Contract, UnfitModel, refuse_unfit, session
from onnx import TensorProto, helper

from tests.onnx_models import model, with_external_weights

FEATURES = schema.load()
CONTRACT = Contract(FEATURES["fields"], FEATURES["example"])


def without_dest() -> list[Any]:
    return [each for each in train.columns() if each["field"] != "dest"]


def changed(name: str, **change: Any) -> list[Any]:
    return [{**each, **change} if each["name"] == name else each for each in train.columns()]


def short_table(name: str) -> list[Any]:
    return changed(name, table={"UA": 1.0, "AA": 2.0})


def defects(built: onnx.ModelProto | bytes, contract: Contract = CONTRACT) -> str:
    content = built if isinstance(built, bytes) else built.SerializeToString()
    with pytest.raises(UnfitModel) as refused:
        refuse_unfit(session(content), contract)
    return str(refused.value)


@pytest.mark.parametrize("contract", [CONTRACT, Contract()], ids=["program", "server"])
def test_a_model_that_fits_the_contract_is_accepted(contract: Contract) -> None:
    columns = refuse_unfit(session(model().SerializeToString()), contract)
    assert columns == train.columns()


def test_a_model_that_reads_fewer_fields_than_the_contract_has_is_accepted() -> None:
    refuse_unfit(session(model(columns=without_dest()).SerializeToString()), CONTRACT)


@pytest.mark.parametrize("contract", [CONTRACT, Contract()], ids=["program", "server"])
@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: model(classes=10), r"outputs: probabilities: tensor\(float\) \[None, 10\]\. "),
        (lambda: model(classes=1), r"outputs: probabilities: tensor\(float\) \[None, 1\]\. "),
        (lambda: model(output="label"), "outputs: label. Wanted: probabilities"),
        (lambda: model(input_columns=4), r"inputs: X: tensor\(float\) \[None, 4\]\. Wanted: .* 15"),
        (lambda: model(input_type=TensorProto.DOUBLE), r"inputs: X: tensor\(double\)"),
        (lambda: model(batch=1), r"inputs: X: tensor\(float\) \[1, 15\]\. Wanted: .*any number"),
        (lambda: model(softmax=False), r"answer to the example.*: it is \[.*finite probabilities"),
        (lambda: model(columns=[{"name": "x"}]), "columns: the metadata `columns` cannot be read"),
        (lambda: model(opset=99), "runtime: ONNX Runtime .* opset"),
        (lambda: model(before=[helper.make_node("Nonsense", ["x"], ["y"])]), "runtime: .*Nonsense"),
        (lambda: model().SerializeToString()[:200], "format: .* Wanted: a whole ONNX file"),
        (lambda: b"", "format|runtime"),
        (lambda: with_external_weights("/etc/hostname"), "one file: .*Absolute path"),
        (lambda: with_external_weights("../weights.bin"), "one file: "),
        (lambda: with_external_weights("weights.bin"), "one file: "),
    ],
)
def test_each_rule_refuses_a_model_that_breaks_it(
    build: Callable[[], Any], reason: str, contract: Contract
) -> None:
    found = defects(build(), contract)
    assert re.search(reason, found), found


@pytest.mark.parametrize(
    ("columns", "reason"),
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
def test_columns_that_would_refuse_a_valid_request_are_named(
    columns: list[Any], reason: str
) -> None:
    assert re.search(reason, defects(model(columns=columns)))


def test_an_answer_that_is_no_number_without_the_weather_is_refused() -> None:
    """A linear model answers the example, and NaN to each request that leaves out what it may."""
    built = model()
    built.graph.node[2].input[0] = "never"
    built.graph.node.insert(2, helper.make_node("And", ["missing", "false"], ["never"]))
    built.graph.initializer.append(helper.make_tensor("false", TensorProto.BOOL, [], [False]))
    found = defects(built, Contract(FEATURES["fields"], {**FEATURES["example"], "wind_gust": 20}))
    assert found.startswith("answer to the example's required fields: it is [nan")


def test_all_defects_of_a_model_are_reported_together() -> None:
    found = defects(model(classes=3, input_columns=4, columns=changed("temp", field="colour")))
    assert [line.split(":")[0] for line in found.splitlines()] == [
        "inputs",
        "outputs",
        "column temp",
    ]


def test_the_server_refuses_a_model_of_ten_classes_and_says_why_in_its_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").write_bytes(model(classes=10).SerializeToString())
    apps: list[serve.App] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **_: apps.append(app))
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path))
    serve.main()
    body = json.dumps({"instances": [FEATURES["example"]]}).encode()
    for method, path in (("GET", "/healthz"), ("GET", "/ping"), ("POST", "/predict")):
        status, content = apps[0].answer(method, path, body)
        assert status == 503, path
        assert content["reasons"][0].startswith("outputs: probabilities: tensor(float) [None, 10]")
    assert "The model cannot be served.\noutputs: " in capsys.readouterr().out
