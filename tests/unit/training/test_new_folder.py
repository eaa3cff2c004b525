"""`make model` and `make import`: a folder that trains and serves as it is, or none at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from model_server.model import Model
from onnx import TensorProto, helper
from training import new_folder, onnx_import, runs
from training.new_folder import Refused
from training.store import ModelStore

from config.model_contract import model_definition
from tests.onnx_models import graph, mirror, model, with_external_weights

FLOAT, INT64, TEXT = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runs, "MODELS", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


def served(store: ModelStore, name: str, version: str) -> Model:
    folder = store.root / name / version
    return Model((folder / "model.onnx").read_bytes(), (folder / "contract.json").read_bytes())


def imported(content: bytes, models: Path, store: ModelStore) -> str:
    file = models.parent / "given.onnx"
    file.write_bytes(content)
    return onnx_import.imported("churn", file, models, store)


def refusal(content: bytes, models: Path, store: ModelStore) -> str:
    with pytest.raises(Refused) as refused:
        imported(content, models, store)
    assert not (models / "churn").exists()
    assert not store.root.exists() or not list(store.root.rglob("*.onnx"))
    assert str(refused.value).endswith("\nNo folder was made.")
    assert str(refused.value).count("No folder was made") == 1
    return str(refused.value)


def test_a_new_folder_trains_and_answers_as_it_is(models: Path, store: ModelStore) -> None:
    text = new_folder.from_template("churn", models)
    assert "make train MODEL=churn" in text
    assert text.endswith(
        "below triplane:models: and beside the models that are there, then make up:\n    churn: champion"
    )
    version = runs.train("churn", store, {}, promote=None)
    found = served(store, "churn", version)
    (answer, new) = found.predictions(
        [
            {"plan": "basic", "months": 1, "spent": 0},
            {"plan": "premium", "months": 110, "spent": 300},
        ]
    )
    assert answer["leaves"] is True
    assert new["leaves"] is False
    card = store.card("churn", version)
    assert card["holdout"]["auc"] > 0.75 > card["baseline"]["auc"] == 0.5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "NAME is missing"),
        ("Churn!", "Did you mean churn?"),
        ("predict", "is a word of the gateway's routes"),
        ("taken", "models/taken/ exists, and stays as it is"),
    ],
)
def test_a_name_that_a_model_cannot_have_makes_no_folder(
    models: Path, name: str, words: str
) -> None:
    (models / "taken").mkdir(parents=True)
    with pytest.raises(
        Refused, match="(?s)" + words.replace("?", r"\?") + r".*\nNo folder was made\.$"
    ):
        new_folder.from_template(name, models)
    assert [each.name for each in models.iterdir()] == ["taken"]


CLASSIFIER = graph(
    [
        helper.make_node("MatMul", ["pixels", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ],
    {"pixels": (FLOAT, [None, 4])},
    {"probabilities": (FLOAT, [None, 3])},
    {"weights": np.eye(4, 3, dtype=np.float32)},
)
LOGITS = graph(
    [helper.make_node("MatMul", ["pixels", "weights"], ["out"])],
    {"pixels": (FLOAT, [None, 4])},
    {"out": (FLOAT, [None, 3])},
    {"weights": np.eye(4, 3, dtype=np.float32)},
)


@pytest.mark.parametrize(
    ("content", "fields", "answer"),
    [
        (model().SerializeToString(), {"carrier": "category", "date": "date", "departure": "time", "temp": "number"}, {"kind": "binary"}),
        (CLASSIFIER.SerializeToString(), {"pixels": "vector"}, {"kind": "multiclass", "scores": "probabilities"}),
        (LOGITS.SerializeToString(), {"pixels": "vector"}, {"kind": "multiclass", "scores": "logits"}),
        (mirror({"age": (FLOAT, [None, 1])}), {"age": "number"}, {"kind": "regression", "output": "seen_age"}),
        (mirror({"a": (INT64, [None]), "b": (FLOAT, [None, 2, 2])}, {"a": "x", "b": "y"}), {"a": "integer", "b": "image"}, {"kind": "tensors"}),
        (mirror({"photo": (FLOAT, [None, 3, 5, 4])}), {"photo": "image"}, {"kind": "tensors"}),
    ],
    ids=["columns", "classes", "logits", "one number", "two inputs", "a picture"],
)  # fmt: skip
def test_an_onnx_file_becomes_a_folder_that_trains_and_answers(
    content: bytes,
    fields: dict[str, str],
    answer: dict[str, str],
    models: Path,
    store: ModelStore,
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = imported(content, models, store)
    places = (models / "churn/model.toml").read_text().count("TODO")
    assert (
        f"models/churn/ has {places + 1} places marked TODO, which no graph says: {places} in model.toml, 1 in train.py"
        in text
    )
    assert text.endswith("    churn: champion")
    document = model_definition(models / "churn").document
    found = {each["name"]: each["type"] for each in document["fields"]}
    assert fields.items() <= found.items()
    assert answer.items() <= document["answer"].items()
    version = runs.train("churn", store, {}, promote=None)
    assert f"Warning: models/churn/ has {places + 1} places marked TODO" in capfd.readouterr().err
    assert len(served(store, "churn", version).predictions([document["example"]])) == 1
    assert (store.root / "churn" / version / "model.onnx").read_bytes() == content


def test_what_the_graph_says_of_a_picture_is_in_its_contract(
    models: Path, store: ModelStore
) -> None:
    imported(mirror({"photo": (FLOAT, [None, 3, 5, 4])}), models, store)
    (field,) = model_definition(models / "churn").document["fields"]
    assert (field["height"], field["width"], field["mode"]) == (5, 4, "rgb")


WHOLE = model().SerializeToString()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no ONNX file, or only a part of one"),
        (WHOLE[: len(WHOLE) // 2], "no ONNX file, or only a part of one"),
        (b"not a model at all", r"no ONNX file.* becomes one by the exporters \(docs/how-to/train-a-model\.md\).*image: below triplane:models"),
        (json.dumps({"a": 1}).encode(), "no ONNX file"),
        (mirror({"age": (FLOAT, [1, 4])}), "age: float \\[1, 4\\].*first size is fixed to 1, so it takes that many instances at a time"),
        (mirror({"x": (FLOAT, [None, 2, 3, 4, 5])}), "x: float \\[\\?, 2, 3, 4, 5\\].*no field has this type and shape"),
        (with_external_weights("../weights.bin").SerializeToString(), "one file: "),
        (model(opset=13, before=[helper.make_node("Unheard", ["known"], ["other"])]).SerializeToString(), "runtime: it has the operator Unheard, "),
        (mirror({"bad name!": (FLOAT, [None, 1])}), "fields.bad name!"),
    ],
    ids=["empty", "truncated", "text", "JSON", "one instance", "five dimensions", "weights elsewhere", "unknown operator", "name"],
)  # fmt: skip
def test_a_file_that_cannot_be_served_is_refused_with_the_place_and_makes_no_folder(
    content: bytes, words: str, models: Path, store: ModelStore
) -> None:
    assert re.search(words, refusal(content, models, store), re.DOTALL)


def test_a_file_that_is_not_there_is_named(models: Path, store: ModelStore) -> None:
    with pytest.raises(Refused, match=r"FILE=/no/such\.onnx: it cannot be read: No such file"):
        onnx_import.imported("churn", Path("/no/such.onnx"), models, store)


def test_weights_that_an_old_file_lists_among_its_inputs_are_no_fields(
    models: Path, store: ModelStore
) -> None:
    built = onnx.load_model_from_string(CLASSIFIER.SerializeToString())
    built.graph.input.append(helper.make_tensor_value_info("weights", FLOAT, [4, 3]))
    imported(built.SerializeToString(), models, store)
    (field,) = model_definition(models / "churn").document["fields"]
    assert field["name"] == "pixels"
