"""`make drift`: the differences between a stack's state and its cloud, as a list."""

from __future__ import annotations

import sys

from operations.commands import preparation
from operations.delivery.evidence import write_file
from operations.delivery.terminal_stack import TerminalStack
from operations.engine import account, guards, previews


def report_drift(name: str) -> None:
    """List the resources that differ from the state, and exit with 1 if there are any; changes nothing."""
    stack = TerminalStack.named(name)
    preparation.ensure_model()
    # A refresh does not run the program: its steps have the account of the state, whose credentials they may not be.
    guards.refuse(account.another_account(stack, preparation.read_settings(stack)))
    drift = previews.drift(stack.cli.refresh_steps())
    lines = [f"# Drift of {stack.name}: {len(drift)} resources\n"]
    lines += [
        f"- `{urn.rpartition('::')[2]}`: {', '.join(properties)}"
        for urn, properties in drift.items()
    ]
    write_file(f"drift-{stack.name}.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    if drift:
        sys.exit(1)
