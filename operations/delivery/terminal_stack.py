"""A stack of the shell's environment, as CI has it: no rehearsal, and a backend that may be elsewhere."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property

from operations.engine import environment
from operations.engine.installation import HOME
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.stack import SCRATCH, Stack
from operations.terminal import fail


class TerminalStack(Stack):
    """A stack with the backend, the credentials and the cloud of the shell's environment."""

    @classmethod
    def named(cls, name: str) -> TerminalStack:
        """The stack with the stack file of its name; exits with a message if there is no such file."""
        rendered, tracked = SCRATCH / f"Pulumi.{name}.yaml", HOME / f"Pulumi.{name}.yaml"
        file = tracked if tracked.exists() else rendered
        if not file.exists():
            fail(
                f"STACK={name}: there is no {tracked.name}. docs/guides/real-cloud.md describes how to create one."
            )
        return cls(name, file)

    @cached_property
    def environment(self) -> dict[str, str]:
        path = environment.pulumi_environment()["PATH"]
        return {**os.environ, "PATH": path, "PULUMI_DEBUG_COMMANDS": "true"}  # as `Stack` does

    @cached_property
    def cli(self) -> PulumiCli:
        """As `Stack` has it, with the engine's errors explained: only they show a lock in a backend elsewhere."""
        return replace(super().cli, explains_streams=True)

    def remove_stale_locks(self) -> None:
        """Remove a stale lock if the backend is this clone's. Only Pulumi sees the locks of another backend."""
        backend = HOME / ".pulumi" / "backend"
        if self.environment.get("PULUMI_BACKEND_URL", "").startswith(f"file://{backend}"):
            super().remove_stale_locks()
