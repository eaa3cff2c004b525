"""Faults on demand: throttling, outages, lost answers and crashes, to test how a program handles them."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from rehearsal.core.records import Errors, Refusal
from rehearsal.core.store import Store

FaultKind = Literal["throttle", "unavailable", "expired", "slow", "hang", "drop", "crash"]
# The real providers' clients try more often (the AWS SDK 25 times). Fewer attempts save time here.
ATTEMPTS = 5
BACKOFF = 0.1
"""Seconds before the first retry; doubled each time."""
FAULTS = "faults"
"""The namespace of the faults."""


class AnswerLost(Exception):
    """The connection broke before the answer; the step was either done or not begun."""


@dataclass(frozen=True)
class Fault:
    """One fault. Globs as in a shell; with a path it is a fault of the data planes."""

    what: FaultKind
    on: str = "*"
    """Resource type: ``aws:s3/*``, ``gcp:*``."""
    name: str = "*"
    """The resource's name in the program."""
    method: str = "*"
    """``create``, ``read``, ``update``, ``delete``, ``check``, ``invoke``."""
    path: str = ""
    """URL path below the rehearsal's HTTP address: ``/aws/*``."""
    times: int = 1
    """How often; 0: until cleared."""
    seconds: float = 5
    """How long ``slow`` takes."""
    after: bool = False
    """``crash`` and ``drop`` happen after the step instead of before it."""
    id: str = ""

    def __post_init__(self) -> None:
        if self.what not in get_args(FaultKind):
            raise ValueError(
                f"there is no fault {self.what}; there are {', '.join(get_args(FaultKind))}"
            )
        if self.times < 0 or self.seconds < 0:
            raise ValueError("times and seconds cannot be negative")


@dataclass(frozen=True)
class Step:
    """One step of a provider, at which a fault can happen."""

    token: str
    name: str
    """The resource's name in the program."""
    method: str
    errors: Errors
    """The cloud's own words."""


class Faults:
    """The faults that are set. They are durable, and each occurrence uses one up."""

    def __init__(self, store: Store) -> None:
        self._kv = store.kv
        self._lock = threading.Lock()

    def set(self, fault: Fault) -> str:
        """Set a fault; returns its id."""
        key = secrets.token_hex(3)
        self._kv.put(FAULTS, key, {**asdict(fault), "id": key})
        return key

    def all(self) -> list[Fault]:
        """The faults that are set, oldest first."""
        return [Fault(**fault) for fault in self._kv.items(FAULTS).values()]

    def clear(self, id: str | None = None) -> None:
        """Remove all faults, or the one with this id."""
        for fault in self.all():
            if id in (None, fault.id):
                self._kv.delete(FAULTS, fault.id)

    def take(self, matches: Callable[[Fault], bool]) -> Fault | None:
        """The first fault that matches. One occurrence of it is used up, also if a crash follows."""
        if not self._kv.items(FAULTS):
            return None
        with self._lock:
            for fault in self.all():
                if matches(fault):
                    if fault.times == 1:
                        self._kv.delete(FAULTS, fault.id)
                    elif fault.times:
                        self._kv.put(FAULTS, fault.id, asdict(fault) | {"times": fault.times - 1})
                    return fault
        return None

    def apply(
        self,
        step: Step,
        *,
        after: bool,
        is_awaited: Callable[[], bool],
        report: Callable[[Fault], None],
    ) -> None:
        """Apply the faults that are set for this step, before it or ``after`` it.

        ``is_awaited`` returns whether the engine still waits for the answer.
        """

        def matches(fault: Fault) -> bool:
            return (
                not fault.path
                and fault.after == after
                and fnmatchcase(step.token, fault.on)
                and fnmatchcase(step.name, fault.name)
                and fnmatchcase(step.method, fault.method)
            )

        for attempt in range(ATTEMPTS):
            fault = self.take(matches)
            if fault is None:
                return
            report(fault)
            match fault.what:
                case "slow":
                    time.sleep(fault.seconds)
                    return
                case "hang":
                    while is_awaited():
                        time.sleep(0.2)
                    raise AnswerLost("the caller does not wait any more")
                case "drop":
                    raise AnswerLost("connection reset by peer")
                case "crash":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "throttle" | "unavailable" if attempt < ATTEMPTS - 1:
                    time.sleep(BACKOFF * 2**attempt)
                case "throttle":
                    raise Refusal(*step.errors.throttled)
                case "unavailable":
                    raise Refusal(*step.errors.unavailable)
                case "expired":
                    raise Refusal(*step.errors.expired)

    def take_for_path(self, path: str) -> Fault | None:
        """The fault for this path of the data planes, if one is set."""
        return self.take(lambda fault: bool(fault.path) and fnmatchcase(path, fault.path))
