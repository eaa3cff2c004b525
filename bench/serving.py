"""The model server against the same model as scikit-learn behind Flask and gunicorn, side by side.

Both servers run as one worker on one core and are asked in turns by 16 connections from another core,
with the same hundred flights; first it is made sure that they answer the same.

The ratio is of requests to a second of the clock: run it on a machine with nothing else to do. Beside it,
the ratio per second of the core (the server's own processor time), which other work disturbs less.

    python -m bench.serving [--seconds 2] [--rounds 4] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lambda"))

from model_server import schema, store  # noqa: E402 - the path comes first

CONNECTIONS = 16
STARTS = 5
RATIO = 10
FIRST_PREDICTION = 0.5
"""Seconds."""


def bodies() -> list[bytes]:
    """A hundred requests for one flight each: other destinations, hours and days."""
    contract = schema.load()
    places = list(next(f for f in contract["fields"] if f["name"] == "dest")["values"])
    return [
        json.dumps(
            {
                "instances": [
                    contract["example"]
                    | {
                        "dest": places[number % len(places)],
                        "departure": f"{6 + number % 17:02}:{number % 12 * 5:02}",
                        "date": f"2013-{10 + number % 3}-{1 + number % 30:02}",
                    }
                ]
            }
        ).encode()
        for number in range(100)
    ]


def cores() -> tuple[set[int], set[int]] | None:
    """One core for the server, another for the client; None where they cannot be chosen."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    there = sorted(os.sched_getaffinity(0))
    return ({there[0]}, {there[1]}) if len(there) > 1 else None


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    process: psutil.Process

    def core_seconds(self) -> float:
        """Processor time spent so far, by gunicorn's worker as by the server itself."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)


@contextlib.contextmanager
def server(command: list[str], pinned: set[int] | None, **more: str) -> Iterator[Server]:
    """Run a server on a free port of loopback until the end; yielded once it accepts connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [word.replace("{port}", str(port)) for word in command],
        env={
            **os.environ,
            "OMP_WAIT_POLICY": "passive",
            "PORT": str(port),
            "HOST": "127.0.0.1",
            **more,
        },
        stdout=subprocess.DEVNULL,
        preexec_fn=(lambda: os.sched_setaffinity(0, pinned)) if pinned else None,
    )
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.002)
        else:
            raise SystemExit(f"{command[0]} did not come up")
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(20)


def ask(port: int, body: bytes) -> dict[str, Any]:
    """One prediction."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/predict", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    content: dict[str, Any] = json.loads(answer.read())
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{answer.status}: {content}")
    return content


class Caller(asyncio.Protocol):
    """One kept-alive connection that sends its next request when the answer to the last is there."""

    def __init__(self, requests: Iterator[bytes], took: list[float]) -> None:
        self.requests = requests
        self.took = took
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(next(self.requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        _, _, length = head.lower().partition(b"content-length: ")
        if len(rest) < int(length.split(b"\r\n", 1)[0]):
            return
        if not self.received.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(self.received[:300])
        self.received = b""
        self.took.append(time.perf_counter() - self.sent)
        self.send()


async def load(port: int, seconds: float) -> list[float]:
    """Keep all connections busy for so long; the seconds that each answer took."""
    head = "POST /predict HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    requests = itertools.cycle(
        [f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies()]
    )
    took: list[float] = []
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(requests, took), "127.0.0.1", port))[0]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    answered = list(took)
    for transport in callers:
        transport.abort()
    return answered


class Side:
    """One of the two servers, and what was measured of it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._took: list[float] = []
        self._seconds = 0.0
        self._core_seconds = 0.0

    def load(self, seconds: float) -> None:
        """Warm up for a moment, then measure."""
        uvloop.run(load(self._server.port, 0.3))
        before = self._server.core_seconds()
        self._took += uvloop.run(load(self._server.port, seconds))
        self._core_seconds += self._server.core_seconds() - before
        self._seconds += seconds

    def summary(self) -> dict[str, float]:
        """Requests to a second of the clock and of the core; milliseconds that answers took."""
        ordered = sorted(self._took)
        return {
            "per_second": round(len(ordered) / self._seconds),
            "per_core_second": round(len(ordered) / self._core_seconds),
            "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
            "p99_ms": round(1000 * ordered[len(ordered) * 99 // 100], 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2, help="of load, a round and server")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    chosen = parser.parse_args()

    print("Making sure that there is a model ...", flush=True)
    version = subprocess.run(
        [sys.executable, "-m", "model_server", "train", "--no-promote"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lambda")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    model = str(store.DEFAULT / store.NAME / version)
    ours = [sys.executable, str(ROOT / "lambda/entrypoint.py"), "serve"]
    # One worker of the kind that keeps connections alive, as the model server does: the default
    # kind closes each one after its answer, and would be measured at opening connections.
    options = "--workers 1 --worker-class gthread --threads 1 --keep-alive 60 --timeout 120"
    quiet = "--log-level warning --no-control-socket"
    theirs = [sys.executable, "-m", "gunicorn", *options.split(), *quiet.split()]
    theirs += [
        "--chdir",
        str(ROOT),
        "--bind",
        "127.0.0.1:{port}",
        "bench.flask_server:create_app()",
    ]

    pinned = cores()
    serving = pinned[0] if pinned else None
    if pinned:
        os.sched_setaffinity(0, pinned[1])

    print(f"Fresh process to first prediction, {STARTS} times ...", flush=True)
    starts = []
    for _ in range(STARTS):
        begun = time.perf_counter()
        with server(ours, serving, SM_MODEL_DIR=model) as started:
            ask(started.port, bodies()[0])
            starts.append(time.perf_counter() - begun)

    print("Fitting the same trees again for scikit-learn, behind Flask ...", flush=True)
    sides: dict[str, Side] = {}
    with (
        server(ours, serving, SM_MODEL_DIR=model) as model_server,
        server(theirs, serving) as flask,
    ):
        sides = {"model_server": Side(model_server), "flask": Side(flask)}
        for body in bodies():
            one, other = (ask(s.port, body)["predictions"][0] for s in (model_server, flask))
            if abs(one["probability"] - other["probability"]) > 1e-5:
                raise SystemExit(f"the two do not serve the same model: {one} and {other}")
        for number in range(chosen.rounds):
            print(f"Load by {CONNECTIONS} connections, round {number + 1} ...", flush=True)
            for side in sides.values():
                side.load(chosen.seconds)

    rates = {name: side.summary() for name, side in sides.items()}
    both = rates["model_server"], rates["flask"]
    ratio = round(both[0]["per_second"] / both[1]["per_second"], 1)
    by_the_core = round(both[0]["per_core_second"] / both[1]["per_core_second"], 1)
    first = round(statistics.median(starts), 3)
    figures = {
        "model_version": version,
        "client": f"asyncio on uvloop, {CONNECTIONS} connections kept alive",
        "pinned": "server and client on a core each" if pinned else "not pinned: cores are shared",
        **rates,
        "ratio": ratio,
        "ratio_per_core_second": by_the_core,
        "first_prediction_seconds": first,
        "first_prediction_seconds_best": round(min(starts), 3),
        "targets": {"ratio": RATIO, "first_prediction_seconds": FIRST_PREDICTION},
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    for name, rate in rates.items():
        print(f"{name:13} " + "  ".join(f"{key} {value:,}" for key, value in rate.items()))
    print(f"ratio {ratio} by the clock (at least {RATIO}), {by_the_core} per second of the core")
    print(
        f"first prediction {first} s in the median of {STARTS} (under {FIRST_PREDICTION} s),"
        f" {figures['first_prediction_seconds_best']} s at best"
    )
    if ratio < RATIO or first >= FIRST_PREDICTION:
        raise SystemExit("A target is missed.")


if __name__ == "__main__":
    main()
