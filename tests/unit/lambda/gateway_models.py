"""Three models whose artifacts are in memory, and a handler that serves them, without a cloud."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.contract import Contract
from gateway.contracts import Contracts
from gateway.core import RequestHandler
from gateway.http import Answer, Request
from gateway.page import Page
from gateway.predictor import Predictor

DOCUMENTS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text("utf-8"))
    for file in sorted((Path(__file__).parents[2] / "contracts").glob("*.json"))
}
FLIGHT = DOCUMENTS["flight-delay"]["example"]
KEY = "0123456789abcdef"
PREDICTIONS: dict[str, dict[str, Any]] = {
    "flight-delay": {"probability": 0.25, "late": False},
    "digits": {
        "digit": "3",
        "probability": 0.9,
        "best": [{"label": "3", "probability": 0.9}, {"label": "8", "probability": 0.1}],
    },
    "arrival-delay": {"delay": 12.5},
}


class Lake(dict[str, bytes]):
    """Artifacts by the names of their objects."""

    def add(
        self, document: Mapping[str, Any], model: bytes = b"onnx", file: str = "model.onnx"
    ) -> str:
        """The version of an artifact that is added."""
        content = json.dumps(document).encode()
        text = "".join(
            f"{hashlib.sha256(each).hexdigest()}  {name}\n"
            for name, each in (("contract.json", content), (file, model))
        ).encode()
        version = hashlib.sha256(text).hexdigest()
        self[f"{document['name']}/{version}/contract.json"] = content
        self[f"{document['name']}/{version}/version.txt"] = text
        return version

    def read(self, name: str) -> bytes:
        return self[name]


LAKE = Lake()
VERSIONS = {name: LAKE.add(document) for name, document in DOCUMENTS.items()}

Ask = Callable[[str, list[dict[str, Any]]], object]
"""What a test's endpoint answers to the instances for a model."""


def good(model: str, instances: list[dict[str, Any]]) -> object:
    return {
        "predictions": [PREDICTIONS[model] for _ in instances],
        "model": model,
        "model_version": VERSIONS[model],
    }


def asked(ask: Ask) -> Callable[[str, bytes], Awaitable[object]]:
    async def answer(model: str, body: bytes) -> object:
        content = json.loads(body)
        assert content["model"] == model
        return ask(model, content["instances"])

    return answer


def contract(**changes: Any) -> Contract:
    """A contract of one field, with these changes of its document."""
    document = {
        "name": "one",
        "max_batch": 10,
        "fields": [],
        "answer": {"kind": "regression", "name": "x"},
        "example": {},
    }
    return Contract({**document, **changes}, "v" * 64)


async def _admits(key: str) -> bool:
    return key == KEY


def handler(
    *names: str, ask: Ask = good, lake: Lake = LAKE, versions: Mapping[str, str] = VERSIONS
) -> RequestHandler:
    """A handler of these models, or of flight-delay alone."""
    models = {name: versions[name] for name in names or ("flight-delay",)}
    return RequestHandler(
        predictor=Predictor(models, Contracts(models, lake.read), asked(ask)),
        page=Page(b"<p>page</p>", "default-src 'none'; frame-ancestors 'none'"),
        max_body_bytes=64 * 1024,
        code_version="c0de",
        admits=_admits,
    )


def answer_to(
    body: Any,
    *,
    method: str = "POST",
    path: str = "/predict",
    at: RequestHandler,
    **headers: str,
) -> Answer:
    sent = {"content-type": "application/json", "x-api-key": KEY}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(at.answer(Request(method, path, sent, raw, "request-1")))


def got(path: str, at: RequestHandler) -> Answer:
    return answer_to(b"", method="GET", path=path, at=at)


def error(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)["error"]
    return found
