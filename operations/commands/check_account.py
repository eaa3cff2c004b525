"""`make check-account`: what the account lacks for a stack. The first deployment asks the same, and does not begin."""

from __future__ import annotations

import os

from config.schema import StackConfig
from operations.account_check import report
from operations.commands.preparation import ensure_models, read_settings, refuse_unreadable_state
from operations.engine import account
from operations.engine.guards import refuse
from operations.engine.stack import NamedStack


def check_account(stack: NamedStack) -> None:
    """Print what the account lacks; leaves with 1 if anything is missing. Changes nothing, and creates no stack."""
    stack.start()
    ensure_models(stack)  # the settings name versions of them
    config = read_settings(stack)
    refuse_unreadable_state(stack)
    existing = stack.resources() if stack.exists() else []
    os.environ.update(stack.environment)  # the clouds' clients read nothing else
    if existing:
        refuse(account.account_refusals(stack, config))
    report.print_account_check(config, existing)


def refuse_unprepared_account(stack: NamedStack, config: StackConfig) -> None:
    """Before the first deployment into an account with limits: leave if it lacks anything."""
    refuse(unprepared_account(stack, config))


def unprepared_account(stack: NamedStack, config: StackConfig) -> list[str]:
    """Reasons to refuse the first deployment into an account with limits; none for a later one."""
    if not (stack.account_has_limits and stack.is_empty()):
        return []
    os.environ.update(stack.environment)
    return report.first_deployment_refusals(config)
