"""The stack that a person names: ``STACK=`` of the shell's environment, or ``CLOUD=`` of this clone's rehearsal."""

from __future__ import annotations

from operations.engine.rehearsed_stack import RehearsedStack
from operations.engine.shell_stack import ShellStack
from operations.engine.stack import NamedStack
from operations.terminal import fail


def chosen_stack(cloud: str, name: str | None) -> NamedStack:
    """The stack of the shell's environment with this name; without a name, this clone's stack for the cloud."""
    if name is None:
        return RehearsedStack.for_cloud(cloud)
    return shell_stack(cloud, name)


def shell_stack(cloud: str, name: str | None) -> ShellStack:
    """The stack of the shell's environment with this name, for a command that has no other."""
    if name is None:
        fail(
            "STACK is missing. Name a stack of your shell's environment, STACK=prod; in this clone's rehearsal: make"
            " deliver."
        )
    if not name:  # a pipeline's variable that is not set: the rehearsal would answer for it
        fail(
            "STACK= is empty. Name a stack of your shell's environment, STACK=prod; for this clone's rehearsal, leave"
            " STACK out."
        )
    if cloud:
        fail(
            f"CLOUD={cloud} and STACK={name}: CLOUD chooses a stack of this clone's rehearsal, and STACK one of your"
            " shell's environment, whose file names its cloud. Leave one of them out."
        )
    return ShellStack.named(name)
