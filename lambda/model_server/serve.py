"""The model server: one model, one process, in any cloud's container.

Each service says in its own words which port, which routes and which model folder it wants:

- SageMaker: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
- Vertex AI: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
- Azure ML: https://learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container
- Cloud Run, App Service: ``PORT``
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from model_server.encoder import BadInstance, Encoder

LATE_FROM = 0.5
"""A flight is called late when that is likelier than not."""


class Model:
    """A loaded model, which knows its version and how to read a flight."""

    def __init__(self, file: Path) -> None:
        content = file.read_bytes()
        self.version = hashlib.sha256(content).hexdigest()
        options = onnxruntime.SessionOptions()
        # One prediction takes microseconds: handing it to other threads would take longer.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        described = self._session.get_modelmeta().custom_metadata_map
        self._encoder = Encoder(json.loads(described["columns"]))

    def predict(self, instances: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The probability of arriving late, and the verdict, for each instance.

        Raises BadInstance, naming the instance, the field and the reason.
        """
        rows = self._encoder.rows(instances)
        both = self._session.run(["probabilities"], {"X": rows})[0]
        return [
            {"probability": round(late, 6), "late": late >= LATE_FROM}
            for late in both[:, 1].tolist()
        ]


def model_file(environment: Mapping[str, str]) -> Path:
    """Where this service has put ``model.onnx``. Exits with the reason when it is not there."""
    if uri := environment.get("AIP_STORAGE_URI"):
        return _downloaded(uri)
    folder = Path(
        environment.get("AZUREML_MODEL_DIR") or environment.get("SM_MODEL_DIR") or "/opt/ml/model"
    )
    # Azure ML keeps the folder that was registered below the one it names.
    found = sorted(folder.rglob("model.onnx"))
    if len(found) != 1:
        raise SystemExit(
            f"{folder} should hold one model.onnx and holds {len(found)}. The folder is named by "
            "AZUREML_MODEL_DIR or SM_MODEL_DIR; without them it is /opt/ml/model."
        )
    return found[0]


def _downloaded(uri: str) -> Path:
    from google.cloud import storage  # Half a second, which only Vertex AI has to spend.

    file = Path(tempfile.mkdtemp(prefix="model-")) / "model.onnx"
    with file.open("wb") as target:
        storage.Client().download_blob_to_file(f"{uri.rstrip('/')}/model.onnx", target)
    return file


def port(environment: Mapping[str, str]) -> int:
    """The port that this service wants: its own variable, else ``PORT``, else 8080."""
    names = ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PORT")
    return int(next((environment[name] for name in names if name in environment), "8080"))


def app(model: Model, environment: Mapping[str, str]) -> Starlette:
    """The routes of every service at once: none of them minds the others' names."""

    async def health(request: Request) -> Response:
        return _json(200, {"status": "ok", "model_version": model.version})

    async def predict(request: Request) -> Response:
        try:
            instances = json.loads(await request.body())["instances"]
            if not isinstance(instances, list) or not instances:
                raise BadInstance("instances should be a list with at least one flight")
            predictions = model.predict(instances)
        except BadInstance as error:
            return _json(400, {"error": str(error)})
        except (KeyError, RecursionError, TypeError, ValueError):
            return _json(400, {"error": 'the body should be JSON: {"instances": [{...}]}'})
        return _json(200, {"predictions": predictions, "model_version": model.version})

    health_routes = {"/ping", "/healthz", environment.get("AIP_HEALTH_ROUTE", "/ping")}
    predict_routes = {"/invocations", "/score", "/predict"}
    predict_routes.add(environment.get("AIP_PREDICT_ROUTE", "/predict"))
    return Starlette(
        routes=[Route(path, predict, methods=["POST"]) for path in sorted(predict_routes)]
        + [Route(path, health) for path in sorted(health_routes)]
    )


def _json(status: int, content: dict[str, Any]) -> Response:
    body = json.dumps(content, separators=(",", ":")).encode()
    return Response(body, status, media_type="application/json")


def main() -> None:
    """Serve until SIGTERM, then finish the requests under way."""
    model = Model(model_file(os.environ))
    print(f"Serving model {model.version}", flush=True)
    uvicorn.run(
        app(model, os.environ),
        host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104 - a container is reached from outside
        port=port(os.environ),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
