"""Checks of an account, and how they are run: side by side, each with an answer in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

SECONDS = 12.0
"""For all questions together, which are asked side by side. With the start of the program it is less than 15."""

T = TypeVar("T")
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


def answered(question: Callable[[], T], seconds: float) -> T:
    """The answer to a question, or the error that it ends with. Raises TimeoutError without one in time."""
    answers: list[tuple[T | None, BaseException | None]] = []

    def ask() -> None:
        try:
            answers.append((question(), None))
        except BaseException as error:
            answers.append((None, error))

    # A daemon: a request that hangs must not keep the process alive.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if not answers:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    answer, error = answers[0]
    if error:
        raise error
    return cast(T, answer)


def findings_of(checks: Sequence[Check], seconds: float = SECONDS) -> list[Finding]:
    """The findings of all checks, in their order. A check that is refused, or not answered in time, is not known."""

    def findings(check: Check) -> list[Finding]:
        try:
            return answered(lambda: list(check.findings()), seconds)
        except (Exception, SystemExit) as error:
            return [not_known(check.what, _reason(error), check.look)]

    with ThreadPoolExecutor(max_workers=max(1, len(checks))) as pool:
        return [finding for each in pool.map(findings, checks) for finding in each]


def _reason(error: BaseException) -> str:
    """An error's own text on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:397]} …"
