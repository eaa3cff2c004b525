"""The gates of a delivery: each passes, or raises `GateFailed`. The load test has a module of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

from components import build_context
from config.model_store import Artifact
from operations.engine import environment, gateway
from operations.engine.installation import HOME, PYTHON
from operations.engine.stack import NamedStack

TESTS = {
    # The tests that need no engine: half a minute.
    "fast": [
        str(PYTHON),
        "-m",
        "pytest",
        "-q",
        "tests/contract",
        "tests/unit/config",
    ],
    "all": [str(PYTHON), "-m", "tools.verify"],
}

# App Service gives a container up to 230 s to start, and lets the former one answer meanwhile.
# https://learn.microsoft.com/azure/app-service/reference-app-settings (WEBSITES_CONTAINER_START_TIME_LIMIT)
SERVE_SECONDS = 300.0
PAUSE_SECONDS = 2.0


class GateFailed(Exception):
    """A gate does not pass; the message has the rule and what was found or measured."""


def run_tests(selection: str) -> None:
    """Run the tests of this name in `TESTS`."""
    command = TESTS[selection]
    path = {"PATH": environment.pulumi_environment()["PATH"]}
    if code := subprocess.run(command, cwd=HOME, env={**os.environ, **path}).returncode:
        raise GateFailed(f"{' '.join(command[1:])} exited with {code}")


def policy_report(cloud: str) -> str:
    """The policies' report on the program as it is now. Raises `GateFailed` with it if a policy is violated."""
    done = subprocess.run(
        [str(PYTHON), "-m", "policy", cloud], cwd=HOME, capture_output=True, text=True
    )
    if done.returncode:
        raise GateFailed(f"policies:\n{done.stdout}{done.stderr}")
    return done.stdout


def smoke_test(stack: NamedStack, version: str | None = None) -> dict[str, Any]:
    """Request a prediction through the gateway; returns the outputs for the evidence.

    Raises `GateFailed` if the stack serves another model version than ``version``.
    """
    outputs = stack.outputs()
    await_gateway(stack, outputs)
    gateway.print_prediction(stack, outputs)
    if version and outputs["model_version"] != version:
        raise GateFailed(
            f"{stack.name} serves model {outputs['model_version'][:12]}, but {version[:12]} was tested"
        )
    recorded = ("gateway_url", "image", "model_version", "endpoint_name", "delivery_identity")
    return {name: outputs[name] for name in recorded if name in outputs}


def await_gateway(stack: NamedStack, outputs: dict[str, Any]) -> None:
    """Wait until the gateway that answers runs this checkout's code, and answers with the stack's model.

    An update can end before: App Service's PUT returns while the former container still answers, and the stack's
    outputs name what was asked for. Raises `GateFailed` when another code or model answers after `SERVE_SECONDS`.
    """
    code, model = build_context.content_hash(HOME / "lambda" / "gateway"), outputs["model_version"]
    answers = _awaited(lambda: gateway.code_version(stack, outputs), code)
    if answers != code:
        raise GateFailed(
            f"the gateway of {stack.name} answers with code {answers}, not with {code} of this checkout,"
            f" {SERVE_SECONDS:.0f} s after the update"
        )
    answers = _awaited(lambda: gateway.prediction(stack, outputs)["model_version"], model)
    if answers != model:
        raise GateFailed(
            f"the gateway of {stack.name} answers with model {answers[:12]}, not with {model[:12]} of the stack's"
            f" outputs, {SERVE_SECONDS:.0f} s after the update"
        )


def _awaited(look: Callable[[], Any], wanted: str) -> Any:
    """What ``look`` returns when it returns ``wanted``, or last."""
    until = time.monotonic() + SERVE_SECONDS
    while (found := look()) != wanted and time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)
    return found


def require_version(artifact: Artifact, version: str) -> None:
    """Raise `GateFailed` unless the artifact that would serve is this version, by its name and by its bytes."""
    if artifact.version != version:
        raise GateFailed(
            f"the settings and the model store select model {artifact.version}, but {version} was tested."
            " Nothing was changed. Release with the model store of the staging that was tested (.models)"
        )
    digest = hashlib.sha256((artifact.directory / "model.onnx").read_bytes()).hexdigest()
    if digest != version:
        raise GateFailed(
            f"model.onnx in {artifact.directory} is not the file that was tested: its SHA-256 is {digest}, and"
            f" {version} was tested. The file was changed after training. Nothing was changed in the cloud. Release with the"
            " model store of the staging that was tested (.models)"
        )
