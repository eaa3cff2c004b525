"""Faults on demand: what the clouds do on a bad day, so that a program can be seen to survive it."""

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

from rehearsal.core.records import Refusal
from rehearsal.core.store import Store

What = Literal["throttle", "unavailable", "slow", "hang", "drop", "crash"]
# The providers' own clients try again; they give up later than this (the AWS SDK after 25 attempts),
# but a rehearsal should not keep one waiting.
ATTEMPTS = 5
BACKOFF = 0.1
"""Seconds before the first retry; doubled each time."""
THROTTLED = {
    "aws": ("ThrottlingException", "Rate exceeded"),
    "gcp": (
        "rateLimitExceeded",
        "Error 429: Quota exceeded for quota metric 'Requests' per minute",
    ),
    "azure-native": ("TooManyRequests", "The request is being throttled (429)"),
}
UNAVAILABLE = {
    "aws": ("ServiceUnavailable", "StatusCode: 503, please reduce your request rate"),
    "gcp": ("backendError", "Error 503: The service is currently unavailable"),
    "azure-native": ("ServerTimeout", "The server could not process the request in time (503)"),
}


class AnswerLost(Exception):
    """The step was done, or not begun, and the connection broke before the answer."""


@dataclass(frozen=True)
class Fault:
    """One thing to go wrong. Globs as in a shell; a path makes it a fault of the data planes."""

    what: What
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
    """``crash`` and ``drop`` come after the step is done instead of before it."""
    id: str = ""

    def __post_init__(self) -> None:
        if self.what not in get_args(What):
            raise ValueError(
                f"there is no fault {self.what}; there are {', '.join(get_args(What))}"
            )
        if self.times < 0 or self.seconds < 0:
            raise ValueError("times and seconds cannot be negative")


class Faults:
    """The faults that are set, durable, and used up as they strike."""

    def __init__(self, store: Store) -> None:
        self._kv = store.kv
        self._lock = threading.Lock()

    def set(self, fault: Fault) -> str:
        """Set a fault; returns its id."""
        key = secrets.token_hex(3)
        self._kv.put("faults", key, {**asdict(fault), "id": key})
        return key

    def all(self) -> list[Fault]:
        """What is set, oldest first."""
        return [Fault(**fault) for fault in self._kv.items("faults").values()]

    def clear(self) -> None:
        """Take every fault away."""
        for fault in self.all():
            self._kv.delete("faults", fault.id)

    def take(self, matches: Callable[[Fault], bool]) -> Fault | None:
        """The first fault that matches, used up by one; it stays used up over a crash."""
        if not self._kv.items("faults"):
            return None
        with self._lock:
            for fault in self.all():
                if matches(fault):
                    if fault.times == 1:
                        self._kv.delete("faults", fault.id)
                    elif fault.times:
                        self._kv.put("faults", fault.id, asdict(fault) | {"times": fault.times - 1})
                    return fault
        return None

    def step(
        self,
        *,
        package: str,
        token: str,
        name: str,
        method: str,
        after: bool,
        alive: Callable[[], bool],
        told: Callable[[Fault], None],
    ) -> None:
        """Let what is set for this step of a provider happen. ``alive``: whether anyone still waits."""

        def matches(fault: Fault) -> bool:
            return (
                not fault.path
                and fault.after == after
                and fnmatchcase(token, fault.on)
                and fnmatchcase(name, fault.name)
                and fnmatchcase(method, fault.method)
            )

        for attempt in range(ATTEMPTS):
            fault = self.take(matches)
            if fault is None:
                return
            told(fault)
            match fault.what:
                case "slow":
                    time.sleep(fault.seconds)
                    return
                case "hang":
                    while alive():
                        time.sleep(0.2)
                    raise AnswerLost("nobody waits any more")
                case "drop":
                    raise AnswerLost("connection reset by peer")
                case "crash":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "throttle" | "unavailable" if attempt < ATTEMPTS - 1:
                    time.sleep(BACKOFF * 2**attempt)
                case "throttle":
                    raise Refusal(*THROTTLED[package])
                case "unavailable":
                    raise Refusal(*UNAVAILABLE[package])

    def path(self, path: str) -> Fault | None:
        """What is set for this path of the data planes."""
        return self.take(lambda fault: bool(fault.path) and fnmatchcase(path, fault.path))
