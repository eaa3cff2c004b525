"""The comparison of bench/serving.py: the same model in the usual way, scikit-learn behind Flask.

gunicorn starts it as ``bench.flask_server:create_app()``. It fits the trees at its start, with the code that trained
the served model. So no pickle is needed, and both servers have the same trees.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flask import Flask, Response, jsonify, request

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lambda"))

from model_server.encoder import Encoder
from training import fit
from training.interface import Contract

from config.model_contract import model_definition

FOLDER = Path(__file__).resolve().parent.parent / "models" / "flight-delay"


def create_app() -> Flask:
    """Answers ``POST /predict`` as the model server does."""
    contract = Contract(model_definition(FOLDER).document)
    data, train = fit.module(FOLDER, "data"), fit.module(FOLDER, "train")
    known = train.examples(data.load(contract), contract)
    model = train.fit(known, known.part(1, train.LAST_MONTH))
    encoder = Encoder(known.columns)
    app = Flask("flask_server")

    @app.post("/predict")
    def predict() -> Response:
        rows = encoder.rows(request.get_json()["instances"])
        found = model.predict_proba(rows)[:, 1].tolist()
        return jsonify(
            predictions=[{"probability": round(late, 6), "late": late >= 0.5} for late in found],
            model_version="the same, refitted",
        )

    return app
