"""The model server: one model or several, one process, in any cloud's container.

Each service has its own settings for the port, the routes and the folder of the models:

- SageMaker: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
- Vertex AI: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
- Azure ML: https://learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container
- Cloud Run, App Service: ``PORT``

Plain ASGI: two routes need no framework. Starlette takes a quarter of the time to the first prediction, and costs
a third of the predictions a second.
"""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvicorn

from model_server.contract import Contract
from model_server.defects import BadAnswer, BadInstance, Defect, UnfitModel
from model_server.files import model_folders
from model_server.http_protocol import HttpProtocol
from model_server.model import Model

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, dict[str, Any]]
"""A status and its content."""

KEEP_ALIVE_SECONDS = 620
"""Longer than a front end keeps an idle connection, so that the server never closes one that a front end is about to
use: its caller would get 502. Documented are 600 s on Google Cloud
(https://docs.cloud.google.com/load-balancing/docs/https/request-distribution) and 4 minutes on Azure
(https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset). SageMaker's documents name no time."""

MAX_BODY_BYTES = 32 * 2**20
"""That no service passes on more is believed; serverless SageMaker passes on 4 MB.
https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html"""


class Models:
    """The models of a container by name, and why some of them cannot be served."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.fit: dict[str, Model] = {}
        self.unfit: dict[str, UnfitModel] = {}
        for folder in folders:
            name = folder.name
            try:
                contract = (folder / "contract.json").read_bytes()
                name = Contract.read(contract).name
                if name in self.fit or name in self.unfit:
                    wanted = "a name for each model of an endpoint"
                    raise UnfitModel([Defect("name", f"two models are named {name}", wanted)])
                self.fit[name] = Model((folder / "model.onnx").read_bytes(), contract)
            except UnfitModel as error:
                self.fit.pop(name, None)
                self.unfit[name] = error
            except OSError as error:
                found = f"{error.filename} cannot be read: {error.strerror}"
                wanted = "model.onnx and contract.json beside each other"
                self.unfit[name] = UnfitModel([Defect("files", found, wanted)])
        self.only = next(iter(self.fit), None) if len(self.fit) + len(self.unfit) == 1 else None
        """The model of a request that names none."""

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why a model cannot be served, by its name."""
        return {name: [str(each) for each in error.defects] for name, error in self.unfit.items()}


class App:
    """The routes of all services at once: no service uses the names of another."""

    def __init__(self, models: Models, environment: Mapping[str, str]) -> None:
        self._models = models
        self._predict = {"/predict", "/invocations", "/score"}
        self._predict.add(environment.get("AIP_PREDICT_ROUTE", "/predict"))
        self._health = {"/healthz", "/ping", environment.get("AIP_HEALTH_ROUTE", "/ping")}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        message = await receive()
        body = message.get("body", b"")
        if message.get("more_body", False):
            body = bytearray(body)
            while message.get("more_body", False) and len(body) <= MAX_BODY_BYTES:
                message = await receive()
                body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            return
        status, content = await self.answer(scope["method"], scope["path"], body)
        answer = orjson.dumps(content)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(answer)),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    async def answer(self, method: str, path: str, body: bytes | bytearray) -> Answer:
        """Status and content for one request."""
        if method != "POST" or path not in self._predict or len(body) > MAX_BODY_BYTES:
            return self._other_answer(method, path, len(body))
        try:
            model, instances = self._asked(body)
        except Refused as refusal:
            return refusal.answer
        if model.is_slow(instances):  # other requests, and the health, must not wait for it
            return await asyncio.to_thread(_predicted, model, instances)
        return _predicted(model, instances)

    def _other_answer(self, method: str, path: str, size: int) -> Answer:
        """The health, and what is refused before its body is read."""
        if size > MAX_BODY_BYTES:
            return 413, {"error": f"the body may have {MAX_BODY_BYTES} bytes"}
        if path not in self._predict and path not in self._health:
            return 404, {"error": f"nothing is at {path:.80}"}
        if path in self._predict or method not in ("GET", "HEAD"):
            return 405, {"error": f"{path} does not take {method:.20}"}
        versions = {name: model.version for name, model in self._models.fit.items()}
        if reasons := self._models.reasons:
            error = f"{_counted(len(reasons))} cannot be served"
            return 503, {"error": error, "reasons": reasons, "models": versions}
        return 200, {"status": "ok", "models": versions}

    def _asked(self, body: bytes | bytearray) -> tuple[Model, list[Any]]:
        """The model that a request is for, and its instances. Raises Refused."""
        try:
            document = orjson.loads(body)
            instances = document["instances"]
            name = document.get("model", self._models.only)
        except (AttributeError, KeyError, TypeError, ValueError):
            reason = 'the body should be JSON: {"instances": [{...}]}'
            raise Refused(400, {"error": reason}) from None
        model = self._models.fit.get(name) if isinstance(name, str) else None
        if model is None:
            raise Refused(*self._without_model(name))
        if not isinstance(instances, list) or not instances:
            reason = "instances should be a list with at least one object"
            raise Refused(400, {"error": reason, "model_version": model.version})
        return model, instances

    def _without_model(self, name: object) -> Answer:
        models = self._models
        there = ", ".join(sorted({*models.fit, *models.unfit}))
        if name is None and len(models.fit) + len(models.unfit) > 1:
            return 400, {"error": f"model should name one of the models: {there}"}
        unfit = next(iter(models.unfit)) if name is None else name
        if isinstance(unfit, str) and unfit in models.unfit:
            reasons = models.reasons[unfit]
            return 503, {"error": f"the model {unfit} cannot be served", "reasons": reasons}
        return 404, {"error": f"there is no model {name!r:.40}; there is: {there}"}


class Refused(Exception):
    """A request that no model gets."""

    def __init__(self, status: int, content: dict[str, Any]) -> None:
        super().__init__(content["error"])
        self.answer: Answer = status, content


def _predicted(model: Model, instances: Sequence[Any]) -> Answer:
    try:
        predictions = model.predictions(instances)
    except BadInstance as error:
        return 400, {"error": str(error), "model_version": model.version}
    except BadAnswer as error:
        return 422, {
            "error": f"the model {model.name} has no answer: {error}",
            "model_version": model.version,
        }
    return 200, {"predictions": predictions, "model": model.name, "model_version": model.version}


def _counted(models: int) -> str:
    return "a model" if models == 1 else f"{models} models"


def port(environment: Mapping[str, str]) -> int:
    """The port for this service: its own variable, else ``PORT``, else 8080."""
    names = ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PORT")
    return int(next((environment[name] for name in names if name in environment), "8080"))


def main() -> None:
    """Serve until SIGTERM, then finish the running requests.

    A model that cannot be served is refused in the log and by the health route: a container that ends would be started
    again and again, and the reason would be in none of its answers.
    """
    models = Models(model_folders(os.environ))
    for name, model in models.fit.items():
        print(f"Serving model {name} {model.version}", flush=True)
    for name, error in models.unfit.items():
        print(f"The model {name} cannot be served.\n{error}", flush=True)
    np.seterr(over="raise")  # a number that is too large for a float32 is refused, not infinity
    warnings.simplefilter("ignore")  # Pillow's, of what a caller's image has wrong
    gc.freeze()  # what stays for good is not searched for garbage, which takes milliseconds
    uvicorn.run(
        App(models, os.environ),
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
