"""An update of a stack: what it must not lose, the update itself, and what is printed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operations.commands.preparation import (
    read_ready,
    refuse_another_place,
    refuse_missing,
    refuse_second_platform,
)
from operations.data.state_copy import copy_state_into_lake
from operations.engine import guards, last_update
from operations.engine.gateway import print_predictions
from operations.engine.previews import Step
from operations.engine.stack import NamedStack, Stack
from operations.terminal import say


def bring_up_to_date(stack: NamedStack) -> None:
    """Bring the stack up, unless the preview that the guards read shows that it is up to date already; then report."""
    state = stack.export()
    steps = refuse_losses(stack, state)
    if steps and last_update.is_current(stack, state, steps):
        types = (each["type"] for each in state["deployment"]["resources"])
        unchanged = [each for each in types if not each.startswith("pulumi:providers:")]
        report_update(stack, {"same": len(unchanged)})  # as the engine counts
    else:
        bring_up(stack)
        report_update(stack)


def refuse_losses(stack: Stack, state: dict[str, Any] | None = None) -> list[Step]:
    """Refuse an update of another account's stack, or one that loses precious resources; the previewed steps.

    ``state``: what `export` gives, if the caller has it.
    """
    deployment = (state or stack.export()).get("deployment") or {}
    if not deployment.get("resources"):
        return []  # a new stack has nothing to lose, and a preview takes seconds
    say("comparing the program with the state")
    # The rest of an interrupted replacement only deletes. A preview shows that only on request.
    steps = stack.preview_steps("preview", "--show-replacement-steps")
    guards.refuse(guards.preview_refusals(steps))
    return steps


def guard_stack(stack: NamedStack) -> None:
    """Refuse what an update of the stack would lose; changes nothing."""
    config = read_ready(stack)
    refuse_missing(stack)
    refuse_another_place(stack, config)
    refuse_second_platform(stack, config)
    if stack.is_empty():
        print(
            f"Stack {stack.name} is empty, and its cloud has no lake of it: an update loses nothing. Whether the"
            f" account is the right one, and is prepared: {stack.make('check-account')}"
        )
        return
    refuse_losses(stack)
    print(f"An update of stack {stack.name} loses nothing precious, and is of its own account.")


def bring_up(stack: Stack) -> None:
    """Bring the stack up, and copy its state into its lake, after a failure too."""
    try:
        stack.update("up", "--suppress-outputs")
    finally:
        copied = copy_state_into_lake(stack)
    if copied:
        last_update.remember(stack, copied)


def report_update(stack: NamedStack, counts: Mapping[str, int] | None = None) -> None:
    """Print the outputs, a prediction of each model, and how many resources were changed: ``counts`` by operation, or the last update's."""
    outputs = stack.outputs()
    print_outputs(stack, outputs)
    print_predictions(stack, outputs)
    counts = stack.change_counts() if counts is None else counts
    changed = sum(count for operation, count in counts.items() if operation != "same")
    print(
        f"\nStack {stack.name}: {changed} resources changed."
        if changed
        else f"\nStack {stack.name}: no change; {counts.get('same', 0)} resources are unchanged."
    )


def print_outputs(stack: NamedStack, outputs: dict[str, Any]) -> None:
    """Print the outputs, a line each; in place of the gateway's key the command that prints it."""
    shown = {
        name: value for name, value in outputs.items() if name not in ("readme", "gateway_key")
    }
    if "gateway_key" in outputs:
        shown["gateway_key"] = f"secret: {stack.make('key')}"
    print()
    for name, value in shown.items():
        if name != "models":
            print(f"  {name:<14} {value}")
            continue
        for model, served in sorted(value.items()):
            print(f"  model          {model}")
            for key, text in served.items():
                print(f"    {key:<14} {text}")
