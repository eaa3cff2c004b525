"""What each kind of an answer makes of a graph's outputs, and which outputs it refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from model_server.defects import BadAnswer, UnfitModel
from model_server.model import Model
from onnx import TensorProto, helper

from tests.onnx_models import contract, graph, mirror

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def answering(answer: dict[str, Any], example: list[float], output: str = "scores") -> Model:
    """A model that answers with the numbers of its request."""
    width = len(example)
    document = contract({"given": {"type": "vector", "length": width}}, answer, {"given": example})
    form = {"given": (FLOAT, [None, width])}
    return Model(mirror(form, {"given": output}), document)


def predicted(model: Model, *given: list[float]) -> list[dict[str, Any]]:
    return model.predictions([{"given": each} for each in given])


LATE = {"kind": "binary", "name": "late"}
DIGIT = {"kind": "multiclass", "name": "digit", "classes": {"a": "A", "b": "B", "c": "C", "d": "D"}}
DELAY = {"kind": "regression", "name": "delay"}


def test_a_binary_answer_has_the_probability_of_yes() -> None:
    assert predicted(answering(LATE, [0.25, 0.75]), [0.2, 0.8], [0.9, 0.1]) == [
        {"probability": 0.8, "late": True},
        {"probability": 0.1, "late": False},
    ]
    assert predicted(answering(LATE, [0.75]), [0.5], [0.25]) == [
        {"probability": 0.5, "late": True},
        {"probability": 0.25, "late": False},
    ]


def test_the_threshold_decides_between_yes_and_no() -> None:
    model = answering({**LATE, "threshold": 0.9}, [0.25, 0.75])
    assert [each["late"] for each in predicted(model, [0.2, 0.8], [0.05, 0.95])] == [False, True]


def test_a_multiclass_answer_has_the_best_classes_in_their_order() -> None:
    model = answering(DIGIT, [0.1, 0.2, 0.3, 0.4])
    assert predicted(model, [0.1, 0.6, 0.05, 0.25]) == [
        {
            "digit": "b",
            "probability": 0.6,
            "best": [
                {"label": "b", "probability": 0.6},
                {"label": "d", "probability": 0.25},
                {"label": "a", "probability": 0.1},
            ],
        }
    ]


def test_logits_become_probabilities_also_where_their_exponentials_overflow() -> None:
    model = answering({**DIGIT, "scores": "logits", "best": 4}, [1000, -1000, 999, 0])
    (found,) = predicted(model, [1000, -1000, 999, 0])
    assert [each["label"] for each in found["best"]] == ["a", "c", "b", "d"]
    exact = 1 / (1 + np.exp(-1))
    assert [each["probability"] for each in found["best"]] == [
        round(exact, 6),
        round(1 - exact, 6),
        0,
        0,
    ]


def test_a_regression_answers_with_a_number() -> None:
    assert predicted(answering(DELAY, [1.5]), [-12.3456789], [7]) == [
        {"delay": -12.345679},
        {"delay": 7.0},
    ]


def test_tensors_are_nested_lists_of_the_outputs_that_the_contract_names() -> None:
    fields = {"given": {"type": "vector", "length": 2}, "place": {"type": "integer"}}
    example = {"given": [1, 2], "place": 3}
    built = mirror({"given": (FLOAT, [None, 2]), "place": (INT64, [None])})
    model = Model(built, contract(fields, {"kind": "tensors"}, example))
    assert model.predictions([example, {"given": [0.1, 9], "place": 4}]) == [
        {"seen_given": [1, 2], "seen_place": 3},
        {"seen_given": [0.1, 9], "seen_place": 4},
    ]
    one = Model(built, contract(fields, {"kind": "tensors", "outputs": ["seen_place"]}, example))
    assert one.predictions([example]) == [{"seen_place": 3}]


def test_the_mappings_of_zipmap_are_read_in_the_order_of_their_classes() -> None:
    zipped = helper.make_node(
        "ZipMap", ["given"], ["zipped"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]
    )
    built = graph([zipped], {"given": (FLOAT, [None, 2])}, {})
    element = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
    shown = helper.make_value_info("zipped", helper.make_sequence_type_proto(element))
    built.graph.output.append(shown)
    document = contract({"given": {"type": "vector", "length": 2}}, LATE, {"given": [0.25, 0.75]})
    model = Model(built.SerializeToString(), document)
    assert predicted(model, [0.75, 0.25]) == [{"probability": 0.25, "late": False}]


@pytest.mark.parametrize("output", ["probabilities", "other"])
def test_of_several_fitting_outputs_the_named_one_counts_or_probabilities(output: str) -> None:
    forms = {"given": (FLOAT, [None, 2]), "decoy": (FLOAT, [None, 2])}
    fields = {each: {"type": "vector", "length": 2} for each in forms}
    example = {"given": [0.25, 0.75], "decoy": [1, 0]}
    built = mirror(forms, {"given": output, "decoy": "decoy_out"})
    named = {**LATE, "output": output} if output == "other" else LATE
    assert (
        Model(built, contract(fields, named, example)).predictions([example])[0]["probability"]
        == 0.75
    )
    if output == "other":
        with pytest.raises(
            UnfitModel, match=r"outputs: other, decoy_out. Wanted: one of them as answer.output"
        ):
            Model(built, contract(fields, LATE, example))


@pytest.mark.parametrize(
    ("answer", "example", "reason"),
    [
        (LATE, [0.2, 0.3, 0.5], r"outputs: scores: tensor\(float\) \[None, 3\]. Wanted: .*no and of yes"),
        (DIGIT, [0.5, 0.5], r"\[None, 2\]. Wanted: one of floating numbers with 4 columns, one for each class"),
        (DELAY, [1, 2], r"\[None, 2\]. Wanted: one of numbers: a number for each instance"),
        ({**LATE, "output": "label"}, [0.5, 0.5], "outputs: scores. Wanted: label, the contract's answer.output"),
        ({"kind": "tensors", "outputs": ["y"]}, [1.0], "outputs: scores. Wanted: y, which the contract's answer.outputs"),
        (LATE, [0.2, 0.3], r"answer to the example: it is \[0.2.*finite, and .* together 1"),
        (LATE, [1.5, -0.5], r"answer to the example: the probability for instances\[0\] is -0.5"),
        (DIGIT, [2, -1, 0, 0], r"answer to the example: the probabilities for instances\[0\] are \[2"),
        ({"kind": "opinion"}, [1.0], "contract: a part of contract.json is missing or wrong"),
    ],
)  # fmt: skip
def test_an_output_that_contradicts_the_contract_is_refused_with_both(
    answer: dict[str, Any], example: list[float], reason: str
) -> None:
    with pytest.raises(UnfitModel, match=reason):
        answering(answer, example)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("answer", "example"),
    [
        (LATE, [0.25, 0.75]),
        (DIGIT, [0.25] * 4),
        ({**DIGIT, "scores": "logits"}, [0.25] * 4),
        (DELAY, [1.0]),
        ({"kind": "tensors"}, [1.0, 2.0]),
    ],
)  # fmt: skip
def test_no_answer_has_nan_or_infinity(
    answer: dict[str, Any], example: list[float], value: float
) -> None:
    with pytest.raises(BadAnswer, match=r"instances\[1\]|softmax"):
        predicted(answering(answer, example), example, [value] * len(example))


def test_a_model_that_gives_another_number_of_answers_is_refused() -> None:
    """For two equal instances, one answer."""
    node = helper.make_node("Unique", ["given"], ["y"])
    built = graph([node], {"given": (FLOAT, [None])}, {"y": (FLOAT, [None])})
    document = contract({"given": {"type": "number"}}, DELAY, {"given": 1})
    with pytest.raises(UnfitModel, match="answer to the example: 1 answers came for 2 instances"):
        Model(built.SerializeToString(), document)


def test_what_the_graph_cannot_compute_is_no_answer_and_has_its_reason() -> None:
    """The rows of a table: a position outside of it is an error of ONNX Runtime."""
    node = helper.make_node("Gather", ["table", "given"], ["y"])
    built = graph(
        [node],
        {"given": (INT64, [None])},
        {"y": (FLOAT, [None])},
        {"table": np.arange(3, dtype=np.float32)},
    )
    document = contract({"given": {"type": "integer"}}, DELAY, {"given": 1})
    model = Model(built.SerializeToString(), document)
    assert model.predictions([{"given": 2}]) == [{"delay": 2.0}]
    with pytest.raises(BadAnswer, match=r"ONNX Runtime says: .*out of data bounds"):
        model.predictions([{"given": 3}])


def test_a_prediction_of_any_kind_is_json() -> None:
    for answer, example in (
        (LATE, [0.25, 0.75]),
        (DIGIT, [0.25] * 4),
        (DELAY, [1.0]),
        ({"kind": "tensors"}, [1.0]),
    ):
        found = predicted(answering(answer, example), example)
        assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    "answer", [LATE, DIGIT, DELAY, {"kind": "tensors"}], ids=lambda each: each["kind"]
)
def test_an_output_without_a_part_for_each_instance_is_refused(answer: dict[str, Any]) -> None:
    """The sum of everything, whose shape the graph does not say."""
    node = helper.make_node("ReduceSum", ["given"], ["y"], keepdims=0)
    built = graph([node], {"given": (FLOAT, [None, 2])}, {})
    built.graph.output.append(helper.make_tensor_value_info("y", FLOAT, None))
    document = contract({"given": {"type": "vector", "length": 2}}, answer, {"given": [0.25, 0.75]})
    with pytest.raises(UnfitModel, match=r"answer to the example: |outputs: "):
        Model(built.SerializeToString(), document)


@pytest.mark.parametrize("large", [1e302, -1.7e308, 123456789012345680.0])
def test_a_number_that_is_too_large_for_decimals_is_unchanged(large: float) -> None:
    """NumPy rounds by multiplying: 1e302 would become infinity, which is no JSON."""
    form = {"given": (TensorProto.DOUBLE, [None])}
    document = contract({"given": {"type": "number"}}, {"kind": "tensors"}, {"given": 1})
    with np.errstate(over="raise"):  # as in the server
        found = Model(mirror(form), document).predictions([{"given": large}])
    assert found == [{"seen_given": large}]
