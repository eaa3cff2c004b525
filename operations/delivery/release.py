"""`make release`: a delivery to one stack of the shell's environment. CI runs it, a job for each stage."""

from __future__ import annotations

from pathlib import Path

from config.model_store import STORE
from config.schema import StackConfig
from operations.commands import preparation
from operations.commands.model_versions import selected_versions
from operations.delivery import gates, tested_versions
from operations.delivery.evidence import Evidence, commit, recorded
from operations.delivery.load_gate import LoadGate
from operations.delivery.rollout import roll_out
from operations.engine.shell_stack import ShellStack
from operations.recovery import failed_endpoints, interrupted_run
from operations.terminal import fail

STAGING = "staging"
"""The environment, or the name, of the stack that tests model versions. Each other one gets tested versions."""


def release_stack(
    stack: ShellStack,
    version: str = "",
    *,
    p95_ms: float | None = None,
    errors: float | None = None,
) -> None:
    """Deliver to this stack of the shell's environment.

    The stack must serve the model versions ``version`` (`tested_versions`). Only staging, which tests them, goes without. ``p95_ms`` and
    ``errors`` override the gate's limits.
    """
    gate = LoadGate.from_settings({"p95_ms": p95_ms, "errors": errors})
    versions = tested_versions.parse(version) if version else None
    config = preparation.read_ready(stack)
    is_staging = STAGING in (stack.name, config.environment)
    if not is_staging and versions is None:
        fail(
            f"STACK={stack.name} needs VERSION=…, the model versions that were tested in staging: a release of"
            f" staging writes them to {STORE.name}/{tested_version_file().name}. A runner that trains again may"
            f" produce other versions. Nothing was changed. Is this staging? Then set triplane:environment:"
            f" {STAGING} in {stack.edited.name}; it is {config.environment}. An update without a delivery:"
            f" {stack.make('up')}"
        )
    evidence = Evidence(f"release-{stack.name}", commit())
    with recorded(evidence):
        if versions is not None:
            with evidence.step(f"models of {stack.name}") as found:
                found["tested"], found["settings"] = versions, selected_versions(config)
                gates.require_versions(config, versions)
        if is_staging:
            tested_version_file().unlink(missing_ok=True)
            served = _roll_out(stack, config, evidence, gate)
            tested_version_file().write_text(f"{tested_versions.text(served)}\n")
        else:
            _roll_out(stack, config, evidence, None)


def _roll_out(
    stack: ShellStack, config: StackConfig, evidence: Evidence, gate: LoadGate | None
) -> dict[str, str]:
    """Roll the stack out, with recovery before it, and after an update that fails."""
    with evidence.step(f"prepare {stack.name}"):
        preparation.prepare(stack)  # recovers, too: a runner may have died in the middle of a job
    try:
        return roll_out(stack, evidence, gate=gate, versions=selected_versions(config))
    except SystemExit:
        # The engine still runs, and its event log, which has the creations without an answer, ends with this
        # machine: the next runner would only have the state.
        with evidence.step(f"recover {stack.name}"):
            interrupted_run.recover(stack, config)
            failed_endpoints.delete_failed_endpoints(stack, config)
        raise


def tested_version_file() -> Path:
    """Where a release of staging writes the model versions that it tested. CI hands this store to production."""
    return STORE / "tested"
