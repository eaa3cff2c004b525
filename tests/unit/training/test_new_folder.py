"""`make model` and `make import`: a folder that trains and serves as it is, or none at all."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
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
    assert (
        "below triplane:models: and beside the models that are there:\n    churn: champion\n"
        in text
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
    assert "\n    churn: champion\n" in text
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


HUGE = 2**40
COLUMN = {"name": "q", "field": "q", "reads": "number", "table": None}


def columns_of(*columns: object) -> bytes:
    """A model with these in its metadata."""
    built = onnx.load_model_from_string(mirror({"X": (FLOAT, [None, 1])}))
    helper.set_model_props(built, {"columns": json.dumps(columns)})
    return bytes(built.SerializeToString())


def unknown_element() -> bytes:
    built = onnx.load_model_from_string(mirror({"X": (FLOAT, [None, 1])}))
    built.graph.input[0].type.tensor_type.elem_type = 99
    return bytes(built.SerializeToString())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (mirror({"x": (FLOAT, [None, HUGE])}), "x: float \\[\\?, 1099511627776\\]: a vector may have 65,536 numbers"),
        (mirror({"x": (FLOAT, [None, 100_000])}), "a vector may have 65,536 numbers"),
        (mirror({"x": (FLOAT, [None, -5])}), "fields.x.length: -5.*Allowed: 1 to 65536"),
        (mirror({"x": (FLOAT, [None, 1, 2**31, 2**31])}), "fields.x.height: 2147483648.*Allowed: 1 to 4096"),
        (mirror({"x": (FLOAT, [None, *[1] * 10_000])}), "x: float \\[\\?(, 1){9}, …\\]: no field has this type"),
        (mirror({f"x{each}": (FLOAT, [None, 1]) for each in range(501)}), "  and 481 more\n.*may have 500 fields"),
        (mirror({f"x{each}": (FLOAT, [None, 65_000]) for each in range(9)}), "have 1,7[0-9,]+ characters, and 1,048,576"),
        (mirror({"a\x1b[2Jb\nc": (FLOAT, [None, 1])}), r"input a\\x1b\[2Jb\\nc: float"),
        (unknown_element(), "X: unknown type \\[\\?, 1\\]: no field has this type"),
        (columns_of({**COLUMN, "field": 5}), "the metadata `columns` cannot be read: a list of columns"),
        (columns_of({**COLUMN, "field": ["x"]}), "the metadata `columns` cannot be read"),
        (columns_of({**COLUMN, "table": 5}), "the metadata `columns` cannot be read"),
        (columns_of({**COLUMN, "reads": "table", "table": {}}), "the metadata `columns` cannot be read"),
        (columns_of({**COLUMN, "reads": ["q"]}), "the metadata `columns` cannot be read"),
        (columns_of({**COLUMN, "reads": "table", "table": {"\ud800": 1}}), r"\\ud800.*half of a character"),
        (columns_of("q", 5, None), "the metadata `columns` cannot be read"),
    ],
    ids=["vast", "long", "negative", "large picture", "many dimensions", "many inputs", "much text", "control characters",
         "type", "number as field", "list as field", "number as table", "no table", "list as reading", "half a character",
         "no columns"],
)  # fmt: skip
def test_a_hostile_file_is_refused_before_anything_is_made_of_its_sizes(
    content: bytes, words: str, models: Path, store: ModelStore
) -> None:
    tracemalloc.start()
    started = time.process_time()
    text = refusal(content, models, store)
    assert re.search(words, text, re.DOTALL)
    assert all(line.isprintable() for line in text.split("\n"))
    assert time.process_time() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("columns", [HUGE, 10**9, 2001])
def test_an_output_of_more_columns_than_classes_may_be_is_a_tensor(
    columns: int, models: Path, store: ModelStore
) -> None:
    outputs = {"out": (FLOAT, [None, columns])}
    node = helper.make_node("Identity", ["x"], ["out"])
    built = graph([node], {"x": (FLOAT, [None, 3])}, outputs)
    imported(built.SerializeToString(), models, store)
    drafted = (models / "churn" / "model.toml").read_text("utf-8")
    assert (
        f'kind = "tensors" # TODO: out has {columns:,} columns, and classes may be 2,000' in drafted
    )


def labelled_classifier(*labels: str) -> bytes:
    """Scores for classes that the graph names."""
    node = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        coefficients=[0.1 * each for each in range(len(labels) * 2)],
        intercepts=[0.0] * len(labels),
        classlabels_strings=labels,
        post_transform="SOFTMAX",
    )
    outputs = {"label": (TEXT, [None]), "probabilities": (FLOAT, [None, len(labels)])}
    return bytes(graph([node], {"x": (FLOAT, [None, 2])}, outputs).SerializeToString())


def test_classes_of_any_characters_are_the_contracts(models: Path, store: ModelStore) -> None:
    text = imported(labelled_classifier("😀", "größer", 'a "quoted" one\\'), models, store)
    answer = model_definition(models / "churn").document["answer"]
    assert list(answer["classes"]) == ["😀", "größer", 'a "quoted" one\\']
    assert "Passed over" not in text


def test_why_a_likelier_answer_was_passed_over_is_said(models: Path, store: ModelStore) -> None:
    text = imported(labelled_classifier("up", "down", "bell\x07\x7f"), models, store)
    assert model_definition(models / "churn").document["answer"]["kind"] == "tensors"
    assert 'Passed over: kind = "multiclass", output = "probabilities", scores =' in text
    assert r"answer.classes.bell\x07\x7f" in text
    assert "A text of 1 to 200 characters on one line is needed" in text


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
