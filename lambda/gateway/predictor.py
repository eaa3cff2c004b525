"""A prediction: checked by the contract of the version that answers, whichever version that is.

While an endpoint is rolled, it answers with one version or the other, and the gateway's settings name one of them. Each
answer names its version, so the request and the predictions are always held against that version's own contract.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.contract import MAX_ERRORS, Contract, FieldError
from gateway.contracts import Contracts
from gateway.http import Refusal
from gateway.json_text import json_text
from gateway.predictions import BadPrediction

ATTEMPTS = 3
"""A refused request is sent again when another version's contract allows it: a roll changes the version once."""
PLACE = re.compile(r"(instances(?:\[\d{1,4}\](?:\.\S{1,64}?)?)?):? (.+)", re.DOTALL)
"""How the model server's reason begins, such as ``instances[0].image is no PNG``."""

Body = Callable[[Contract], object]
"""``{"instances": […]}`` of a request, which may be written by the words of a contract. Raises `Refusal`."""


class EndpointUnavailable(Exception):
    """The model endpoint cannot answer now. The message is for the log."""


class ModelRefused(Exception):
    """The model server refused a request that this gateway accepted. The message is for the log."""

    def __init__(self, message: str, reason: str = "", version: str = "") -> None:
        """``reason`` is the model server's own, for the caller; ``version`` is what it serves. Both may be unknown."""
        super().__init__(message)
        self.reason, self.version = reason, version


@dataclass(frozen=True)
class Prediction:
    """Valid instances with their valid predictions, by one contract."""

    contract: Contract
    instances: list[dict[str, Any]]
    predictions: list[dict[str, Any]]


@dataclass(frozen=True)
class Predictor:
    """Predictions of all models."""

    models: Mapping[str, str]
    """The version of each model that the settings name."""
    contracts: Contracts
    ask: Callable[[str, bytes], Awaitable[object]]
    """The endpoint's answer to a body. Raises `EndpointUnavailable`, `ModelRefused`."""
    answered: dict[str, str] = field(default_factory=dict)
    """The version with which each model's endpoint last answered this process."""

    async def contract(self, model: str) -> Contract:
        """The contract of what answered last, or of what the settings name. Raises `ContractUnavailable`."""
        return await self.contracts.get(model, self.answered.get(model, ""))

    async def predict(self, model: str, body: Body, version: str = "") -> Prediction:
        """A prediction; of this version only, if one is named.

        Raises `Refusal`, `ContractUnavailable`, `EndpointUnavailable`, `ModelRefused`.
        """
        contract, instances = await self._accepted(model, body)
        for _ in range(ATTEMPTS):
            sent = instances
            refused: ModelRefused | None = None
            answer: object = None
            try:
                answer = await self.ask(model, _encoded(model, sent))
                answers = _version(answer, contract)
            except ModelRefused as error:
                refused, answers = error, error.version or contract.version
            if version and answers != version:
                raise EndpointUnavailable(f"version {answers[:12]} answers, not {version[:12]}")
            if answers != contract.version:
                contract = await self.contracts.get(model, answers)
                # Before the check: who is refused by this contract reads it, and sends another request by it.
                self.answered[model] = answers
                instances = _checked(contract, body)
            elif refused:
                raise refused
            if refused is None:
                # Of a capture: what the model got, though another version's contract may write it in another form.
                return self._prediction(model, contract, sent, answer)
        raise EndpointUnavailable("refusals name one version after another")

    def _prediction(
        self, model: str, contract: Contract, instances: list[dict[str, Any]], answer: Any
    ) -> Prediction:
        try:
            predictions = contract.predictions(answer.get("predictions"), len(instances))
        except BadPrediction as error:
            raise EndpointUnavailable(str(error)) from error
        self.answered[model] = contract.version
        return Prediction(contract, instances, predictions)

    async def _accepted(self, model: str, body: Body) -> tuple[Contract, list[dict[str, Any]]]:
        """Valid instances by the version that answered last, or else by the one of the settings."""
        last = await self.contract(model)
        try:
            return last, _checked(last, body)
        except Refusal:
            if last.version == self.models[model]:
                raise
            settings = await self.contracts.get(model)
            try:
                return settings, _checked(settings, body)
            except Refusal:
                pass
            raise


def refusal(refused: ModelRefused) -> Refusal:
    """What a caller gets for a refusal by the model server."""
    if place := PLACE.fullmatch(refused.reason):
        message = "The model could not use this input; the reason is listed."
        fields = [FieldError(place[1], place[2])]
        return Refusal(422, "model_refused", message, fields, cause=str(refused))
    message = "The model could not use this input, though each field is valid on its own."
    if refused.reason:
        message = f"{message[:-1]}: {refused.reason}"
    return Refusal(422, "model_refused", message, cause=str(refused))


def _checked(contract: Contract, body: Body) -> list[dict[str, Any]]:
    """The instances. Raises `Refusal` with all errors."""
    instances, errors = contract.check(body(contract))
    if errors:
        some = f"the first {MAX_ERRORS} are" if len(errors) == MAX_ERRORS else "each is"
        message = f"The request has wrong fields; {some} listed with the reason."
        raise Refusal(422, "invalid", message, errors)
    return instances


def _encoded(model: str, instances: list[dict[str, Any]]) -> bytes:
    return json_text({"model": model, "instances": instances}).encode()


def _version(answer: object, contract: Contract) -> str:
    match answer:
        case {"model_version": str(version)}:
            return version
        case {"predictions": _} if contract.is_own_image:
            # It cannot know the digest of its own image, which is a part of the version.
            return contract.version
    raise EndpointUnavailable("the answer has no model version")
