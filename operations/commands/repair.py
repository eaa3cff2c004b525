"""`make repair`: find what was changed or lost outside the program, and restore it."""

from __future__ import annotations

from config.schema import StackConfig
from operations.commands.preparation import prepare
from operations.commands.update import bring_up_to_date
from operations.engine import account, guards, previews
from operations.engine.guards import allowed, refuse
from operations.engine.resources import resource_name, resource_type
from operations.engine.stack import NamedStack, Stack


def repair(stack: NamedStack) -> None:
    """Record the drift in the state, then bring everything back to what the program declares."""
    drift_to_repair(stack, prepare(stack))
    refresh(stack)
    bring_up_to_date(stack)


def drift_to_repair(stack: Stack, config: StackConfig) -> dict[str, list[str]]:
    """Print and return the drift: changed properties by URN.

    Refuses another account's resources, and a refresh that finds too many resources missing.
    """
    refuse(account.account_refusals(stack, config))
    steps = stack.cli.refresh_steps()
    drift = previews.drift(steps)
    for urn, properties in drift.items():
        print(f"  {resource_type(urn)} {resource_name(urn)}: {', '.join(properties)}")
    refuse(guards.refresh_losses(steps, allowed()))
    print(f"{len(drift)} of {len(steps)} resources differ from the state.")
    return drift


def refresh(stack: Stack) -> None:
    """Write into the state what exists in the cloud."""
    stack.pulumi("refresh", "--yes", "--skip-preview", "--suppress-outputs")
