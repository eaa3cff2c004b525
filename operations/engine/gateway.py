"""Predictions from a stack's gateway, requested over HTTP as any caller does: each model about its own example."""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from config.messages import did_you_mean
from operations.engine.stack import NamedStack
from operations.terminal import fail, say, waiting

START_SECONDS = 60
PERMITTED_SECONDS = 10 * 60
"""As long as a cloud may take until a new permission is in force (`components.dynamic.LONGEST_GRANT_SECONDS`)."""
SHOWN_CHARACTERS = 40
"""Of one value of an example: an image in base64 has thousands."""


def refuse_without_gateway(stack: NamedStack) -> None:
    """Leave if the state has no gateway: none was built yet, or it was destroyed and the outputs remember it."""
    types = {each["type"] for each in stack.recorded_state().get("resources") or ()}
    if not any(each.startswith("triplane:") and each.endswith(":Gateway") for each in types):
        fail(
            f"Stack {stack.name} serves nothing: it has no gateway. To bring it up: {stack.make('up')}"
        )


def served_versions(outputs: Mapping[str, Any]) -> dict[str, str]:
    """The version of each model that the outputs of a stack name; empty for a stack that serves none yet."""
    return {name: each["version"] for name, each in sorted((outputs.get("models") or {}).items())}


def different_versions(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """In which models two sets of versions differ; empty if in none."""

    def shown(version: str | None) -> str:
        return version[:12] if version else "none"

    return "; ".join(
        f"{name} is {shown(found.get(name))}, not {shown(wanted.get(name))}"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    )


def chosen_models(outputs: Mapping[str, Any]) -> list[str]:
    """The models that a command asks: that of ``MODEL=``, or all of the stack's."""
    served, chosen = list(served_versions(outputs)), os.environ.get("MODEL", "")
    if not chosen:
        return served
    if chosen not in served:
        fail(
            f"MODEL={chosen}: the stack serves no such model.{did_you_mean(chosen, served)} It serves: {', '.join(served)}."
            " Nothing was asked."
        )
    return [chosen]


def print_predictions(
    stack: NamedStack, outputs: Mapping[str, Any], names: list[str] | None = None
) -> dict[str, Any]:
    """Ask each model of the stack about its example, and print the answers; returns them by model."""
    answers = {}
    for name in served_versions(outputs) if names is None else names:
        contract = contract_of(stack, outputs, name)
        started = time.monotonic()
        answers[name] = answer = json.loads(_predicted(stack, outputs, contract))
        milliseconds = (time.monotonic() - started) * 1000
        example = ", ".join(f"{key} {_shown(value)}" for key, value in contract["example"].items())
        print(f"\n  {contract['title']}. {contract['question']}")
        print(f"  The example: {example}")
        print(
            f"  {in_words(contract['answer'], answer['predictions'][0])}, from model"
            f" {name} {answer['model_version'][:12]} ({milliseconds:.0f} ms)"
        )
    return answers


def predictions(stack: NamedStack, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of each model of the stack about its example."""
    return {name: json.loads(answer) for name, answer in predicted_bytes(stack, outputs).items()}


def predicted_bytes(stack: NamedStack, outputs: Mapping[str, Any]) -> dict[str, bytes]:
    """The bytes of each model's answer about its example."""
    return {
        name: _predicted(stack, outputs, contract_of(stack, outputs, name))
        for name in served_versions(outputs)
    }


def example_requests(stack: NamedStack, outputs: Mapping[str, Any]) -> dict[str, str]:
    """The path of each model's predictions, and the body that asks about its example."""
    contracts = (contract_of(stack, outputs, name) for name in served_versions(outputs))
    return {_predict_path(each): _example_body(each) for each in contracts}


def contract_of(stack: NamedStack, outputs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The contract that the gateway answers by, of one model."""
    url = f"{_url(stack, outputs)}/models/{name}"
    request = urllib.request.Request(url)  # noqa: S310  # the URL is the stack's own output
    with waiting(f"the contract of {name} from {outputs['gateway_url']}"):
        contract: dict[str, Any] = json.loads(_answer_when_ready(request, trusted(stack)))
    return contract


def in_words(answer: Mapping[str, Any], prediction: Mapping[str, Any]) -> str:
    """A prediction in the words of the contract's answer."""
    match answer["kind"]:
        case "binary":
            verdict = answer["yes"] if prediction[answer["name"]] else answer["no"]
            return f"{answer['label']}: {verdict}, probability of {answer['yes']} {prediction['probability']:.2f}"
        case "multiclass":
            code = prediction[answer["name"]]
            label = answer["classes"].get(code, code)
            return f"{answer['label']}: {label}, probability {prediction['probability']:.2f}"
        case "regression":
            unit = f" {answer['unit']}" if "unit" in answer else ""
            return f"{answer['label']}: {prediction[answer['name']]:g}{unit}"
    return ", ".join(f"{name}: {_shown(value)}" for name, value in prediction.items())


def _predicted(stack: NamedStack, outputs: Mapping[str, Any], contract: Mapping[str, Any]) -> bytes:
    request = urllib.request.Request(  # noqa: S310  # the URL is the stack's own output
        f"{_url(stack, outputs)}{_predict_path(contract)}",
        data=_example_body(contract).encode(),
        headers={"content-type": "application/json", "x-api-key": outputs.get("gateway_key", "")},
    )
    with waiting(f"a prediction from {outputs['gateway_url']}"):
        return _answer_when_ready(request, trusted(stack))


def _predict_path(contract: Mapping[str, Any]) -> str:
    return f"/models/{contract['name']}/predict"


def _example_body(contract: Mapping[str, Any]) -> str:
    return json.dumps({"instances": [contract["example"]]})


def _url(stack: NamedStack, outputs: Mapping[str, Any]) -> str:
    if "gateway_url" not in outputs:
        fail(f"Stack {stack.name} has no gateway yet. Bring it up with `{stack.make('up')}`.")
    return str(outputs["gateway_url"])


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def code_version(stack: NamedStack, outputs: Mapping[str, Any]) -> str | None:
    """The content hash of the code that answers at the gateway; None while nothing does, or it names none.

    Not at /healthz, a path that Cloud Run's front end keeps for itself.
    """
    url = f"{outputs['gateway_url']}/health"
    try:
        with urllib.request.urlopen(url, timeout=30, context=trusted(stack)) as response:  # noqa: S310
            found = json.load(response).get("code_version")
    except (OSError, ValueError):
        return None
    return str(found) if found else None


def trusted(stack: NamedStack) -> ssl.SSLContext:
    """The rehearsal's web apps use HTTPS, as Azure's do, with a certificate of the rehearsal's own authority."""
    return ssl.create_default_context(cafile=stack.environment.get("SSL_CERT_FILE"))


def _answer_when_ready(request: urllib.request.Request, trust: ssl.SSLContext) -> bytes:
    """The answer, as soon as the service is ready.

    During a cold start it may answer 5xx or nothing. The gateway itself answers 503 with `retry-after` while it may not
    read its key or a contract yet, or ask the model; and 404 for a model that the former process does not know.
    """
    began, seconds = time.monotonic(), START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30, context=trust) as response:  # noqa: S310
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            problem = f"{error.code} {error.read().decode(errors='replace')}"
            if error.code < 500 and error.code != 404:
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
