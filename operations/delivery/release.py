"""`make release`: a delivery to one stack of the shell's environment. CI runs it, a job for each stage."""

from __future__ import annotations

from pathlib import Path

from config.model_store import STORE
from config.schema import StackConfig
from operations.commands import preparation
from operations.delivery import gates
from operations.delivery.evidence import Evidence, commit, recorded
from operations.delivery.load_gate import LoadGate
from operations.delivery.rollout import roll_out
from operations.engine.shell_stack import ShellStack
from operations.recovery import failed_endpoints, interrupted_run
from operations.terminal import fail

STAGING = "staging"
"""The environment, or the name, of the stack that tests a model version. Each other one gets a tested version."""


def release_stack(
    stack: ShellStack,
    version: str = "",
    *,
    p95_ms: float | None = None,
    errors: float | None = None,
) -> None:
    """Deliver to this stack of the shell's environment.

    The stack must serve the model version ``version``. Only staging, which tests one, goes without. ``p95_ms`` and
    ``errors`` override the gate's limits.
    """
    gate = LoadGate.from_settings({"p95_ms": p95_ms, "errors": errors})
    config = preparation.read_ready(stack)
    is_staging = STAGING in (stack.name, config.environment)
    if not is_staging and not version:
        fail(
            f"STACK={stack.name} needs VERSION=…, the model version that was tested in staging: a release of"
            f" staging writes it to {STORE.name}/{tested_version_file().name}. A runner that trains again may"
            f" produce another version. Nothing was changed. Is this staging? Then set triplane:environment:"
            f" {STAGING} in {stack.edited.name}; it is {config.environment}. An update without a delivery:"
            f" {stack.make('up')}"
        )
    evidence = Evidence(f"release-{stack.name}", commit())
    with recorded(evidence):
        if version:
            with evidence.step(f"model of {stack.name}") as found:
                found["tested"], found["settings"] = version, config.artifacts[0].version
                gates.require_version(config.artifacts[0], version)
        if is_staging:
            tested_version_file().unlink(missing_ok=True)
            served = _roll_out(stack, config, evidence, gate)
            tested_version_file().write_text(f"{served}\n")
        else:
            _roll_out(stack, config, evidence, None)


def _roll_out(
    stack: ShellStack, config: StackConfig, evidence: Evidence, gate: LoadGate | None
) -> str:
    """Roll the stack out, with recovery before it, and after an update that fails."""
    with evidence.step(f"prepare {stack.name}"):
        preparation.prepare(stack)  # recovers, too: a runner may have died in the middle of a job
    try:
        return roll_out(stack, evidence, gate=gate, version=config.artifacts[0].version)
    except SystemExit:
        # The engine still runs, and its event log, which has the creations without an answer, ends with this
        # machine: the next runner would only have the state.
        with evidence.step(f"recover {stack.name}"):
            interrupted_run.recover(stack, config)
            failed_endpoints.delete_failed_endpoints(stack, config)
        raise


def tested_version_file() -> Path:
    """Where a release of staging writes the model version that it tested. CI hands this store to production."""
    return STORE / "tested"
