"""What a real provider sends again by itself, so that a program does not see the first refusals."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from rehearsal.core.behaviour import Behaviour
from rehearsal.core.records import Refusal

T = TypeVar("T")
PAUSE = 0.1


def retried(
    behaviour: Behaviour, work: Callable[[], T], *, code: str, containing: str = "", seconds: float
) -> T:
    """Do ``work``; again while the cloud refuses with this code and text, for so many seconds of the cloud.

    No longer than the provider does it, and not at all where nothing is late.
    """
    deadline = time.monotonic() + behaviour.shortened(seconds)
    while True:
        try:
            return work()
        except Refusal as refused:
            again = refused.code == code and containing in refused.message
            if not again or time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE)
