"""Checks a model's predictions against the answer in its contract."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Answer = Mapping[str, Any]
"""The answer of a contract, as its document has it."""
Check = Callable[[Any], dict[str, Any]]


class BadPrediction(Exception):
    """The prediction does not have the form of the contract's answer. The message is for the log."""


def check(answer: Answer) -> Check:
    """The check of one prediction. Raises KeyError for a kind that nothing here checks."""
    return CHECKS[answer["kind"]](answer)


def _is_number(value: Any) -> bool:
    return type(value) in (float, int) and math.isfinite(value)


def _is_probability(value: Any) -> bool:
    return type(value) in (float, int) and 0 <= value <= 1


def _binary(answer: Answer) -> Check:
    name: str = answer["name"]

    def valid(prediction: Any) -> dict[str, Any]:
        match prediction:
            case {"probability": probability} if _is_probability(probability):
                verdict = prediction.get(name)
                if type(verdict) is bool:
                    return {"probability": probability, name: verdict}
        raise BadPrediction(f"a prediction is not a probability and {name}, true or false")

    return valid


def _multiclass(answer: Answer) -> Check:
    name: str = answer["name"]
    codes = frozenset(answer["classes"])
    most: int = answer["best"]

    def one_of_the_best(entry: Any) -> dict[str, Any]:
        match entry:
            case {"label": str(label), "probability": probability}:
                if label in codes and _is_probability(probability):
                    return {"label": label, "probability": probability}
        raise BadPrediction("one of the best is not a class and its probability")

    def valid(prediction: Any) -> dict[str, Any]:
        match prediction:
            case {"probability": probability, "best": [*best]} if _is_probability(probability):
                code = prediction.get(name)
                if type(code) is str and code in codes and 1 <= len(best) <= most:
                    return {
                        name: code,
                        "probability": probability,
                        "best": [one_of_the_best(each) for each in best],
                    }
        raise BadPrediction(f"a prediction is not {name}, its probability and the {most} best")

    return valid


def _regression(answer: Answer) -> Check:
    name: str = answer["name"]

    def valid(prediction: Any) -> dict[str, Any]:
        if isinstance(prediction, dict) and _is_number(prediction.get(name)):
            return {name: prediction[name]}
        raise BadPrediction(f"a prediction is not {name}, a finite number")

    return valid


def _tensors(answer: Answer) -> Check:
    names = answer.get("outputs")

    def is_tensor(value: Any) -> bool:
        if isinstance(value, list):
            return all(is_tensor(each) for each in value)
        return isinstance(value, str | bool) or _is_number(value)

    def valid(prediction: Any) -> dict[str, Any]:
        if isinstance(prediction, dict) and prediction:
            wanted = prediction if names is None else names
            if set(wanted) == prediction.keys() and all(map(is_tensor, prediction.values())):
                return dict(prediction)
        raise BadPrediction("a prediction is not a tensor for each output")

    return valid


CHECKS: Mapping[str, Callable[[Answer], Check]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "regression": _regression,
    "tensors": _tensors,
}
