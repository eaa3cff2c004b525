"""The model server compared with the same model as scikit-learn behind Flask and gunicorn.

Each server is one worker on one core. 16 connections from another core send the same hundred flights to both servers
in turns. Before that, the benchmark verifies that both return the same answers.

The ratio compares requests per second of the clock: run the benchmark on an idle machine. The second ratio compares
requests per second of the core (the server's own processor time), which other work disturbs less.

    python -m bench.serving [--seconds 2] [--rounds 4] [--json FILE]
"""

from __future__ import annotations

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

from config.arguments import ArgumentParser, positive
from operations.started_processes import end_with_this_process
from operations.terminal import end_with_reader, take_interrupts

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lambda"))

from model_server import schema, store  # noqa: E402 - the path comes first

CONNECTIONS = 16
STARTS = 5
RATIO = 10
FIRST_PREDICTION = 0.5
"""Seconds."""


def bodies() -> list[bytes]:
    """A hundred requests for one flight each, with different destinations, hours and days."""
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
    """One core for the server and one for the client; None if cores cannot be chosen."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    available = sorted(os.sched_getaffinity(0))
    return ({available[0]}, {available[1]}) if len(available) > 1 else None


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: psutil.Process

    def core_seconds(self) -> float:
        """The processor time so far, of the server and of gunicorn's worker."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)


@contextlib.contextmanager
def server(command: list[str], pinned: set[int] | None, **more: str) -> Iterator[Server]:
    """Run a server on a free port of loopback; yields when the server accepts connections."""
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
            "PYTHONPATH": str(ROOT / "lambda"),
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
            raise SystemExit(f"{command[0]} did not start")
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(20)


def prediction(port: int, body: bytes) -> dict[str, Any]:
    """The answer to one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/predict", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    content: dict[str, Any] = json.loads(answer.read())
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{answer.status}: {content}")
    return content


class Caller(asyncio.Protocol):
    """One kept-alive connection that sends its next request when the last answer has arrived."""

    def __init__(self, requests: Iterator[bytes], durations: list[float]) -> None:
        self.requests = requests
        self.durations = durations
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
        self.durations.append(time.perf_counter() - self.sent)
        self.send()


async def answer_times(port: int, seconds: float) -> list[float]:
    """Keep all connections busy for ``seconds``; returns the seconds of each answer."""
    head = "POST /predict HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    requests = itertools.cycle(
        [f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies()]
    )
    durations: list[float] = []
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(requests, durations), "127.0.0.1", port))[0]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    answered = list(durations)
    for transport in callers:
        transport.abort()
    return answered


class Measurement:
    """One of the two servers, with its measured times."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._durations: list[float] = []
        self._seconds = 0.0
        self._core_seconds = 0.0

    def load(self, seconds: float) -> None:
        """Warm up for 0.3 s, then measure."""
        uvloop.run(answer_times(self._server.port, 0.3))
        before = self._server.core_seconds()
        self._durations += uvloop.run(answer_times(self._server.port, seconds))
        self._core_seconds += self._server.core_seconds() - before
        self._seconds += seconds

    def summary(self) -> dict[str, float]:
        """Requests per second of the clock and of the core; milliseconds of an answer."""
        ordered = sorted(self._durations)
        return {
            "per_second": round(len(ordered) / self._seconds),
            "per_core_second": round(len(ordered) / self._core_seconds),
            "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
            "p99_ms": round(1000 * ordered[len(ordered) * 99 // 100], 2),
        }


def trained_version() -> str:
    """The model version that training on all months gives; trains it if it does not exist yet."""
    return subprocess.run(
        [sys.executable, "-m", "model_server", "train", "--no-promote"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lambda")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


def flask_command() -> list[str]:
    """The command that starts the comparison behind gunicorn."""
    # One worker of the kind that keeps connections alive, as the model server does. The default kind closes each
    # connection after its answer, so the benchmark would measure the opening of connections.
    options = "--workers 1 --worker-class gthread --threads 1 --keep-alive 60 --timeout 120"
    quiet = "--log-level warning --no-control-socket"
    place = ["--chdir", str(ROOT), "--bind", "127.0.0.1:{port}"]
    gunicorn = [sys.executable, "-m", "gunicorn", *options.split(), *quiet.split()]
    return [*gunicorn, *place, "bench.flask_server:create_app()"]


def start_times(command: list[str], pinned: set[int] | None, model: str) -> list[float]:
    """The seconds from a fresh process to its first prediction, several times."""
    times = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        with server(command, pinned, SM_MODEL_DIR=model) as started:
            prediction(started.port, bodies()[0])
            times.append(time.perf_counter() - begin)
    return times


def verify_same_answers(one: Server, other: Server) -> None:
    """Exit with a message if the two servers return different probabilities."""
    for body in bodies():
        first, second = (prediction(each.port, body)["predictions"][0] for each in (one, other))
        if abs(first["probability"] - second["probability"]) > 1e-5:
            raise SystemExit(f"the servers do not serve the same model: {first} and {second}")


def measured_rates(
    commands: dict[str, list[str]], pinned: set[int] | None, model: str, rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """The summary of each server under load. The servers run side by side, and the load alternates."""
    with contextlib.ExitStack() as running:
        servers = {
            name: running.enter_context(server(command, pinned, SM_MODEL_DIR=model))
            for name, command in commands.items()
        }
        verify_same_answers(*servers.values())
        measurements = {name: Measurement(each) for name, each in servers.items()}
        for number in range(rounds):
            print(f"Load by {CONNECTIONS} connections, round {number + 1} ...", flush=True)
            for measurement in measurements.values():
                measurement.load(seconds)
    return {name: measurement.summary() for name, measurement in measurements.items()}


def report(figures: dict[str, Any], rates: dict[str, dict[str, float]]) -> None:
    """Print the figures beside their targets."""
    for name, rate in rates.items():
        print(f"{name:13} " + "  ".join(f"{key} {value:,}" for key, value in rate.items()))
    print(
        f"ratio {figures['ratio']} by the clock (at least {RATIO}), "
        f"{figures['ratio_per_core_second']} per second of the core"
    )
    print(
        f"first prediction {figures['first_prediction_seconds']} s in the median of {STARTS} "
        f"(under {FIRST_PREDICTION} s), {figures['first_prediction_seconds_best']} s at best"
    )


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.serving", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seconds", type=float, default=2, help="seconds of load for each server and round"
    )
    parser.add_argument("--rounds", type=positive, default=4)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    chosen = parser.parse_args()
    take_interrupts()
    end_with_this_process()

    print("Making sure that there is a model ...", flush=True)
    version = trained_version()
    model = str(store.DEFAULT / store.NAME / version)
    model_server = [sys.executable, "-m", "model_server.serve", "serve"]
    pinned = cores()
    server_core = pinned[0] if pinned else None
    if pinned:
        os.sched_setaffinity(0, pinned[1])

    print(f"Fresh process to first prediction, {STARTS} times ...", flush=True)
    starts = start_times(model_server, server_core, model)
    print("Fitting the same trees again for scikit-learn, behind Flask ...", flush=True)
    commands = {"model_server": model_server, "flask": flask_command()}
    rates = measured_rates(commands, server_core, model, chosen.rounds, chosen.seconds)

    def ratio(unit: str) -> float:
        return round(rates["model_server"][unit] / rates["flask"][unit], 1)

    figures: dict[str, Any] = {
        "model_version": version,
        "client": f"asyncio on uvloop, {CONNECTIONS} connections kept alive",
        "pinned": "server and client on a core each" if pinned else "not pinned: cores are shared",
        **rates,
        "ratio": ratio("per_second"),
        "ratio_per_core_second": ratio("per_core_second"),
        "first_prediction_seconds": round(statistics.median(starts), 3),
        "first_prediction_seconds_best": round(min(starts), 3),
        "targets": {"ratio": RATIO, "first_prediction_seconds": FIRST_PREDICTION},
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    report(figures, rates)
    if figures["ratio"] < RATIO or figures["first_prediction_seconds"] >= FIRST_PREDICTION:
        raise SystemExit("A target is missed.")


if __name__ == "__main__":
    with end_with_reader():
        main()
