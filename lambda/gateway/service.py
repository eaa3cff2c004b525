"""The whole gateway: the handler, the cloud's clients, the log and the captures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gateway import endpoints, keys, lakes, page
from gateway.captures import Captures
from gateway.contracts import Contracts
from gateway.core import RequestHandler
from gateway.http import Answer, Request, unavailable
from gateway.logs import log
from gateway.predictor import Predictor
from gateway.settings import Settings

ANSWER_SECONDS = 28
"""So long an answer takes at most, with a capture that is written before it. The front ends wait longer: see the timeouts
in components/aws/gateway.py and components/gcp/gateway.py; App Service waits 230 s.
https://learn.microsoft.com/troubleshoot/azure/app-service/web-apps-performance-faqs"""


@dataclass(frozen=True)
class Service:
    """Answers requests, logs each of them, and queues the captures."""

    settings: Settings
    handler: RequestHandler
    captures: Captures
    contracts: Contracts

    @classmethod
    def start(
        cls, environ: Mapping[str, str], sendable: Callable[[Answer], bool] | None = None
    ) -> Service:
        """The service of this environment. Raises `SettingsError`.

        ``sendable`` says whether the host can send an answer.
        """
        settings = Settings.read(environ)
        models = {name: model.version for name, model in settings.models.items()}
        contracts = Contracts(models, lakes.reader(settings.models_uri, settings.azure_client_id))
        key_needed = settings.access == "key"
        handler = RequestHandler(
            predictor=Predictor(models, contracts, endpoints.client(settings)),
            page=page.render(key_needed=key_needed),
            max_body_bytes=settings.max_body_bytes,
            code_version=settings.code_version,
            key_needed=key_needed,
            admits=keys.key_check(settings),
        )
        if sendable:
            handler = replace(handler, sendable=sendable)
        write = lakes.writer(settings.capture_uri, settings.azure_client_id)
        captures = Captures(write, writers=settings.max_concurrency)
        return cls(settings, handler, captures, contracts)

    async def answer(self, request: Request) -> Answer:
        """The answer to a request; waits while the model endpoint works."""
        received, started = datetime.now(UTC), time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self.handler.answer(request)
        except TimeoutError:
            message = "No answer came in time. Try again shortly."
            cause = f"no answer within {ANSWER_SECONDS} s"
            answer = unavailable(message, cause).answer(request.id)
        except Exception as error:
            # A defect of the gateway. The caller learns that the request is not the cause; the log has the error.
            cause = f"{type(error).__name__}: {error}"
            answer = unavailable("The gateway could not answer. Try again.", cause).answer(
                request.id
            )
        latency_ms = round((time.monotonic() - started) * 1000, 1)
        if answer.capture:
            about = {"request_id": request.id, "received_at": received.isoformat()}
            capture = {**about, "latency_ms": latency_ms, **answer.capture}
            if self.settings.captures == "sync":
                answer = await self._captured(answer, capture, request.id, started)
            else:
                self.captures.put(capture)
        log(
            "ERROR" if answer.status >= 500 else "INFO",
            "request",
            method=request.method[:10],
            path=request.path[:100],
            status=answer.status,
            latency_ms=latency_ms,
            request_id=request.id,
            **({"cause": answer.cause} if answer.cause else {}),
        )
        return answer

    async def _captured(
        self, answer: Answer, capture: Mapping[str, Any], request_id: str, started: float
    ) -> Answer:
        """The answer, once its capture is in the lake; without it a refusal, and no prediction."""
        try:
            seconds = started + ANSWER_SECONDS - time.monotonic()
            await self.captures.written(capture, seconds)
        except Exception as error:
            # Each cloud's client has errors of its own.
            message = (
                "The record of this prediction cannot be kept at the moment. Try again shortly."
            )
            return unavailable(message, f"lake: {type(error).__name__}").answer(request_id)
        return answer
