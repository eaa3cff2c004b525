"""The kinds of fault that a step can meet, by the names that `make crash ONLY=…` uses."""

from __future__ import annotations

from dataclasses import dataclass

from operations.crash.steps import API, CrashStep

ATTEMPTS = 5
"""How often a provider's client tries before it gives up (`rehearsal.core.faults.ATTEMPTS`)."""


@dataclass(frozen=True)
class CrashFault:
    """What happens at a step, and what is true of the step right afterwards."""

    kind: str
    """A kind of fault of `rehearsal.core.faults`."""
    after: bool = False
    """It comes once the cloud has done the step."""
    kills: bool = False
    """The engine is killed while the fault delays the step."""
    at_check: bool = False
    """It delays the step's check, before the engine requests the step itself."""
    times: int = 1
    in_recovery: CrashFault | None = None
    """The fault that the next run meets, as it reads whether the step was done."""

    @property
    def harmless(self) -> bool:
        """Whether a run succeeds despite the fault."""
        return self.kind == "slow"

    @property
    def leaves_step_done(self) -> bool:
        """Whether the cloud has done the step afterwards."""
        return self.after or self.harmless

    def method(self, step: CrashStep) -> str:
        """The method of the provider that the fault hits."""
        return "check" if self.at_check else step.method

    def applies_to(self, step: CrashStep) -> bool:
        """Whether the step has a moment at which the fault can come."""
        if (
            step.dynamic
        ):  # only the state shows when such a step begins, so the middle is the only moment
            return self == FAULTS["kill-during"]
        if step.method == "delete" and step.token == API:
            return False
        return not (self.at_check and step.method == "delete")


FAULTS = {
    "kill-before": CrashFault("hang", kills=True, at_check=True),
    "kill-during": CrashFault("hang", kills=True),
    "kill-after": CrashFault("hang", kills=True, after=True),
    "kill-recovery": CrashFault(
        "hang", kills=True, after=True, in_recovery=CrashFault("hang", kills=True)
    ),
    "unavailable": CrashFault("unavailable", times=ATTEMPTS),
    "throttle": CrashFault("throttle", times=ATTEMPTS),
    "slow": CrashFault("slow"),
    "answer-lost": CrashFault("drop", after=True),
    "connection-lost": CrashFault("drop"),
    "cloud-dies-before": CrashFault("crash"),
    "cloud-dies-after": CrashFault("crash", after=True),
}
