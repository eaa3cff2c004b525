"""The answer to a request: routes, and what each of them answers. Whatever leaves the process is passed in."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gateway import inference_protocol, openapi, predictor
from gateway.contract import LARGEST_IMAGES, Contract
from gateway.contracts import ContractUnavailable
from gateway.http import (
    SECURITY_HEADERS,
    Answer,
    Refusal,
    Request,
    json_answer,
    parsed,
    unavailable,
)
from gateway.page import Page
from gateway.predictor import EndpointUnavailable, ModelRefused, Predictor

MODEL = re.compile(r"/models/(?P<name>[^/]+)(?P<predict>/predict)?")
V2_MODEL = re.compile(
    r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<what>/ready|/infer)?"
)
LONGEST_ANSWER = 2**25
"""Cloud Run's limit for an answer of HTTP/1 with its length: https://cloud.google.com/run/quotas"""
NOT_KEPT = {"cache-control": "no-cache"}
"""A rollout changes what is served."""

Handle = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class RequestHandler:
    """Answers requests."""

    predictor: Predictor
    page: Page
    max_body_bytes: int
    code_version: str = ""
    """For the health: a delivery waits until the code that it deployed answers."""
    key_needed: bool = True
    admits: Callable[[str], Awaitable[bool]]
    """Whether a caller with this ``x-api-key`` (empty when none was sent) may get predictions."""
    sendable: Callable[[Answer], bool] = lambda answer: len(answer.body) <= LONGEST_ANSWER
    """Whether the host can send an answer."""

    async def answer(self, request: Request) -> Answer:
        """The answer to any request. Its status is below 500, or 503."""
        try:
            try:
                return self._sendable(await self._answer(request), request)
            except EndpointUnavailable as error:
                message = "The model endpoint does not answer at the moment. Try again shortly."
                raise unavailable(message, f"endpoint: {error}") from error
            except ContractUnavailable as error:
                message = "The model's contract cannot be read at the moment. Try again shortly."
                raise unavailable(message, f"lake: {error}") from error
            except ModelRefused as error:
                raise predictor.refusal(error) from error
        except Refusal as refusal:
            if request.path.startswith("/v2"):
                return inference_protocol.refused(refusal, request.id)
            return refusal.answer(request.id)

    def _sendable(self, answer: Answer, request: Request) -> Answer:
        """The answer. Raises `Refusal` if the host cannot send it, and its front end would answer 502 without a reason."""
        if self.sendable(answer):
            return answer
        message = f"The answer has {len(answer.body)} bytes, more than can be sent from here."
        if request.method == "POST":
            raise Refusal(413, "too_large", f"{message} Ask for fewer instances at a time.")
        message = f"{message} GET /models/{{name}} has the contract of one model."
        raise Refusal(503, "too_large", message)

    async def _answer(self, request: Request) -> Answer:
        method, handle = self._route(request.path)
        allowed = ("GET", "HEAD") if method == "GET" else (method,)
        if request.method not in allowed:
            message = f"{request.path} takes {' and '.join(allowed)} only."
            allow = {"allow": ", ".join(allowed)}
            raise Refusal(405, "method_not_allowed", message, headers=allow)
        found = await handle(request)
        return replace(found, body=b"") if request.method == "HEAD" else found

    def _route(self, path: str) -> tuple[str, Handle]:
        """The method of a path and what answers there. Raises `Refusal` (404)."""
        names = list(self.predictor.models)
        match path:
            case "/predict" if len(names) == 1:
                return "POST", partial(self._predict, names[0])
            case "/health" | "/healthz":
                # Cloud Run's own front end answers some paths that end in z before a container receives them
                # (https://cloud.google.com/run/docs/known-issues, "Reserved URL paths"): hence /health.
                return "GET", self._health
            case "/":
                return "GET", self._page
            case "/models":
                return "GET", self._models
            case "/openapi.json":
                return "GET", self._openapi
            case "/v2":
                return "GET", self._v2_server
            case "/v2/health/live":
                return "GET", self._v2_live
            case "/v2/health/ready":
                return "GET", self._v2_ready
        if found := MODEL.fullmatch(path):
            name = self._served(found["name"])
            if found["predict"]:
                return "POST", partial(self._predict, name)
            return "GET", partial(self._model, name)
        if found := V2_MODEL.fullmatch(path):
            name, version = self._served(found["name"]), found["version"] or ""
            match found["what"]:
                case "/infer":
                    return "POST", partial(self._v2_infer, name, version)
                case "/ready":
                    return "GET", partial(self._v2_model_ready, name, version)
            return "GET", partial(self._v2_model, name, version)
        raise self._nothing_at(path)

    def _nothing_at(self, path: str) -> Refusal:
        names = list(self.predictor.models)
        predict = [f"POST /models/{name}/predict" for name in names]
        gets = [f"GET {each}" for each in ("/", "/models", "/models/{name}", "/openapi.json")]
        known = ", ".join([*predict, *gets, "GET /health", "GET /v2"])
        if path == "/predict":
            message = f"There are {len(names)} models here, each with a route of its own: {', '.join(predict)}."
        else:
            message = f"There is nothing at this path. There is: {known}."
        return Refusal(404, "not_found", message)

    def _served(self, name: str) -> str:
        """The name of a model that is served. Raises `Refusal` (404)."""
        names = list(self.predictor.models)
        if name in names:
            return name
        near = difflib.get_close_matches(name[:60].casefold(), names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names)}."
        raise Refusal(404, "not_found", f"There is no such model here. {hint}")

    # What everybody may read.

    async def _page(self, request: Request) -> Answer:
        headers = {
            **SECURITY_HEADERS,
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": self.page.policy,
            **NOT_KEPT,
            "x-request-id": request.id,
        }
        return Answer(200, headers, self.page.html)

    async def _health(self, request: Request) -> Answer:
        """Asks the endpoint nothing: a probe would wake a serverless endpoint, and wait for it."""
        answered = self.predictor.answered
        health = {
            "status": "ok",
            "code_version": self.code_version,
            "models": {name: answered.get(name) for name in self.predictor.models},
        }
        return json_answer(200, health, request.id)

    async def _models(self, request: Request) -> Answer:
        found = await self._contracts()
        entries = [
            {
                "name": name,
                "ready": contract is not None,
                "model_version": contract.version if contract else self.predictor.models[name],
                "title": contract.document.get("title") if contract else None,
                "question": contract.document.get("question") if contract else None,
            }
            for name, contract in found.items()
        ]
        return json_answer(200, {"models": entries}, request.id, NOT_KEPT)

    async def _model(self, name: str, request: Request) -> Answer:
        contract = await self.predictor.contract(name)
        content = {**contract.document, "model_version": contract.version}
        return json_answer(200, content, request.id, NOT_KEPT)

    async def _openapi(self, request: Request) -> Answer:
        found = await self._contracts()
        contracts = [contract for contract in found.values() if contract]
        if not contracts:
            raise ContractUnavailable("of every model")
        content = openapi.document(contracts, only=len(found) == 1, key_needed=self.key_needed)
        return json_answer(200, content, request.id, NOT_KEPT)

    async def _contracts(self) -> dict[str, Contract | None]:
        """The contract of each model, as far as it can be read."""
        names = list(self.predictor.models)
        found = await asyncio.gather(
            *(self.predictor.contract(name) for name in names), return_exceptions=True
        )
        known: dict[str, Contract | None] = {}
        for name, each in zip(names, found, strict=True):
            if isinstance(each, BaseException) and not isinstance(each, ContractUnavailable):
                raise each
            known[name] = None if isinstance(each, BaseException) else each
        return known

    # Predictions.

    async def _predict(self, name: str, request: Request) -> Answer:
        await self._refuse_stranger(request, name)
        if request.media_type != "application/json":
            message = "Send JSON, with the header content-type: application/json."
            raise Refusal(415, "unsupported_media_type", message)
        body = parsed(request.body)
        found = await self.predictor.predict(name, lambda contract: body)
        answer = {
            "predictions": found.predictions,
            "model": name,
            "model_version": found.contract.version,
        }
        capture = {"instances": found.instances, **answer}
        return replace(json_answer(200, answer, request.id), capture=capture)

    async def wanted_body(self, request: Request) -> tuple[str, int]:
        """The model that a request without its body asks for a prediction, and the bytes that its body may have.

        Empty and 0 if no body changes the answer: of what strangers send, nothing is kept in memory.
        """
        model = self._asked_model(request.path) if request.method == "POST" else ""
        if not model:
            return "", 0
        try:
            if not await self.admits(request.headers.get("x-api-key", "")):
                return "", 0
        except Refusal:
            return "", 0  # the key cannot be read: the answer says so
        version = self.predictor.answered.get(model, "")
        contract = self.predictor.contracts.known(model, version)
        return model, self.max_body_bytes + (contract.image_bytes if contract else LARGEST_IMAGES)

    def _asked_model(self, path: str) -> str:
        """The model whose prediction a path is for; empty for any other path."""
        names = list(self.predictor.models)
        if path == "/predict":
            return names[0] if len(names) == 1 else ""
        for found, what in ((MODEL.fullmatch(path), "predict"), (V2_MODEL.fullmatch(path), "what")):
            if found and found["name"] in names and found[what] in ("/predict", "/infer"):
                return found["name"]
        return ""

    async def _refuse_stranger(self, request: Request, model: str) -> None:
        """Raise `Refusal` unless the caller has the key and the body is not too large."""
        # The key is checked first: a stranger learns nothing about other mistakes in the request.
        if not await self.admits(request.headers.get("x-api-key", "")):
            message = "Send the key of this gateway in the header x-api-key."
            challenge = {"www-authenticate": 'ApiKey header="x-api-key"'}
            raise Refusal(401, "unauthorized", message, headers=challenge)
        if len(request.body) > self.max_body_bytes:
            # One instance with the largest images that its contract allows always fits.
            limit = self.max_body_bytes + (await self.predictor.contract(model)).image_bytes
            if len(request.body) > limit:
                message = f"The body may have {limit} bytes. Send less at a time."
                raise Refusal(413, "too_large", message)

    # The Open Inference Protocol: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md

    async def _v2_server(self, request: Request) -> Answer:
        content = inference_protocol.server(self.code_version)
        return json_answer(200, content, request.id)

    async def _v2_live(self, request: Request) -> Answer:
        return json_answer(200, {"live": True}, request.id)

    async def _v2_ready(self, request: Request) -> Answer:
        found = await self._contracts()
        missing = [name for name, contract in found.items() if contract is None]
        if missing:
            raise ContractUnavailable(", ".join(missing))
        return json_answer(200, {"ready": True}, request.id)

    async def _v2_contract(self, name: str, version: str) -> Contract:
        """The contract of the version that is served. Raises `Refusal` (404) for another version."""
        contract = await self.predictor.contract(name)
        if version and version != contract.version:
            message = f"Version {version[:64]} of {name} is not served; {contract.version} is."
            raise Refusal(404, "not_found", message)
        return contract

    async def _v2_model(self, name: str, version: str, request: Request) -> Answer:
        contract = await self._v2_contract(name, version)
        return json_answer(200, inference_protocol.metadata(contract), request.id, NOT_KEPT)

    async def _v2_model_ready(self, name: str, version: str, request: Request) -> Answer:
        await self._v2_contract(name, version)
        return json_answer(200, {"name": name, "ready": True}, request.id)

    async def _v2_infer(self, name: str, version: str, request: Request) -> Answer:
        await self._refuse_stranger(request, name)
        if version:
            await self._v2_contract(name, version)
        asked = inference_protocol.InferRequest.read(request)
        found = await self.predictor.predict(name, asked.body, version)
        capture: dict[str, Any] = {
            "instances": found.instances,
            "predictions": found.predictions,
            "model": name,
            "model_version": found.contract.version,
        }
        return replace(asked.answer(found, request.id), capture=capture)
