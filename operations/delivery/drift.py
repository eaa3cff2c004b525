"""`make drift`: the differences between a stack's state and its cloud, as a list."""

from __future__ import annotations

import sys

from operations.commands import preparation
from operations.delivery.evidence import write_text
from operations.engine import account, guards, previews
from operations.engine.stack import NamedStack


def report_drift(stack: NamedStack) -> None:
    """List the resources that differ from the state, and exit with 1 if there are any; changes nothing."""
    config = preparation.read_ready(stack)
    preparation.refuse_missing(stack)
    # A refresh does not run the program: its steps have the account of the state, whose credentials they may not be.
    guards.refuse(account.account_refusals(stack, config))
    drift = previews.drift(stack.cli.refresh_steps())
    lines = [f"# Drift of {stack.name}: {len(drift)} resources\n"]
    lines += [
        f"- `{urn.rpartition('::')[2]}`: {', '.join(properties)}"
        for urn, properties in drift.items()
    ]
    write_text(stack, f"drift-{stack.name}.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    if drift:
        sys.exit(1)
