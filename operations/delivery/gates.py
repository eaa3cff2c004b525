"""The gates of a delivery: each passes, or raises `GateFailed`. The load test has a module of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from components import build_context
from config.made_artifacts import archive_holds
from config.model_contract import version_of, version_text
from config.model_store import (
    ARCHIVE,
    CONTRACT,
    MODEL_FILE,
    SERVED_FILES,
    VERSION_FILE,
    Artifact,
)
from config.schema import StackConfig
from operations.commands.model_versions import selected_versions
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


def smoke_test(stack: NamedStack, versions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Ask each model through the gateway about its example; returns the outputs for the evidence.

    Raises `GateFailed` if the stack serves another version of a model than ``versions`` names.
    """
    outputs = stack.outputs()
    await_gateway(stack, outputs)
    gateway.print_predictions(stack, outputs)
    served = gateway.served_versions(outputs)
    if versions is not None and (differences := gateway.different_versions(served, versions)):
        raise GateFailed(f"{stack.name} does not serve what was tested: {differences}")
    recorded = ("gateway_url", "image", "models", "delivery_identity")
    return {name: outputs[name] for name in recorded if name in outputs}


def await_gateway(stack: NamedStack, outputs: dict[str, Any]) -> None:
    """Wait until the gateway that answers runs this checkout's code, and answers with the stack's models.

    An update can end before: App Service's PUT returns while the former container still answers, and the stack's
    outputs name what was asked for. Raises `GateFailed` when another code or model answers after `SERVE_SECONDS`.
    """
    code = build_context.content_hash(HOME / "lambda" / "gateway")
    answers = _awaited(lambda: gateway.code_version(stack, outputs), code)
    if answers != code:
        raise GateFailed(
            f"the gateway of {stack.name} answers with code {answers}, not with {code} of this checkout,"
            f" {SERVE_SECONDS:.0f} s after the update"
        )
    versions = gateway.served_versions(outputs)
    found = _awaited(lambda: _answered_versions(stack, outputs), versions)
    if differences := gateway.different_versions(found, versions):
        raise GateFailed(
            f"the gateway of {stack.name} answers otherwise than the stack's outputs say, {SERVE_SECONDS:.0f} s after the"
            f" update: {differences}"
        )


def _answered_versions(stack: NamedStack, outputs: Mapping[str, Any]) -> dict[str, str]:
    """The version with which each model answers."""
    answers = gateway.predictions(stack, outputs)
    return {name: answer["model_version"] for name, answer in answers.items()}


def _awaited(look: Callable[[], Any], wanted: Any) -> Any:
    """What ``look`` returns when it returns ``wanted``, or last."""
    until = time.monotonic() + SERVE_SECONDS
    while (found := look()) != wanted and time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)
    return found


def require_versions(config: StackConfig, versions: Mapping[str, str]) -> None:
    """Raise `GateFailed` unless the artifacts that would serve are these versions, by their names and by their bytes."""
    if differences := gateway.different_versions(selected_versions(config), versions):
        raise GateFailed(
            f"the settings and the model store select other models than were tested: {differences}."
            " Nothing was changed. Release with the model store of the staging that was tested (.models)"
        )
    for artifact in config.artifacts:
        if change := _change(artifact):
            raise GateFailed(
                f"the files in {artifact.directory} are not those that were tested: {change}, and {artifact.version} was"
                " tested. A file was changed after training. Nothing was changed in the cloud. Release with the model store"
                " of the staging that was tested (.models)"
            )


def _change(artifact: Artifact) -> str | None:
    """What differs in the files of a model from those of its version; None: nothing.

    The files of a bundle and of an own image are made again from the models and the contract, by the deployment.
    """
    if artifact.image:
        return None
    try:
        served = {name: (artifact.directory / name).read_bytes() for name in SERVED_FILES}
        written = (artifact.directory / VERSION_FILE).read_bytes()
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    text = version_text(served[CONTRACT], served[MODEL_FILE])
    if version_of(text) != artifact.version:
        return f"together they are version {version_of(text)}"
    if written != text.encode():
        return f"{VERSION_FILE} is not the text of this version"
    packed = artifact.directory / ARCHIVE
    if packed.exists() and not archive_holds(packed, served):  # SageMaker serves this one
        return f"{ARCHIVE} does not hold {CONTRACT} and {MODEL_FILE} alone"
    return None
