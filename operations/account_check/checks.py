"""Checks of an account, and how they are run: side by side, each with an answer in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

SECONDS = 13.0
"""For all checks together: they are run side by side, and whoever waits for them should not wait for long."""

Severity = Literal["missing", "not known"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that the account lacks, or that could not be found out."""

    severity: Severity
    what: str
    """The thing, in a few words: ``Lambda: executions to reserve``."""
    rule: str
    """What the stack needs, and what the account has."""
    way_out: str
    """The setting, the command or the page that mends it."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question to the account."""

    what: str
    look: str
    """Where a person finds the answer if this check gets none: a command or a page."""
    findings: Callable[[], Iterable[Finding]]
    """Raises whatever the cloud's client raises when the question is refused."""


def missing(what: str, rule: str, way_out: str) -> Finding:
    """Something that the account lacks: the deployment would fail."""
    return Finding(severity="missing", what=what, rule=rule, way_out=way_out)


def not_known(what: str, rule: str, way_out: str) -> Finding:
    """Something that could not be found out; never taken for good."""
    return Finding(severity="not known", what=what, rule=rule, way_out=way_out)


def too_little(what: str, needed: float, has: float, because: str, way_out: str) -> list[Finding]:
    """A finding if the account has less than is needed; ``because`` says what needs it."""
    if needed <= has:
        return []
    return [missing(what, f"{because}: {needed:g} needed, {has:g} available", way_out)]


def findings_of(checks: Sequence[Check], seconds: float = SECONDS) -> list[Finding]:
    """The findings of all checks, in their order. A check that is refused, or not answered in time, is not known."""
    answers: list[list[Finding] | None] = [None] * len(checks)

    def run(number: int, check: Check) -> None:
        try:
            answers[number] = list(check.findings())
        except (Exception, SystemExit) as error:
            answers[number] = [not_known(check.what, _reason(error), check.look)]

    deadline = time.monotonic() + seconds
    # Daemons: a request that hangs must not keep the process alive.
    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(checks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [
        finding
        for check, answer in zip(checks, list(answers), strict=True)
        for finding in (
            [not_known(check.what, f"no answer within {seconds:g} seconds", check.look)]
            if answer is None
            else answer
        )
    ]


def _reason(error: BaseException) -> str:
    """An error's own text on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:397]} …"
