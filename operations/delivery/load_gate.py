"""The load gate: what a stack's gateway must stand before a delivery goes on, asked of it by locust."""

from __future__ import annotations

import json
import math
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from operations.engine.installation import HOME, PYTHON
from operations.engine.stack import Stack
from operations.terminal import fail


class Stopped(Exception):
    """A gate does not hold; the message says which rule and what was measured."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What staging must stand before production is touched: ``[tool.triplane.load-gate]`` of pyproject.toml."""

    users: int
    seconds: int
    errors: float
    """Share of requests that may fail, 0 to 1."""
    p95_ms: float
    pause: float
    """Seconds that a caller waits at most between an answer and its next request."""
    timeout: float
    """Seconds after which a request without an answer has failed; more than a cold start takes."""

    @classmethod
    def chosen(cls, changes: dict[str, Any]) -> Gate:
        settings = tomllib.loads((HOME / "pyproject.toml").read_text())
        kept = settings["tool"]["triplane"]["load-gate"]
        gate = cls(
            **{**kept, **{key: value for key, value in changes.items() if value is not None}}
        )
        if gate.p95_ms >= gate.timeout * 1000:
            fail(
                f"P95_MS={gate.p95_ms:g}: a request fails after {gate.timeout:g} s, so that this limit holds"
                " nothing. Take less, or raise `timeout` of [tool.triplane.load-gate] in pyproject.toml"
            )
        return gate

    @property
    def least(self) -> int:
        """The fewest requests of a load that was borne.

        A caller asks again a pause after each answer: in ``seconds`` at least ``seconds / (pause + p95)``
        times when no answer takes longer than the p95 that is allowed. The twentieth that may is made up for by
        pauses that are mostly shorter, unless it takes many times as long: no gateway to let through, either.
        """
        return max(1, math.floor(self.users * self.seconds / (self.pause + self.p95_ms / 1000)))

    def judge(self, load: Load) -> None:
        """Raise `Stopped` unless the load was borne."""
        if not load.requests:
            raise Stopped("load gate: no request was answered at all")
        if load.errors > self.errors:
            raise Stopped(
                f"load gate: {load.failures} of {load.requests} requests failed ({load.errors:.1%});"
                f" at most {self.errors:.1%} may"
            )
        if load.p95_ms > self.p95_ms:
            raise Stopped(
                f"load gate: 95 % of requests took up to {load.p95_ms:.0f} ms; at most"
                f" {self.p95_ms:.0f} ms are allowed"
            )
        if load.requests < self.least:
            raise Stopped(
                f"load gate: only {load.requests} requests came to an end; {self.users} callers in"
                f" {self.seconds} s make {self.least} at least when answers take {self.p95_ms:.0f} ms and"
                f" pauses {self.pause:g} s"
            )


@dataclass(frozen=True, kw_only=True)
class Load:
    """What locust measured."""

    requests: int
    failures: int
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def errors(self) -> float:
        return self.failures / self.requests

    @classmethod
    def read(cls, entries: Sequence[dict[str, Any]]) -> Load:
        """From the entries that ``locust --json`` prints: a histogram of milliseconds for each path."""
        times: dict[float, int] = {}
        for entry in entries:
            for milliseconds, count in entry["response_times"].items():
                times[float(milliseconds)] = times.get(float(milliseconds), 0) + count
        started = min((entry["start_time"] for entry in entries), default=0.0)
        ended = max((entry["last_request_timestamp"] or 0.0 for entry in entries), default=0.0)
        requests = sum(entry["num_requests"] for entry in entries)
        return cls(
            requests=requests,
            failures=sum(entry["num_failures"] for entry in entries),
            requests_per_second=round(requests / max(ended - started, 0.001), 1),
            p50_ms=percentile(times, 0.50),
            p95_ms=percentile(times, 0.95),
            p99_ms=percentile(times, 0.99),
        )


def percentile(times: dict[float, int], share: float) -> float:
    """The time within which this share of the counted requests was answered; 0 of none."""
    wanted = share * sum(times.values())
    seen = 0
    for each in sorted(times):
        seen += times[each]
        if seen >= wanted:
            return each
    return 0.0


def measure(of: Stack, gate: Gate) -> Load:
    """Load on a stack's gateway from locust, in a process of its own."""
    outputs = of.outputs()
    done = subprocess.run(
        [
            *(
                str(PYTHON),
                "-m",
                "locust",
                "-f",
                "operations/delivery/load.py",
                "--headless",
                "--json",
            ),
            *("--host", outputs["gateway_url"], "--exit-code-on-error", "0"),
            # A caller a second, and measured once all are there: a new instance's first answer is
            # slow on every cloud, and is no fault of the release.
            *("--users", str(gate.users), "--spawn-rate", "1", "--reset-stats"),
            *("--run-time", f"{gate.users + gate.seconds}s"),
            # So long that whatever is under way at the end is answered, or has failed.
            *("--stop-timeout", f"{gate.timeout + 5:g}"),
        ],
        cwd=HOME,
        env={
            **of.environment,
            "GATEWAY_KEY": outputs.get("gateway_key", ""),
            "LOAD_PAUSE": str(gate.pause),
            "LOAD_TIMEOUT": str(gate.timeout),
            "PYTHONPATH": str(HOME),
        },
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Stopped(f"load gate: locust left with {done.returncode}: {done.stderr[-500:]}")
    return Load.read(json.loads(done.stdout))
