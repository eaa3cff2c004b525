"""`make deliver`: a merge, delivered to a staging and a production stack in the rehearsal."""

from __future__ import annotations

from operations.commands import preparation
from operations.delivery import gates
from operations.delivery.evidence import Evidence, commit, recorded
from operations.delivery.load_gate import LoadGate
from operations.delivery.rollout import roll_out
from operations.delivery.stage_stack import stage_stack
from operations.engine.stack import NamedStack


def deliver_merge(
    cloud: str, *, tests: str, p95_ms: float | None = None, errors: float | None = None
) -> None:
    """Deliver a merge in the rehearsal: tests, policies, staging with the load test, production.

    ``tests`` is a name in `gates.TESTS`, or ``none``. ``p95_ms`` and ``errors`` override the gate's limits.
    """
    # Each has a delivery identity, as a stack that CI delivers to has. Both are in one account.
    staging, production = (
        stage_stack(
            stage,
            cloud,
            repository="triplane/triplane",
            environment=stage,
            existing_provider=stage == "production",
        )
        for stage in ("staging", "production")
    )
    evidence = Evidence(f"merge-{staging.name.partition('-')[2]}", commit())
    gate = LoadGate.from_settings({"p95_ms": p95_ms, "errors": errors})
    with recorded(evidence):
        if tests != "none":
            with evidence.step(f"tests ({tests})"):
                gates.run_tests(tests)
        with evidence.step("policies") as found:
            config = preparation.read_settings(staging)
            found["result"] = gates.policy_report(config.cloud).splitlines()[-1]
        preparation.prepare(staging)
        _deliver_stages(staging, production, evidence, gate)


def _deliver_stages(
    staging: NamedStack, production: NamedStack, evidence: Evidence, gate: LoadGate
) -> None:
    """Roll out staging, then production; notes in the evidence whether production was changed."""
    before = last_update(production)
    try:
        versions = roll_out(staging, evidence, gate=gate)
        preparation.prepare(production)
        # Production gets no load but that of its callers.
        roll_out(production, evidence, gate=None, versions=versions)
    finally:
        after = last_update(production)
        unchanged = before == after
        evidence.production = f"{before}, unchanged" if unchanged else f"{before}; now {after}"


def last_update(stack: NamedStack) -> str:
    """How many resources a stack has and when it was last updated: a text that any update changes."""
    updates = (
        stack.cli.json("stack", "history", "--json", "--page-size", "1") if stack.exists() else []
    )
    if not updates:
        return "nothing"
    # By its time: a file backend does not number updates.
    return f"{len(stack.resources())} resources, last updated {updates[0]['startTime']}"
