"""The load test: locust puts load on a stack's gateway, and the delivery goes on only within the limits."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from operations.delivery.gates import GateFailed
from operations.engine import gateway
from operations.engine.installation import HOME, PYTHON
from operations.engine.stack import NamedStack
from operations.terminal import fail

MANY = 100
"""From so many requests on, a model is held to the limits by itself. Of fewer, one failure or slow answer is no share."""
LOCUSTFILE = HOME / "operations" / "delivery" / "locustfile.py"


@dataclass(frozen=True, kw_only=True)
class LoadGate:
    """The load on staging, and the limits within which production is touched: ``[tool.triplane.load-gate]``
    of pyproject.toml."""

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
    def from_settings(cls, overrides: dict[str, Any]) -> LoadGate:
        """The gate as pyproject.toml has it, with the overrides that are not None."""
        settings = tomllib.loads((HOME / "pyproject.toml").read_text())
        configured = settings["tool"]["triplane"]["load-gate"]
        given = {key: value for key, value in overrides.items() if value is not None}
        gate = cls(**configured | given)
        # Also NaN, which is neither above nor below a limit.
        if not gate.p95_ms > 0:
            fail(f"P95_MS={gate.p95_ms:g}: milliseconds above 0 are needed, such as P95_MS=250.")
        if not 0 <= gate.errors <= 1:
            fail(f"ERRORS={gate.errors:g}: a share from 0 to 1 is needed, such as ERRORS=0.01.")
        if gate.p95_ms >= gate.timeout * 1000:
            fail(
                f"P95_MS={gate.p95_ms:g}: a request fails after {gate.timeout:g} s, so this limit is never"
                " reached. Use a lower limit, or raise `timeout` of [tool.triplane.load-gate] in pyproject.toml"
            )
        return gate

    @property
    def fewest_requests(self) -> int:
        """The fewest requests of a load within the limits.

        A caller sends its next request a pause after each answer: in ``seconds`` at least
        ``seconds / (pause + p95)`` times when no answer takes longer than the allowed p95. One answer in twenty may
        take longer. Pauses that are mostly shorter compensate for it, unless it takes many times as long; such a
        gateway should not pass either.
        """
        return max(1, math.floor(self.users * self.seconds / (self.pause + self.p95_ms / 1000)))

    def check(self, load: Load) -> None:
        """Raise `GateFailed` unless the load is within the limits."""
        if not load.requests:
            raise GateFailed("load test: no request was answered at all")
        if load.errors > self.errors:
            raise GateFailed(
                f"load test: {load.failures} of {load.requests} requests failed ({load.errors:.1%});"
                f" at most {self.errors:.1%} may fail"
            )
        if load.p95_ms > self.p95_ms:
            raise GateFailed(
                f"load test: 95 % of requests took up to {load.p95_ms:.0f} ms; at most"
                f" {self.p95_ms:.0f} ms are allowed"
            )
        if load.requests < self.fewest_requests:
            raise GateFailed(
                f"load test: only {load.requests} requests were completed; {self.users} callers in"
                f" {self.seconds} s make {self.fewest_requests} at least when answers take {self.p95_ms:.0f} ms"
                f" and pauses {self.pause:g} s"
            )
        for path, each in load.paths.items():
            self._check_path(path, each)

    def _check_path(self, path: str, load: Load) -> None:
        """Raise `GateFailed` if one model is outside of the limits, which a load on twenty would hide."""
        if load.requests < MANY:
            if load.failures > 1:
                raise GateFailed(
                    f"load test: {load.failures} of {load.requests} requests to {path} failed; of fewer than {MANY} one may"
                )
            if load.p50_ms > self.p95_ms:
                raise GateFailed(
                    f"load test: half of the requests to {path} took {load.p50_ms:.0f} ms or more; at most"
                    f" {self.p95_ms:.0f} ms are allowed"
                )
            return
        if load.errors > self.errors:
            raise GateFailed(
                f"load test: {load.failures} of {load.requests} requests to {path} failed ({load.errors:.1%});"
                f" at most {self.errors:.1%} may fail"
            )
        if load.p95_ms > self.p95_ms:
            raise GateFailed(
                f"load test: 95 % of requests to {path} took up to {load.p95_ms:.0f} ms; at most"
                f" {self.p95_ms:.0f} ms are allowed"
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
    paths: Mapping[str, Load] = field(default_factory=dict)
    """The same for each path by itself: each model has one."""

    @property
    def errors(self) -> float:
        return self.failures / self.requests

    @classmethod
    def from_locust(cls, entries: Sequence[dict[str, Any]]) -> Self:
        """From the entries that ``locust --json`` prints: a histogram of milliseconds for each path."""
        paths = {str(each["name"]): cls._of(each) for each in entries}
        return replace(cls._of(*entries), paths=paths)

    @classmethod
    def _of(cls, *entries: dict[str, Any]) -> Self:
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
    needed = share * sum(times.values())
    answered = 0
    for time in sorted(times):
        answered += times[time]
        if answered >= needed:
            return time
    return 0.0


def measure(stack: NamedStack, gate: LoadGate) -> Load:
    """Run locust, in its own process, against a stack's gateway; returns what it measured."""
    outputs = stack.outputs()
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        requests = Path(folder) / "requests.json"
        requests.write_text(json.dumps(gateway.example_requests(stack, outputs)), encoding="utf-8")
        done = subprocess.run(
            _locust_command(outputs["gateway_url"], gate),
            cwd=HOME,
            env={
                **stack.environment,
                "GATEWAY_KEY": outputs.get("gateway_key", ""),
                "LOAD_PAUSE": str(gate.pause),
                "LOAD_REQUESTS": str(requests),
                "LOAD_TIMEOUT": str(gate.timeout),
                "PYTHONPATH": str(HOME),
            },
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise GateFailed(f"load test: locust exited with {done.returncode}: {done.stderr[-500:]}")
    return Load.from_locust(json.loads(done.stdout))


def _locust_command(url: str, gate: LoadGate) -> list[str]:
    return [
        *(str(PYTHON), "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--json"),
        *("--host", url, "--exit-code-on-error", "0"),
        # One more caller each second, and counting begins when all are there: a new instance's first answer is
        # slow on every cloud, and is no fault of the release.
        *("--users", str(gate.users), "--spawn-rate", "1", "--reset-stats"),
        *("--run-time", f"{gate.users + gate.seconds}s"),
        # Long enough that each request in progress at the end is answered, or has failed.
        *("--stop-timeout", f"{gate.timeout + 5:g}"),
    ]
