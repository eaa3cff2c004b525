"""The model server: one model, one process, in any cloud's container.

Each service has its own settings for the port, the routes and the folder of the model:

- SageMaker: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
- Vertex AI: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
- Azure ML: https://learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container
- Cloud Run, App Service: ``PORT``

Plain ASGI: two routes need no framework. Starlette takes a quarter of the time to the first prediction, and costs
a third of the predictions a second.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from model_server.encoder import BadInstance, Encoder
from model_server.http_protocol import HttpProtocol
from model_server.model_check import Contract, UnfitModel, refuse_unfit, session

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

KEEP_ALIVE_SECONDS = 620
"""Longer than a front end keeps an idle connection, so that the server never closes one that a front end is about to
use: its caller would get 502. Documented are 600 s on Google Cloud
(https://docs.cloud.google.com/load-balancing/docs/https/request-distribution) and 4 minutes on Azure
(https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset). SageMaker's documents name no time."""

MAX_BODY_BYTES = 32 * 2**20
"""That no service passes on more is believed; serverless SageMaker passes on 4 MB.
https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html"""
DOWNLOAD_SECONDS = 2 * 60
"""How long a download is tried again that Cloud Storage refuses."""
LATE_FROM = 0.5
"""The probability from which a flight is called late."""


class Model:
    """A loaded model, with its version and its encoding. Raises UnfitModel for one that could not answer."""

    def __init__(self, file: Path) -> None:
        content = file.read_bytes()
        self.version = hashlib.sha256(content).hexdigest()
        self._session = session(content)
        self._encoder = Encoder(refuse_unfit(self._session, Contract()))

    def predict(self, instances: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The probability of arriving late, and whether that means late, for each instance.

        Raises BadInstance, naming the instance, the field and the reason.
        """
        rows = self._encoder.rows(instances)
        probabilities = self._session.run(["probabilities"], {"X": rows})[0]
        return [
            {"probability": round(late, 6), "late": late >= LATE_FROM}
            for late in probabilities[:, 1].tolist()
        ]


def model_file(environment: Mapping[str, str]) -> Path:
    """The path of ``model.onnx`` on this service. Exits with the reason when there is none."""
    if uri := environment.get("AIP_STORAGE_URI"):
        return _downloaded(uri)
    folder = Path(
        environment.get("AZUREML_MODEL_DIR") or environment.get("SM_MODEL_DIR") or "/opt/ml/model"
    )
    # Azure ML puts the registered folder below the folder that its variable names.
    found = sorted(folder.rglob("model.onnx"))
    if len(found) != 1:
        raise SystemExit(
            f"{folder} should hold one model.onnx and holds {len(found)}. The folder is named by "
            "AZUREML_MODEL_DIR or SM_MODEL_DIR; without them it is /opt/ml/model."
        )
    return found[0]


def _downloaded(uri: str) -> Path:
    """The model, downloaded. It is refused as long as the new grant for this server is not in force everywhere.

    https://cloud.google.com/iam/docs/access-change-propagation
    """
    # The imports take half a second, so only on Vertex AI.
    from google.api_core.exceptions import Forbidden, NotFound
    from google.api_core.retry import Retry, if_exception_type
    from google.cloud import storage

    file = Path(tempfile.mkdtemp(prefix="model-")) / "model.onnx"
    client = storage.Client()

    @Retry(if_exception_type(Forbidden, NotFound), maximum=10, timeout=DOWNLOAD_SECONDS)
    def download() -> None:
        with file.open("wb") as target:
            client.download_blob_to_file(f"{uri.rstrip('/')}/model.onnx", target)

    download()
    return file


def port(environment: Mapping[str, str]) -> int:
    """The port for this service: its own variable, else ``PORT``, else 8080."""
    names = ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PORT")
    return int(next((environment[name] for name in names if name in environment), "8080"))


class App:
    """The routes of all services at once: no service uses the names of another."""

    def __init__(self, model: Model | UnfitModel, environment: Mapping[str, str]) -> None:
        self._model = model
        self._predict = {"/predict", "/invocations", "/score"}
        self._predict.add(environment.get("AIP_PREDICT_ROUTE", "/predict"))
        self._health = {"/healthz", "/ping", environment.get("AIP_HEALTH_ROUTE", "/ping")}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body, more = bytearray(), True
        while more and len(body) <= MAX_BODY_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status, content = self.answer(scope["method"], scope["path"], bytes(body))
        answer = json.dumps(content, separators=(",", ":")).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and content for one request."""
        if len(body) > MAX_BODY_BYTES:
            return 413, {"error": f"the body may have {MAX_BODY_BYTES} bytes"}
        if path in self._health:
            allowed = method in ("GET", "HEAD")
        elif path in self._predict:
            allowed = method == "POST"
        else:
            return 404, {"error": f"nothing is at {path:.80}"}
        if not allowed:
            return 405, {"error": f"{path} does not take {method:.20}"}
        if isinstance(self._model, UnfitModel):
            reasons = [str(each) for each in self._model.defects]
            return 503, {"error": "the model cannot be served", "reasons": reasons}
        version = self._model.version
        if path in self._health:
            return 200, {"status": "ok", "model_version": version}
        try:
            predictions = self._model.predict(_instances(body))
            return 200, {"predictions": predictions, "model_version": version}
        except BadInstance as error:
            return 400, {"error": str(error)}


def _instances(body: bytes) -> list[Mapping[str, Any]]:
    """The instances of a request. Raises BadInstance."""
    try:
        instances = json.loads(body)["instances"]
    except (KeyError, RecursionError, TypeError, ValueError):
        raise BadInstance('the body should be JSON: {"instances": [{...}]}') from None
    if not isinstance(instances, list) or not instances:
        raise BadInstance("instances should be a list with at least one flight")
    return instances


def main() -> None:
    """Serve until SIGTERM, then finish the running requests.

    A model that cannot be served is refused in the log and by the health route: a container that ends would be started
    again and again, and the reason would be in none of its answers.
    """
    model: Model | UnfitModel
    try:
        model = Model(model_file(os.environ))
        print(f"Serving model {model.version}", flush=True)
    except UnfitModel as error:
        model = error
        print(f"The model cannot be served.\n{error}", flush=True)
    uvicorn.run(
        App(model, os.environ),
        host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104 - a container is reached from outside
        port=port(os.environ),
        loop="uvloop",
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        server_header=False,
        date_header=False,
    )


if __name__ == "__main__":
    main()
