"""The answer to a request: routes, refusals and answers, without I/O."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.features import MAX_ERRORS, Features, FieldError
from gateway.page import Page

# Cloud Run's own front end answers some paths that end in z, such as /healthz, before a container receives
# them (https://cloud.google.com/run/docs/known-issues, "Reserved URL paths"): hence /health.
ROUTES: Mapping[str, str] = {
    "/": "GET",
    "/health": "GET",
    "/healthz": "GET",
    "/features.json": "GET",
    "/predict": "POST",
}
SECURITY_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True)
class Request:
    """One HTTP request, in the form that every host provides."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """May end one byte after the limit, which shows that the body is too large."""
    id: str


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, with its capture and its cause for the log."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    capture: Mapping[str, Any] | None = None
    """The inputs and the result of a prediction; None for every other answer."""
    cause: str = ""
    """For the log only: why the status is not 200."""


class Refusal(Exception):
    """A request that gets no prediction. ``cause`` is for the log and is not sent."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.fields, self.headers, self.cause = fields, headers or {}, cause or code

    def answer(self, request_id: str) -> Answer:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.fields:
            error["fields"] = [{"field": e.field, "reason": e.reason} for e in self.fields]
        sent = _json(self.status, {"error": error}, request_id, self.headers)
        return replace(sent, cause=self.cause)


class EndpointUnavailable(Exception):
    """The model endpoint cannot answer now. The message is for the log."""


class ModelRefused(Exception):
    """The model server refused a request that this gateway accepted. The message is for the log."""


def unavailable(message: str, cause: str, retry_after: int = RETRY_AFTER_SECONDS) -> Refusal:
    """503: the request is valid, and the caller may send it again after some seconds."""
    headers = {"retry-after": str(retry_after)}
    return Refusal(503, "unavailable", message, headers=headers, cause=cause)


@dataclass(frozen=True, kw_only=True)
class RequestHandler:
    """Answers requests. Whatever leaves the process is a function that the caller passes in."""

    features: Features
    page: Page
    max_body_bytes: int
    code_version: str = ""
    """For the health: a delivery waits until the code that it deployed answers."""
    last_answer: dict[str, str] = field(default_factory=dict)
    """``model_version`` of the last prediction of this process. The health shows it and asks the endpoint
    nothing: a probe would wake a serverless endpoint, and wait for it."""
    admits: Callable[[str], bool]
    """Whether a caller with this ``x-api-key`` (empty when none was sent) may get predictions."""
    predict: Callable[[list[dict[str, Any]]], object]
    """The model's answer. Raises `EndpointUnavailable`, `ModelRefused`."""

    def answer(self, request: Request) -> Answer:
        """The answer to any request. Its status is below 500, or 503."""
        try:
            return self._answer(request)
        except Refusal as refusal:
            return refusal.answer(request.id)
        except EndpointUnavailable as error:
            message = "The model endpoint does not answer at the moment. Try again shortly."
            return unavailable(message, f"endpoint: {error}").answer(request.id)
        except ModelRefused as error:
            message = "The model could not use this input, though each field is valid on its own."
            return Refusal(422, "model_refused", message, cause=str(error)).answer(request.id)

    def _answer(self, request: Request) -> Answer:
        method = ROUTES.get(request.path)
        if method is None:
            known = ", ".join(f"{method} {path}" for path, method in ROUTES.items())
            raise Refusal(404, "not_found", f"There is nothing at this path. There is: {known}.")
        allowed = ("GET", "HEAD") if method == "GET" else (method,)
        if request.method not in allowed:
            message = f"{request.path} takes {' and '.join(allowed)} only."
            allow = {"allow": ", ".join(allowed)}
            raise Refusal(405, "method_not_allowed", message, headers=allow)
        match request.path:
            case "/predict":
                return self._predict(request)
            case "/features.json":
                found = _json(
                    200, self.features.document, request.id, {"cache-control": "no-cache"}
                )
            case "/":
                found = self._page(request)
            case _:
                health = {
                    "status": "ok",
                    "code_version": self.code_version,
                    "model_version": self.last_answer.get("model_version"),
                }
                found = _json(200, health, request.id)
        return replace(found, body=b"") if request.method == "HEAD" else found

    def _page(self, request: Request) -> Answer:
        headers = {
            **SECURITY_HEADERS,
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": self.page.policy,
            "cache-control": "no-cache",
            "x-request-id": request.id,
        }
        return Answer(200, headers, self.page.html)

    def _predict(self, request: Request) -> Answer:
        # The key is checked first: a stranger learns nothing about other mistakes in the request.
        if not self.admits(request.headers.get("x-api-key", "")):
            message = "Send the key of this gateway in the header x-api-key."
            challenge = {"www-authenticate": 'ApiKey header="x-api-key"'}
            raise Refusal(401, "unauthorized", message, headers=challenge)
        if len(request.body) > self.max_body_bytes:
            message = (
                f"The body may have {self.max_body_bytes} bytes. Send fewer flights at a time."
            )
            raise Refusal(413, "too_large", message)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            message = "Send JSON, with the header content-type: application/json."
            raise Refusal(415, "unsupported_media_type", message)
        instances, errors = self.features.check(parse(request.body))
        if errors:
            some = f"the first {MAX_ERRORS} are" if len(errors) == MAX_ERRORS else "each is"
            message = f"The request has wrong fields; {some} listed with the reason."
            raise Refusal(422, "invalid", message, errors)
        answer = validated_answer(self.predict(instances), len(instances))
        self.last_answer["model_version"] = answer["model_version"]
        capture = {"instances": instances, **answer}
        return replace(_json(200, answer, request.id), capture=capture)


def parse(body: bytes) -> object:
    """The JSON value of a body. Raises `Refusal` (400) for everything that RFC 8259 does not allow.

    A duplicate key is refused, too. RFC 8259 leaves it to the parser, and a guess would hide a mistake.
    """

    def no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
            raise ValueError(f"the key {json.dumps(twice[:60])} is given twice in one object")
        return found

    def no_constants(name: str) -> object:
        raise ValueError(f"{name} is not JSON")

    try:
        text = body.decode("utf-8")
        return json.loads(text, object_pairs_hook=no_duplicates, parse_constant=no_constants)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        # A ValueError from the hooks above, or an integer with thousands of digits.
        reason = str(error).partition(";")[0]
    raise Refusal(400, "malformed", f"The body is not valid JSON: {reason}.")


def validated_answer(answer: object, count: int) -> dict[str, Any]:
    """The model's answer for ``count`` instances. Raises `EndpointUnavailable` if it is something else."""
    match answer:
        case {"predictions": [*predictions], "model_version": str(version)}:
            valid = [_prediction(each) for each in predictions]
            if len(valid) == count:
                return {"predictions": valid, "model_version": version}
    raise EndpointUnavailable("the answer is not one prediction an instance and a model version")


def _prediction(answer: object) -> dict[str, Any]:
    match answer:
        case {"probability": float() | int() as probability, "late": bool(late)}:
            if math.isfinite(probability) and 0 <= probability <= 1:
                return {"probability": probability, "late": late}
    raise EndpointUnavailable("a prediction is not a probability and whether that is late")


def _json(
    status: int, value: object, request_id: str, headers: Mapping[str, str] | None = None
) -> Answer:
    sent = {
        **SECURITY_HEADERS,
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-request-id": request_id,
        **(headers or {}),
    }
    return Answer(status, sent, json.dumps(value, separators=(",", ":")).encode())
