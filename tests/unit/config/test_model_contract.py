"""config.model_contract: model.toml in, the contract document out; or one message with every mistake."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.model_contract import (
    BadContract,
    canonical_json,
    checked_document,
    labelled,
    model_definition,
    name_problem,
    version_of,
    version_text,
)

ROOT = Path(__file__).resolve().parents[3]
CONTRACTS = ROOT / "tests" / "contracts"
MODELS = sorted(file.stem for file in CONTRACTS.iterdir())
"""The examples: another model in models/ changes no test."""

VALID = """
title = "Churn"
question = "Will this customer leave?"

[fields.age]
type = "integer"
minimum = 0
maximum = 120

[fields.plan]
type = "category"
values = ["basic", "premium"]

[answer]
kind = "binary"
name = "leaves"

[example]
age = 40
plan = "basic"
"""


def definition_of(text: str, folder: Path, name: str = "churn") -> Any:
    (folder / name).mkdir(parents=True)
    (folder / name / "model.toml").write_text(text)
    return model_definition(folder / name)


def refusal_of(text: str, folder: Path, name: str = "churn") -> str:
    with pytest.raises(BadContract) as caught:
        definition_of(text, folder, name)
    return str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_the_contract_of_each_example_is_as_reviewed(name: str) -> None:
    document = model_definition(ROOT / "models" / name).document
    assert canonical_json(document) == (CONTRACTS / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_a_contract_document_is_checked_as_its_model_toml_is(name: str) -> None:
    document = json.loads((CONTRACTS / f"{name}.json").read_bytes())
    assert checked_document(document, "contract.json") == document


def with_images(*limits: int | None) -> dict[str, Any]:
    """A contract document with an optional image for each of these limits."""
    document = json.loads((CONTRACTS / "arrival-delay.json").read_bytes())
    size = {"width": 8, "height": 8, "mode": "rgb", "required": False}
    for number, limit in enumerate(limits):
        image = {"name": f"photo{number}", "type": "image", **size}
        document["fields"].append(image if limit is None else {**image, "max_bytes": limit})
    return document


@pytest.mark.parametrize("limits", [(None,), (2**19, 2**19), (2**20 - 100, 100), (2000,) * 400])
def test_images_that_fit_into_one_request_to_an_endpoint_are_a_contract(limits: Any) -> None:
    checked_document(with_images(*limits), "contract.json")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ((None, None), "have 2,097,152. Write max_bytes = 524288 in each of the 2"),
        ((2**20, 100), "have 1,048,676. Write max_bytes = 524288 in each of the 2"),
        ((None,) * 400, "have 419,430,400. Write max_bytes = 2621 in each of the 400"),
    ],
)
def test_images_that_no_endpoint_takes_in_one_request_are_refused(limits: Any, words: str) -> None:
    with pytest.raises(BadContract) as caught:
        checked_document(with_images(*limits), "contract.json")
    text = str(caught.value)
    assert "fields.photo0.max_bytes: 1048576" in text
    assert words in text


def test_silence_in_a_contract_has_its_defaults_in_the_document(tmp_path: Path) -> None:
    document = definition_of(VALID, tmp_path).document
    assert document["name"] == "churn"
    assert document["max_batch"] == 100
    assert document["fields"][0]["label"] == "age"
    assert document["fields"][0]["required"] is True
    assert document["fields"][1]["values"] == {"basic": "basic", "premium": "premium"}
    assert document["answer"] == {
        "kind": "binary",
        "name": "leaves",
        "label": "leaves",
        "threshold": 0.5,
        "yes": "yes",
        "no": "no",
    }


def test_a_version_is_what_sha256sum_of_contract_and_model_prints() -> None:
    text = version_text(b"contract", b"model")
    assert text == (
        "cc8321d6375c494d043fdd0260f21bc0ec51dacc9f6abb7f909cdcd3041b78bf  contract.json\n"
        "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4  model.onnx\n"
    )
    assert version_of(text) == "a87b2674f597ca44a02d25a3e7cd871957b2c1a6de74760b80301011792cfacd"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Churn", "Did you mean churn?"),
        ("a", "2 to 24"),
        ("double--hyphen", "Did you mean double-hyphen?"),
        ("champion", "is a word of the gateway's routes or of the model store"),
        ("v2", "is a word"),
    ],
)
def test_a_name_that_cannot_be_a_model_is_refused(name: str, words: str) -> None:
    assert words in str(name_problem(name))
    assert name_problem("flight-delay") is None


@pytest.mark.parametrize("name", ["Predict", "MODELS", "v2!"])
def test_no_reserved_word_is_proposed_for_a_wrong_name(name: str) -> None:
    assert "Did you mean" not in str(name_problem(name))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"integer"', '"intger"', ["fields.age.type", "Allowed: number, integer", "Did you mean integer?"]),
        ("maximum = 120", "maximun = 120", ["fields.age.maximun: 120", "Did you mean maximum?"]),
        ("maximum = 120", "maximum = -1", ["fields.age", "minimum (0) is above maximum (-1)"]),
        ("maximum = 120", 'maximum = "120"', ["fields.age.maximum: 120", "whole number", "without quotes"]),
        ('["basic", "premium"]', "[1, 2]", ["fields.plan.values", "write them in quotes"]),
        ('["basic", "premium"]', '["basic", "basic"]', ["fields.plan.values", "twice: basic"]),
        ('["basic", "premium"]', '["basic", "a\\u0007"]', ["fields.plan.values.a\\x07: a\\x07", "on one line is needed"]),
        ('"binary"', '"binry"', ["answer.kind", "Did you mean binary?"]),
        ('kind = "binary"', "", ["answer.kind", "Missing. Allowed: binary, multiclass"]),
        ('name = "leaves"', 'name = "probability"', ["answer.name: probability", "another name"]),
        ('name = "leaves"', 'name = "leaves"\nthreshold = 2', ["answer.threshold: 2", "Allowed: 0 to 1"]),
        ("age = 40", "age = 400", ["example.age: 400", "Allowed: from 0 to 120"]),
        ("age = 40", "", ["example.age: (not set)", "Missing"]),
        ("age = 40", "age = 40\npaln = 1", ["example.paln: 1", "Did you mean plan?"]),
        ('title = "Churn"', "", ["title: (not set)", "Missing"]),
        ('title = "Churn"', "title = 5", ["title: 5", "write it in quotes"]),
        ('title = "Churn"', 'title = ""', ['title: ""', "A text of 1 to 100 characters"]),
        ('["basic", "premium"]', "[]", ["fields.plan.values: []", "There are 0, and at least 1"]),
        ('type = "integer"', 'typ = "integer"', ["fields.age.type: (not set)", "The table has typ: did you mean type?"]),
        ('kind = "binary"', 'knd = "binary"', ["answer.kind: (not set)", "The table has knd: did you mean kind?"]),
        ('type = "integer"', 'type = "foo"\nlable = "Age"', ["fields.age.type: foo\n", "fields.age.lable: Age\n      No such key. Did you mean label?"]),
        ('type = "integer"', 'lable = "Age"', ["fields.age.type: (not set)", "fields.age.lable: Age\n      No such key. Did you mean label?"]),
        ('kind = "binary"', 'kind = "binari"', ["answer.kind: binari\n      Allowed: binary, multiclass"]),
        ("[answer]", "[answr]", ["answr", "Did you mean answer?"]),
        ("[example]", "[training]\nquick = true\n[example]", ["training.quick: true", "a text or a number"]),
        ("[example]", "[training]\nQuick = 1\n[example]", ["training.Quick", "lower-case letters"]),
        ("minimum = 0", "minimum = nan", ["fields.age.minimum"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_key_and_the_way_out(
    before: str, after: str, words: list[str], tmp_path: Path
) -> None:
    assert before in VALID
    message = refusal_of(VALID.replace(before, after, 1), tmp_path)
    assert message.startswith("models/churn/model.toml: ")
    for word in words:
        assert word in message


def test_mistakes_that_hide_others_are_reported_with_them_in_one_run(tmp_path: Path) -> None:
    """A misspelt type hides the keys of its table, a misspelt key the order of its limits, and all of them the example."""
    text = (
        VALID.replace('"integer"', '"integr"')
        .replace("minimum = 0", "minimun = 500")
        .replace('plan = "basic"', 'plan = "basc"')
        .replace('title = "Churn"', "titel = 5")
        .replace("[answer]", '[fields.spent]\ntyp = "number"\nmaximun = "1"\n\n[answer]')
    )
    found = refusal_of(text + "paln = 1\n", tmp_path)
    for line in (
        "fields.age.type: integr\n",
        "fields.age.minimun: 500\n      No such key. Did you mean minimum?",
        "fields.age:\n      minimum (500) is above maximum (120).",
        "fields.spent.type: (not set)\n      Missing. The table has typ: did you mean type?",
        "fields.spent.maximun: 1\n      No such key. Did you mean maximum?",
        "title: (not set)\n",
        "titel: 5\n      No such key. Did you mean title?",
        "example.plan: basc\n      Allowed: basic, premium.",
        "example.paln: 1\n      No such field. Did you mean plan?",
    ):
        assert line in found
    assert "{" not in found, "a table is not shown"


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["date", "image", "multiclass", "2026-02-30", "00:60", "x" * 5000, "\ud800"]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of each value inside of another."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # fmt: skip
    return [path, *(each for key, part in inner for each in places(part, (*path, key)))]


def test_a_field_of_no_type_whose_name_is_no_unicode_text_is_refused_in_words() -> None:
    document = json.loads((CONTRACTS / "flight-delay.json").read_bytes())
    document["fields"][0] |= {"name": "\ud800", "type": None}
    with pytest.raises(BadContract, match=r"contract\.json: "):
        checked_document(document, "contract.json")


@settings(deadline=None)  # a busy machine says nothing of a contract
@given(st.data())
def test_a_contract_with_anything_anywhere_is_a_contract_or_is_refused_in_words(
    data: st.DataObject,
) -> None:
    document = json.loads((CONTRACTS / f"{data.draw(st.sampled_from(MODELS))}.json").read_bytes())
    for _ in range(data.draw(st.integers(1, 2))):
        *parents, last = data.draw(st.sampled_from(places(document)[1:]))
        inner = document
        for key in parents:
            inner = inner[key]
        if isinstance(inner, dict) and data.draw(st.booleans()):
            inner[data.draw(st.sampled_from(["type", "kind", "name", "minimum", "odd"]))] = data.draw(ODD)  # fmt: skip
        else:
            inner[last] = data.draw(ODD)
        if not isinstance(document, dict):
            break
    refusal, found = "", None
    try:
        found = checked_document(document, "contract.json")
    except BadContract as error:
        refusal = str(error)
    if found is None:
        assert refusal.startswith("contract.json: ")
        assert "pydantic" not in refusal
    else:
        assert checked_document(json.loads(canonical_json(found)), "contract.json") == found


@pytest.mark.parametrize("twice", ["", "0"])
def test_many_codes_are_judged_at_once(twice: str) -> None:
    """Comparing each with each took ten seconds."""
    codes = [*map(str, range(20_000)), *twice]
    started = time.process_time()
    with pytest.raises(ValueError, match="twice: 0") if twice else contextlib.nullcontext():
        assert labelled(codes) == {each: each for each in codes}
    assert time.process_time() - started < 1
