"""The rollout of one stack: preview, update, smoke test and load test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from operations.commands import update
from operations.delivery import comment, gates
from operations.delivery.evidence import Evidence, write_text
from operations.delivery.load_gate import LoadGate, measure
from operations.engine import gateway, guards
from operations.engine.previews import Step
from operations.engine.stack import NamedStack


def roll_out(
    stack: NamedStack,
    evidence: Evidence,
    *,
    gate: LoadGate | None,
    versions: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Bring a stack up and test it; returns the version of each model that it serves.

    With ``versions`` it must serve those. Raises `GateFailed` when a gate does not pass.
    """
    with evidence.step(f"preview {stack.name}") as found:
        evidence.hide_secrets(stack)
        steps = preview_steps(stack)
        write_preview(stack, steps, f"Preview of {stack.name}")
        changes = comment.changes({"steps": steps})
        found["changes"] = {
            verb: sum(each.verb == verb for each in changes) for verb in comment.HEADINGS
        }
        guards.refuse(guards.preview_refusals(steps))
    with evidence.step(f"up {stack.name}"):
        update.bring_up(stack)
        evidence.hide_secrets(stack)
    with evidence.step(f"smoke test {stack.name}") as found:
        found |= gates.smoke_test(stack, versions)
        served = gateway.served_versions(found)
    if gate:
        with evidence.step(f"load test {stack.name}") as found:
            load = measure(stack, gate)
            found |= {"allowed": asdict(gate), "measured": asdict(load)}
            gate.check(load)
    return served


def preview_steps(stack: NamedStack) -> list[Step]:
    """The steps of an update of the stack, unchanged resources included."""
    return stack.preview_steps("preview", "--show-sames", "--show-replacement-steps")


def write_preview(stack: NamedStack, steps: list[Step], title: str, policy: str = "") -> None:
    """Write a preview for readers into ``.delivery/``."""
    rendered = comment.render({"steps": steps}, title, policy)
    write_text(stack, f"preview-{stack.name}.md", rendered)
