"""The result of a scenario: how much was hit, and each thing that is wrong afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field

KINDS = ("orphaned", "duplicated", "lost", "drifted", "no_effect", "other")


@dataclass
class Verdict:
    """What a scenario did, and what is wrong after it."""

    name: str
    steps: int = 0
    hit: int = 0
    runs: int = 0
    seconds: float = 0
    orphaned: list[str] = field(default_factory=list)
    """Resources that exist in the cloud and that the state does not manage."""
    duplicated: list[str] = field(default_factory=list)
    """Resources that exist more often than after a run without faults."""
    lost: list[str] = field(default_factory=list)
    """Resources that the state manages, or that a run without faults leaves, and that do not exist."""
    drifted: list[str] = field(default_factory=list)
    """Properties that the cloud reports otherwise than the state has them: an update that it never received."""
    no_effect: list[str] = field(default_factory=list)
    """Steps that were hit without the harm that the fault should do."""
    other: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """A line for each thing that is wrong; empty if the scenario converged."""
        return [
            f"{kind.replace('_', ' ')}: {each}" for kind in KINDS for each in getattr(self, kind)
        ]
