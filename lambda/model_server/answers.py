"""The outputs of a graph as the predictions that a contract describes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.defects import BadAnswer, Defect

Prediction = dict[str, Any]

TOLERANCE = 1e-3
"""How far a probability may be outside 0 to 1, and probabilities of one instance from 1 together: they are float32."""
DIGITS = 6
FLOATING = ("tensor(float)", "tensor(double)", "tensor(float16)")
NUMERIC = (
    *FLOATING,
    "tensor(int64)",
    "tensor(int32)",
    "tensor(int16)",
    "tensor(int8)",
    "tensor(uint8)",
)
BEST = 3
"""The number of classes in an answer whose contract has none."""


class Answer:
    """What all kinds of an answer share. A kind checks that the outputs fit it, and makes predictions of them."""

    wanted = ""
    """The output that the kind needs, in words."""

    def __init__(self, answer: Mapping[str, Any], outputs: Sequence[Any]) -> None:
        self.name: str = answer.get("name", "")
        self.names: list[str] = []
        """The outputs that ONNX Runtime is asked for."""
        self.defects = list(
            self._chosen(answer.get("output"), {each.name: each for each in outputs})
        )

    def _chosen(self, named: str | None, outputs: Mapping[str, Any]) -> Iterator[Defect]:
        """Fill `names`, and give what is wrong with names, types and shapes."""
        fitting = [name for name, each in outputs.items() if self._fits(each)]
        if named is None and len(fitting) > 1:
            fitting = [name for name in fitting if name == "probabilities"] or fitting
        if named is not None and named not in outputs:
            yield Defect(
                "outputs", ", ".join(outputs) or "none", f"{named}, the contract's answer.output"
            )
        elif named in fitting or (named is None and len(fitting) == 1):
            self.names = [named or fitting[0]]
        elif named is None and fitting:
            yield Defect(
                "outputs", ", ".join(fitting), f"one of them as answer.output: {self.wanted}"
            )
        else:
            described = [f"{each.name}: {each.type} {each.shape}" for each in outputs.values()]
            yield Defect("outputs", ", ".join(described) or "none", self.wanted)

    def _fits(self, output: Any) -> bool:
        raise NotImplementedError

    def predictions(self, found: Sequence[Any]) -> list[Prediction]:
        """One prediction an instance. Raises BadAnswer."""
        raise NotImplementedError

    def verify(self, found: Sequence[Any]) -> None:
        """What is checked of the answer to the example alone. Raises BadAnswer."""


class _Scores(Answer):
    """Probabilities, or the logits that they are made of."""

    _logits = False

    def __init__(
        self, answer: Mapping[str, Any], outputs: Sequence[Any], widths: Sequence[int]
    ) -> None:
        self._widths = widths
        """The columns that the output may have; 1 may be no column at all."""
        super().__init__(answer, outputs)

    def _fits(self, output: Any) -> bool:
        """An output of `zipmap` is a list of mappings, and has no shape."""
        if output.type.startswith("seq(map("):
            return True
        return output.type in FLOATING and any(
            _is_output(output.shape, each) for each in self._widths
        )

    def _scores(self, found: Sequence[Any]) -> NDArray[Any]:
        """Rows of so many columns as there are classes, or of one."""
        scores: Any = found[0]
        if isinstance(scores, list):
            scores = np.array([list(each.values()) for each in scores])
        if scores.ndim != 2:
            scores = scores.reshape(len(scores), -1)
        if scores.shape[1] not in self._widths:
            raise BadAnswer(f"the model's answer has {scores.shape[1]} columns")
        return scores  # type: ignore[no-any-return]

    def verify(self, found: Sequence[Any]) -> None:
        scores = self._scores(found)
        together_one = (np.abs(scores.sum(axis=1) - 1) <= TOLERANCE).all()
        if not self._logits and scores.shape[1] > 1 and not together_one:
            raise BadAnswer(f"it is {scores[0].tolist()}")


class Binary(_Scores):
    """The probability of yes: the only column, or the second of two."""

    wanted = "one of floating numbers: the probabilities of no and of yes, or of yes alone"

    def __init__(self, answer: Mapping[str, Any], outputs: Sequence[Any]) -> None:
        self._threshold: float = answer.get("threshold", 0.5)
        super().__init__(answer, outputs, (2, 1))

    def predictions(self, found: Sequence[Any]) -> list[Prediction]:
        scores = self._scores(found)
        name, threshold, predictions = self.name, self._threshold, []
        for index, value in enumerate(scores[:, -1].tolist()):
            if not -TOLERANCE <= value <= 1 + TOLERANCE:  # NaN, too
                raise BadAnswer(f"the probability for instances[{index}] is {value}")
            probability = round(min(max(value, 0.0), 1.0), DIGITS)
            predictions.append({"probability": probability, name: value >= threshold})
        return predictions


class Multiclass(_Scores):
    """The most probable class, and the best few."""

    def __init__(self, answer: Mapping[str, Any], outputs: Sequence[Any]) -> None:
        self._codes = [str(each) for each in answer["classes"]]
        self._logits = answer.get("scores") == "logits"
        self._best = min(answer.get("best", BEST), len(self._codes))
        self.wanted = f"one of floating numbers with {len(self._codes)} columns, one for each class"
        super().__init__(answer, outputs, (len(self._codes),))

    def predictions(self, found: Sequence[Any]) -> list[Prediction]:
        scores = self._scores(found)
        if self._logits:
            scores = _softmax(scores)
        bad = ~((scores >= -TOLERANCE) & (scores <= 1 + TOLERANCE)).all(axis=1)  # NaN, too
        if bad.any():
            index = int(bad.argmax())
            values = f"{scores[index].tolist()}"
            raise BadAnswer(f"the probabilities for instances[{index}] are {values:.200}")
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self._best]
        chosen = np.take_along_axis(scores, order, axis=1).clip(0, 1).tolist()
        predictions = []
        for places, values in zip(order.tolist(), chosen, strict=True):
            best = [
                {"label": self._codes[place], "probability": round(value, DIGITS)}
                for place, value in zip(places, values, strict=True)
            ]
            first = best[0]
            predictions.append(
                {self.name: first["label"], "probability": first["probability"], "best": best}
            )
        return predictions


class Regression(Answer):
    """A number."""

    wanted = "one of numbers: a number for each instance"

    def _fits(self, output: Any) -> bool:
        return output.type in NUMERIC and _is_output(output.shape, 1)

    def predictions(self, found: Sequence[Any]) -> list[Prediction]:
        values = found[0].reshape(-1).tolist()
        for index, value in enumerate(values):
            if not math.isfinite(value):
                raise BadAnswer(f"the answer to instances[{index}] is {value}")
        return [{self.name: round(value, DIGITS)} for value in values]


class Tensors(Answer):
    """Outputs as they are, as nested lists."""

    wanted = "tensors of numbers, booleans or texts, with a part for each instance"

    def __init__(self, answer: Mapping[str, Any], outputs: Sequence[Any]) -> None:
        self._listed: Sequence[str] = answer.get("outputs") or [each.name for each in outputs]
        super().__init__(answer, outputs)

    def _chosen(self, _named: str | None, outputs: Mapping[str, Any]) -> Iterator[Defect]:
        for name in self._listed:
            if name not in outputs:
                found = ", ".join(outputs) or "none"
                yield Defect("outputs", found, f"{name}, which the contract's answer.outputs names")
            elif not self._fits(outputs[name]):
                each = outputs[name]
                yield Defect("outputs", f"{name}: {each.type} {each.shape}", self.wanted)
        self.names = list(self._listed)

    def _fits(self, output: Any) -> bool:
        shape = output.shape
        return output.type in (*NUMERIC, "tensor(bool)", "tensor(string)") and not (
            shape and isinstance(shape[0], int)
        )

    def predictions(self, found: Sequence[Any]) -> list[Prediction]:
        columns = []
        for name, each in zip(self.names, found, strict=True):
            if each.dtype.kind == "f":
                finite = np.isfinite(each)
                if not finite.all():
                    index = int((~finite.reshape(len(each), -1)).any(axis=1).argmax())
                    raise BadAnswer(
                        f"{name} for instances[{index}] has a number that is not finite"
                    )
                exact = each.astype(np.float64)
                with np.errstate(
                    over="ignore"
                ):  # NumPy multiplies; a number so large has no decimals
                    rounded = exact.round(DIGITS)
                each = np.where(np.isfinite(rounded), rounded, exact)
            columns.append(each.tolist())
        return [dict(zip(self.names, values, strict=True)) for values in zip(*columns, strict=True)]


KINDS: Mapping[str, type[Answer]] = {
    "binary": Binary,
    "multiclass": Multiclass,
    "regression": Regression,
    "tensors": Tensors,
}


def _is_output(shape: Sequence[int | str | None], columns: int) -> bool:
    """Whether a shape can be any number of instances with so many columns; one may be no column at all.

    A graph need not say the shape of an output: then the answer to the example decides.
    """
    if not shape:
        return True
    if isinstance(shape[0], int) or len(shape) > 2:
        return False
    return columns == 1 if len(shape) == 1 else shape[1] == columns or not isinstance(shape[1], int)


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    exact = logits.astype(np.float64)
    with np.errstate(all="ignore"):  # infinity becomes NaN, which is refused
        powers = np.exp(exact - exact.max(axis=1, keepdims=True))
    found: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return found
