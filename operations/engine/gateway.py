"""A prediction from a stack's gateway, requested over HTTP as any caller does."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

from operations.engine.installation import HOME
from operations.engine.stack import NamedStack
from operations.terminal import fail, say, waiting

FLIGHT = HOME / "docs" / "flight.json"
"""A request about a real flight."""
START_SECONDS = 60
PERMITTED_SECONDS = 10 * 60
"""As long as a cloud may take until a new permission is in force (`components.dynamic.LONGEST_GRANT_SECONDS`)."""


def refuse_without_gateway(stack: NamedStack) -> None:
    """Leave if the state has no gateway: none was built yet, or it was destroyed and the outputs remember it."""
    types = {each["type"] for each in stack.recorded_state().get("resources") or ()}
    if not any(each.startswith("triplane:") and each.endswith(":Gateway") for each in types):
        fail(
            f"Stack {stack.name} serves nothing: it has no gateway. To bring it up: {stack.make('up')}"
        )


def print_prediction(stack: NamedStack, outputs: dict[str, Any]) -> Any:
    """Request a prediction about a real flight from the stack's gateway, and print it; returns the answer."""
    started = time.monotonic()
    answer = prediction(stack, outputs)
    milliseconds = (time.monotonic() - started) * 1000
    found = answer["predictions"][0]
    verdict = "late" if found["late"] else "on time"
    flight = ", ".join(
        f"{name} {value}" for name, value in json.loads(FLIGHT.read_bytes())["instances"][0].items()
    )
    print(f"\n  A real flight: {flight}")
    print(
        f"  {verdict}: more than 15 minutes late with probability {found['probability']:.2f},"
        f" from model {answer['model_version'][:12]} ({milliseconds:.0f} ms)"
    )
    return answer


def prediction(stack: NamedStack, outputs: dict[str, Any]) -> Any:
    """The gateway's answer about a real flight."""
    return json.loads(predicted_bytes(stack, outputs))


def predicted_bytes(stack: NamedStack, outputs: dict[str, Any]) -> bytes:
    """The bytes of the gateway's answer about a real flight."""
    if "gateway_url" not in outputs:
        fail(f"Stack {stack.name} has no gateway yet. Bring it up with `{stack.make('up')}`.")
    request = urllib.request.Request(  # noqa: S310  # the URL is the stack's own output
        f"{outputs['gateway_url']}/predict",
        data=FLIGHT.read_bytes(),
        headers={"content-type": "application/json", "x-api-key": outputs.get("gateway_key", "")},
    )
    with waiting(f"a prediction from {outputs['gateway_url']}"):
        return _answer_when_ready(request, _trust(stack))


def code_version(stack: NamedStack, outputs: dict[str, Any]) -> str | None:
    """The content hash of the code that answers at the gateway; None while nothing does, or it names none.

    Not at /healthz, a path that Cloud Run's front end keeps for itself.
    """
    url = f"{outputs['gateway_url']}/health"
    try:
        with urllib.request.urlopen(url, timeout=30, context=_trust(stack)) as response:  # noqa: S310
            found = json.load(response).get("code_version")
    except (OSError, ValueError):
        return None
    return str(found) if found else None


def _trust(stack: NamedStack) -> ssl.SSLContext:
    """The rehearsal's web apps use HTTPS, as Azure's do, with a certificate of the rehearsal's own authority."""
    return ssl.create_default_context(cafile=stack.environment.get("SSL_CERT_FILE"))


def _answer_when_ready(request: urllib.request.Request, trust: ssl.SSLContext) -> bytes:
    """The answer, as soon as the service is ready.

    During a cold start it may answer 5xx or nothing. The gateway itself answers 503 with `retry-after` while it may not
    read its key or ask the model yet.
    """
    began, seconds = time.monotonic(), START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30, context=trust) as response:  # noqa: S310
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            problem = f"{error.code} {error.read().decode(errors='replace')}"
            if error.code < 500:
                fail(f"{request.full_url} refused: {problem}")
            if (
                error.code == 503
                and error.headers.get("retry-after")
                and seconds < PERMITTED_SECONDS
            ):
                seconds = PERMITTED_SECONDS
                say(f"the gateway answers 503: its permissions may take {seconds // 60} minutes")
        except OSError as error:
            problem = str(error)
        if time.monotonic() - began > seconds:
            fail(f"{request.full_url} gave no prediction within {seconds} s: {problem}")
        time.sleep(0.5)
