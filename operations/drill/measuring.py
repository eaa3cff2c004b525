"""What a disaster costs: the recovery time, the data loss, and the checks that pass or fail afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from operations.drill.drill_platform import DrillPlatform


@dataclass(frozen=True)
class Baseline:
    """The platform before a disaster, as far as a recovery must bring it back."""

    prediction: bytes
    captures: frozenset[str]


@dataclass
class Result:
    """What one disaster cost, and the checks after the recovery."""

    disaster: str
    way_back: str
    seconds: float = 0.0
    captures_before: int = 0
    captures_lost: int = 0
    window_seconds: float = 0.0
    """The age of the copy from which the data came back; 0 where the data was not lost."""
    checks: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def check_no_capture_lost(self) -> None:
        self.checks["no capture lost"] = self.captures_lost == 0


@contextmanager
def measured(platform: DrillPlatform, baseline: Baseline, result: Result) -> Iterator[None]:
    """Measure the recovery inside, and check the platform after it."""
    started = time.monotonic()
    yield
    identical = platform.predict() == baseline.prediction
    result.seconds = round(time.monotonic() - started, 1)
    result.checks["the prediction is identical, byte for byte"] = identical
    result.captures_before = len(baseline.captures)
    result.captures_lost = len(baseline.captures - platform.captures())
    result.checks["another run would change nothing"] = not platform.would_change()
    result.checks["a refresh finds no drift"] = not platform.has_drifted()
