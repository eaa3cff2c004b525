"""The exporters: whatever a library's converter gives is asked beside the original.

XGBoost, LightGBM and PyTorch are in no environment of this repository: their tests run where somebody has installed them
(docs/how-to/train-a-model.md).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from training import exporters
from training.exporters import DifferentAnswers
from training.interface import Contract, DoesNotFit

from tests import onnx_models

FIELDS: dict[str, dict[str, Any]] = {
    "plan": {"type": "category", "values": {"a": "A", "b": "B", "c": "C"}},
    "age": {"type": "integer"},
    "spent": {"type": "number"},
    "open": {"type": "boolean"},
    "day": {"type": "date"},
    "hour": {"type": "time"},
    "at": {"type": "timestamp"},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "binary": {"kind": "binary", "name": "leaves"},
    "multiclass": {"kind": "multiclass", "name": "kind", "classes": {"0": "x", "1": "y", "2": "z"}},
    "regression": {"kind": "regression", "name": "cost"},
}


def instance(number: int) -> dict[str, Any]:
    return {
        "plan": "abc"[number % 3],
        "age": number % 90,
        "spent": number % 7 * 1.5,
        "open": number % 2 == 0,
        "day": f"2026-11-{number % 28 + 1:02}",
        "hour": f"{number % 24:02}:30",
        "at": f"2026-11-28T{number % 24:02}:00:00+01:00",
    }


INSTANCES = [instance(number * 37 % 1009) for number in range(300)]


def contract(kind: str, fields: dict[str, dict[str, Any]] = FIELDS) -> Contract:
    example = {name: INSTANCES[0].get(name) for name in fields}
    return Contract(json.loads(onnx_models.contract(fields, ANSWERS[kind], example)))


def labels(kind: str) -> Any:
    age = np.array([each["age"] for each in INSTANCES])
    place = np.array(["abc".index(each["plan"]) for each in INSTANCES])
    return {"binary": age > 40, "multiclass": place, "regression": age * 2.5 + place}[kind]


def original(kind: str, wanted: Contract) -> tuple[Any, Any]:
    """A model of scikit-learn, and its answers."""
    rows = exporters.columns(wanted, INSTANCES)
    numbers = [name for name in wanted.fields if name != "plan"]
    codes = OneHotEncoder(sparse_output=False)
    columns = ColumnTransformer([("codes", codes, ["plan"]), ("numbers", "passthrough", numbers)])
    model = LinearRegression() if kind == "regression" else LogisticRegression(max_iter=3000)
    fitted = make_pipeline(columns, model).fit(rows, labels(kind))
    if kind == "regression":
        return fitted, fitted.predict(rows)
    probability = fitted.predict_proba(rows)
    return fitted, probability[:, 1] if kind == "binary" else probability


SMALL = {name: FIELDS[name] for name in ("plan", "age", "spent", "open", "day", "hour")}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_pipeline_of_scikit_learn_answers_the_same_through_the_servers_own_reading(
    kind: str,
) -> None:
    wanted = contract(kind, SMALL)
    model, answers = original(kind, wanted)
    content = exporters.from_sklearn(model, wanted)
    assert exporters.largest_difference(content, wanted, INSTANCES, answers) < 1e-4
    assert content == exporters.from_sklearn(model, wanted), "the same bytes again"


def test_answers_that_differ_are_refused_with_the_instance_and_both() -> None:
    wanted = contract("binary", SMALL)
    model, answers = original("binary", wanted)
    content = exporters.from_sklearn(model, wanted)
    other = answers.copy()
    other[7] += 0.01
    with pytest.raises(DifferentAnswers, match=r"instance 7\); 0\.0001 is allowed"):
        exporters.largest_difference(content, wanted, INSTANCES, other)
    with pytest.raises(
        DifferentAnswers, match=r"(?s)cannot answer as the contract says:\n  .*Wanted: "
    ):
        exporters.largest_difference(content, contract("regression", SMALL), INSTANCES, answers)
    with pytest.raises(DifferentAnswers, match="shape"):
        exporters.largest_difference(content, wanted, INSTANCES, np.ones((300, 3)))


def test_data_that_the_contract_does_not_allow_is_named_by_instance_and_field() -> None:
    wrong = [instance(1), {**instance(2), "plan": "d"}]
    for read in (exporters.columns, exporters.matrix):
        with pytest.raises(
            DoesNotFit, match=r"instances\[1\]\.plan is 'd'; it should be one of a, b, c"
        ):
            read(contract("binary", SMALL), wrong)


def test_fields_become_columns_as_the_model_server_hands_them_over() -> None:
    table = exporters.columns(contract("binary"), [instance(1), {**instance(2), "spent": 4.0}])
    assert table.to_dict("records")[0] == {
        "plan": "b",
        "age": 1.0,
        "spent": 1.5,
        "open": 0.0,
        "day": 20759.0,
        "hour": 90.0,
        "at": 1795824000.0,
    }
    matrix = exporters.matrix(contract("binary", SMALL), [instance(1)])
    assert matrix.tolist() == [[1, 1, 1.5, 0, 20759, 90]], "a code is its position"


def test_a_missing_number_of_a_table_is_that_of_a_request() -> None:
    fields = {"spent": {"type": "number", "required": False}}
    wanted = contract("binary", fields)
    table = exporters.columns(wanted, [{"spent": float("nan")}, {"spent": None}, {}, {"spent": 1}])
    assert table["spent"].isna().tolist() == [True, True, True, False]


def test_texts_and_vectors_are_refused_where_they_fit_no_tensor() -> None:
    text = contract("binary", {"words": {"type": "text"}})
    with pytest.raises(ValueError, match="there are no numbers for words"):
        exporters.matrix(text, [])
    vector = contract("binary", {"many": {"type": "vector", "length": 3}})
    with pytest.raises(ValueError, match="the vector many is no column"):
        exporters.columns(vector, [])
    assert exporters.matrix(vector, [{"many": [1, 2, 3]}]).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_boosted_trees_answer_the_same(library: str, kind: str) -> None:
    module = pytest.importorskip(library)
    pytest.importorskip("onnxmltools")
    prefix = {"xgboost": "XGB", "lightgbm": "LGBM"}[library]
    wanted = contract(kind, SMALL)
    rows = exporters.matrix(wanted, INSTANCES)
    name = f"{prefix}{'Regressor' if kind == 'regression' else 'Classifier'}"
    model = getattr(module, name)(n_estimators=10).fit(rows, labels(kind))
    answers = model.predict(rows) if kind == "regression" else model.predict_proba(rows)
    content = getattr(exporters, f"from_{library}")(model, wanted)
    expected = answers[:, 1] if kind == "binary" else answers
    assert exporters.largest_difference(content, wanted, INSTANCES, expected) < 1e-4


def test_a_module_of_pytorch_answers_the_same_and_names_no_file_of_this_machine() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    wanted = contract("multiclass", SMALL)
    rows = torch.tensor(exporters.matrix(wanted, INSTANCES)) / 1000
    module = torch.nn.Sequential(torch.nn.Linear(rows.shape[1], 3), torch.nn.Softmax(1))
    content = exporters.from_torch(module, rows[:2])
    given = torch.tensor(exporters.matrix(wanted, INSTANCES))
    exporters.largest_difference(content, wanted, INSTANCES, module(given).detach().numpy())
    assert b".py" not in content
