"""Training: data in, ONNX and honest figures out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from training import exporters
from training.interface import BadSetting, Contract, Settings, Trained


def train(data: pd.DataFrame, contract: Contract, settings: Settings) -> Trained:
    """The model. The same data, code and settings should give the same bytes: fix every seed."""
    count = settings["customers"]
    if not 100 <= count < len(data):
        raise BadSetting(
            "customers", count, f"Allowed: 100 to {len(data) - 1}; the others test the model."
        )
    known, holdout = data[:count], data[count:]
    # The fields as the model server will hand them over, so that training and serving cannot differ.
    rows = exporters.columns(contract, known.to_dict("records"))
    others = holdout.to_dict("records")

    codes = [name for name, field in contract.fields.items() if field.type == "category"]
    numbers = [name for name in contract.fields if name not in codes]
    model = make_pipeline(
        ColumnTransformer(
            [("codes", OrdinalEncoder(), codes), ("numbers", "passthrough", numbers)]
        ),
        HistGradientBoostingClassifier(max_iter=50, random_state=0, early_stopping=False),
    ).fit(rows, known["leaves"])

    content = exporters.from_sklearn(model, contract)
    probability = model.predict_proba(exporters.columns(contract, others))[:, 1]
    exporters.largest_difference(content, contract, others, probability)

    # How good it is on data that it has not seen, and how good the simplest answer is.
    always = np.full(len(holdout), known["leaves"].mean())
    return Trained(
        model=content,
        metrics=scores(holdout["leaves"], probability),
        baseline={"model": "always the mean", **scores(holdout["leaves"], always)},
        card={"data": {"source": "made up", "rows": len(known), "holdout_rows": len(holdout)}},
    )


def scores(leaves: pd.Series[bool], probability: np.ndarray) -> dict[str, float]:  # type: ignore[type-arg]
    """AUC (higher is better) and log loss (lower is better)."""
    return {
        "auc": round(float(roc_auc_score(leaves, probability)), 4),
        "log_loss": round(float(log_loss(leaves, probability)), 4),
    }
