"""Which digit is in a picture? A small neural network of scikit-learn, whose ONNX input is the picture."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
from data import Digits
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from training import exporters
from training.interface import Contract, Settings, Trained, print_progress

HOLDOUT = 450
"""The last pictures test the model: mostly by other writers than those before, as the writers come one after the other. The data
set does not name them, so one of the 13 may be on both sides."""
TOLERANCE = 1e-5


def shifted(images: NDArray[np.float32], digit: NDArray[np.int64]) -> tuple[Any, Any]:
    """The pictures, and each moved by up to a pixel: nobody draws exactly in the middle."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    height, width = images.shape[1:]
    moves = [(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)]
    moved = [padded[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in moves]
    return np.concatenate(moved), np.tile(digit, len(moves))


def with_picture_input(graph: onnx.ModelProto, name: str, height: int, width: int) -> bytes:
    """The model with an input of pictures in the place of its input of rows, and its probabilities alone."""
    (rows,) = (each.name for each in graph.graph.input)
    shape = onnx.numpy_helper.from_array(np.array([-1, height * width], np.int64), "row")
    graph.graph.initializer.append(shape)
    graph.graph.node.insert(0, onnx.helper.make_node("Reshape", [name, "row"], [rows]))
    picture = onnx.helper.make_tensor_value_info(
        name, onnx.TensorProto.FLOAT, [None, height, width]
    )
    del graph.graph.input[:]
    graph.graph.input.append(picture)
    return exporters.finished(graph)


def scores(digit: Any, probability: Any) -> dict[str, float]:
    """The share of right answers, and the log loss."""
    return {
        "accuracy": round(float(accuracy_score(digit, probability.argmax(axis=1))), 4),
        "log_loss": round(float(log_loss(digit, probability)), 4),
    }


def train(digits: Digits, contract: Contract, settings: Settings) -> Trained:
    """The model as ONNX."""
    field = contract.fields["image"]
    images, digit = digits.images[:-HOLDOUT], digits.digit[:-HOLDOUT]
    later, answer = digits.images[-HOLDOUT:], digits.digit[-HOLDOUT:]
    rows, labels = shifted(images, digit)
    print_progress(f"Training on {len(images):,} pictures, each in 5 places ...")
    network = MLPClassifier((96,), alpha=0.1, max_iter=60, random_state=settings["seed"])
    # One thread: the order of the sums, and so the last bits of the weights, would depend on their number.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 rounds are meant to be enough
        model = make_pipeline(StandardScaler(), network).fit(rows.reshape(len(rows), -1), labels)
        simple = LogisticRegression(max_iter=2000).fit(images.reshape(len(images), -1), digit)
    graph = to_onnx(
        model,
        np.zeros((1, later[0].size), np.float32),
        name="digits",
        options={"zipmap": False},
        target_opset={"": 21, "ai.onnx.ml": 3},
    )
    content = with_picture_input(graph, field.name, *later.shape[1:])

    session = onnxruntime.InferenceSession(content)
    probability = session.run(["probabilities"], {field.name: later})[0]
    difference = float(np.abs(probability - model.predict_proba(later.reshape(HOLDOUT, -1))).max())
    if difference > TOLERANCE:
        raise RuntimeError(f"the ONNX model differs by up to {difference}; {TOLERANCE} is allowed")
    measured = scores(answer, probability)
    baseline = scores(answer, simple.predict_proba(later.reshape(HOLDOUT, -1)))
    return Trained(
        model=content,
        metrics={
            **measured,
            "confusion": confusion_matrix(answer, probability.argmax(axis=1)).tolist(),
        },
        baseline={"model": "logistic regression on the pixels", **baseline},
        card={
            "data": {
                "source": "scikit-learn's load_digits: the test set of UCI's optical digits (CC BY 4.0)",
                "training_rows": len(images),
                "holdout_rows": HOLDOUT,
                "holdout": "the last pictures: mostly other writers",
            },
            "largest_difference_from_scikit_learn": float(f"{difference:.1g}"),
        },
    )
