"""The model server on one core: beside the least that could answer, beside the usual way, and with twenty models.

- `bench.raw_server`: raw ASGI with the same ONNX file, which knows this model and trusts every request;
- `bench.flask_server`: the same trees as scikit-learn behind Flask and gunicorn;
- the model server with 1 to 20 models: what a model costs in memory and start-up, and what many cost in throughput.

Each server is one worker on one core. 16 connections from another core send the same hundred flights to the servers
in turns. Before that, the benchmark verifies that all return the same answers.

The ratios compare requests per second of the clock: run the benchmark on an idle machine. Those per second of the core (the
server's own processor time) are disturbed less by other work.

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
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import psutil
import uvloop

from config.arguments import ArgumentParser, positive
from config.model_contract import canonical_json, model_definition
from config.model_store import STORE
from operations.started_processes import end_with_this_process
from operations.terminal import end_with_reader, take_interrupts

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 16
STARTS = 5
MODEL = "flight-delay"
MODELS = (1, 5, 10, 20)
TREES = 10
"""Of a small model."""
TARGETS = {
    "of_flask": 10.0,
    "of_raw": 0.85,
    "p99_ms": 1.5,
    "first_prediction_seconds": 0.5,
    "of_one_model": 0.9,
    "linear": 0.98,
}
"""At least these times the other server's requests a second; at most so many milliseconds and seconds; at least this part
of one model's requests a second with twenty; at least this R² of a line through memory and start-up over models."""


@cache
def bodies(models: int = 0) -> list[bytes]:
    """A hundred requests for one flight each, with different destinations, hours and days; for so many models in turn."""
    contract = model_definition(ROOT / "models" / MODEL).document
    places = list(next(f for f in contract["fields"] if f["name"] == "dest")["values"])
    return [
        json.dumps(
            ({"model": name_of(number % models)} if models else {})
            | {
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


def name_of(number: int) -> str:
    """The name of one of many copies of the model."""
    return f"model-{number}"


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

    def megabytes(self) -> float:
        """The memory that the server has to itself, in MB."""
        return float(self.process.memory_full_info().uss) / 1e6

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


async def answer_times(port: int, seconds: float, models: int) -> list[float]:
    """Keep all connections busy for ``seconds``; returns the seconds of each answer."""
    head = "POST /predict HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    requests = itertools.cycle(
        [f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies(models)]
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
    """One of the servers, with its measured times."""

    def __init__(self, server: Server, models: int = 0) -> None:
        self._server = server
        self._models = models
        self._durations: list[float] = []
        self._seconds = 0.0
        self._core_seconds = 0.0

    def load(self, seconds: float) -> None:
        """Warm up for 0.3 s, then measure."""
        uvloop.run(answer_times(self._server.port, 0.3, self._models))
        before = self._server.core_seconds()
        self._durations += uvloop.run(answer_times(self._server.port, seconds, self._models))
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
        [sys.executable, "-m", "training", "train", "--model", MODEL, "--no-promote"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "lambda")))},
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


def first_prediction(command: list[str], pinned: set[int] | None, model: str) -> float:
    """The seconds from a fresh process to its first prediction, in the median."""
    times = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        with server(command, pinned, SM_MODEL_DIR=model) as started:
            prediction(started.port, bodies()[0])
            times.append(time.perf_counter() - begin)
    return statistics.median(times)


def verify_same_answers(servers: Sequence[Server]) -> None:
    """Exit with a message if the servers return different probabilities."""
    for body in bodies():
        found = [prediction(each.port, body)["predictions"][0] for each in servers]
        if max(abs(each["probability"] - found[0]["probability"]) for each in found) > 1e-5:
            raise SystemExit(f"the servers do not serve the same model: {found}")


def measured_rates(
    commands: dict[str, list[str]], pinned: set[int] | None, model: str, rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """The summary of each server under load. The servers run side by side, and the load alternates."""
    with contextlib.ExitStack() as running:
        servers = {
            name: running.enter_context(server(command, pinned, SM_MODEL_DIR=model))
            for name, command in commands.items()
        }
        verify_same_answers(list(servers.values()))
        measurements = {name: Measurement(each) for name, each in servers.items()}
        alternate(measurements, rounds, seconds)
    return {name: measurement.summary() for name, measurement in measurements.items()}


def alternate(measurements: Mapping[str, Measurement], rounds: int, seconds: float) -> None:
    """Load the servers in turns."""
    for number in range(rounds):
        print(f"Load by {CONNECTIONS} connections, round {number + 1} ...", flush=True)
        for measurement in measurements.values():
            measurement.load(seconds)


def small(content: bytes) -> bytes:
    """The model with its first trees alone.

    Twenty whole ones answer fewer requests for a reason that is not the server's: a processor's cache holds the trees of
    a few.
    """
    model = onnx.load_from_string(content)
    (trees,) = (node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
    lists = {each.name: each for each in trees.attribute}
    for part in ("nodes", "class"):
        kept = [tree < TREES for tree in lists[f"{part}_treeids"].ints]
        for name, each in lists.items():
            if name.startswith(f"{part}_"):
                for values in (each.ints, each.floats, each.strings):
                    values[:] = list(itertools.compress(values, kept))
    found: bytes = model.SerializeToString()
    return found


def copies(model: Path, folder: Path, models: int) -> Path:
    """A folder as an endpoint with several models has it: so many small ones, each under a name of its own."""
    document = json.loads((model / "contract.json").read_bytes())
    content = small((model / "model.onnx").read_bytes())
    for number in range(models):
        copy = folder / f"of-{models}" / name_of(number)
        copy.mkdir(parents=True)
        (copy / "contract.json").write_bytes(canonical_json({**document, "name": copy.name}))
        (copy / "model.onnx").write_bytes(content)
    return folder / f"of-{models}"


def cost_of_models(
    command: list[str], pinned: set[int] | None, model: Path, rounds: int, seconds: float
) -> dict[str, Any]:
    """Memory, start-up and throughput of endpoints with one model and with several."""
    megabytes, starts = [], []
    with tempfile.TemporaryDirectory() as folder:
        folders = [copies(model, Path(folder), each) for each in MODELS]
        for each, models in zip(folders, MODELS, strict=True):
            times = []
            for _ in range(STARTS):
                begin = time.perf_counter()
                with server(command, pinned, SM_MODEL_DIR=str(each)) as started:
                    times.append(time.perf_counter() - begin)
                    for body in bodies(models):
                        prediction(started.port, body)
                    memory = started.megabytes()
            megabytes.append(memory)
            starts.append(min(times))
        with contextlib.ExitStack() as running:
            ends = {"one": (folders[0], MODELS[0]), "all": (folders[-1], MODELS[-1])}
            measurements = {
                name: Measurement(
                    running.enter_context(server(command, pinned, SM_MODEL_DIR=str(each))), models
                )
                for name, (each, models) in ends.items()
            }
            alternate(measurements, rounds, seconds)
    rates = {name: measurement.summary() for name, measurement in measurements.items()}
    return {
        "models": MODELS,
        "megabytes": [round(each, 1) for each in megabytes],
        "seconds_to_start": [round(each, 3) for each in starts],
        "megabytes_per_model": line(megabytes),
        "milliseconds_per_model": line([1000 * each for each in starts]),
        "rates": rates,
        "of_one_model": ratio(rates, "all", "one", "per_core_second"),
    }


def line(values: Sequence[float]) -> tuple[float, float]:
    """The slope over the number of models, and how near to a line the values are: R²."""
    slope, _ = statistics.linear_regression(MODELS, values)
    return round(slope, 2), round(statistics.correlation(MODELS, values) ** 2, 3)


def ratio(rates: Mapping[str, Mapping[str, float]], one: str, other: str, unit: str) -> float:
    """How many times the requests of another server."""
    return round(rates[one][unit] / rates[other][unit], 2)


def report(figures: Mapping[str, Any]) -> None:
    """Print the figures."""
    for name, rate in {**figures["rates"], **figures["several"]["rates"]}.items():
        print(f"{name:13} " + "  ".join(f"{key} {value:,}" for key, value in rate.items()))
    for other in ("raw", "flask"):
        clock, core = (figures[f"of_{other}{unit}"] for unit in ("", "_per_core_second"))
        print(f"of {other:10} {clock} times by the clock, {core} per second of the core")
    print(f"first prediction {figures['first_prediction_seconds']} s in the median of {STARTS}")
    several = figures["several"]
    for name, unit in (("megabytes", "MB"), ("seconds_to_start", "s")):
        values = ", ".join(
            f"{models}: {value} {unit}" for models, value in zip(MODELS, several[name], strict=True)
        )
        print(f"with models   {values}")
    for name in ("megabytes_per_model", "milliseconds_per_model"):
        slope, linear = several[name]
        print(f"{name.replace('_', ' ')} {slope} (R² {linear})")
    print(f"{MODELS[-1]} models: {several['of_one_model']} of the requests of one, per core second")


def missed(figures: Mapping[str, Any]) -> list[str]:
    """The targets that are not met."""
    several = figures["several"]
    least = {
        "of_flask": figures["of_flask"],
        "of_raw": figures["of_raw_per_core_second"],
        "of_one_model": several["of_one_model"],
        "linear": min(
            several[each][1] for each in ("megabytes_per_model", "milliseconds_per_model")
        ),
    }
    most = {
        "p99_ms": figures["rates"]["model_server"]["p99_ms"],
        "first_prediction_seconds": figures["first_prediction_seconds"],
    }
    return [
        f"{name} is {value}, at least {TARGETS[name]}"
        for name, value in least.items()
        if value < TARGETS[name]
    ] + [
        f"{name} is {value}, at most {TARGETS[name]}"
        for name, value in most.items()
        if value > TARGETS[name]
    ]


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
    model = STORE / MODEL / version
    model_server = [sys.executable, "-m", "model_server.serve", "serve"]
    pinned = cores()
    core = pinned[0] if pinned else None
    if pinned:
        os.sched_setaffinity(0, pinned[1])

    print(f"Fresh process to first prediction, {STARTS} times ...", flush=True)
    first = first_prediction(model_server, core, str(model))
    print("Fitting the same trees again for scikit-learn, behind Flask ...", flush=True)
    raw = [sys.executable, "-m", "bench.raw_server"]
    commands = {"model_server": model_server, "raw": raw, "flask": flask_command()}
    rates = measured_rates(commands, core, str(model), chosen.rounds, chosen.seconds)
    print(f"A small model under {MODELS[-1]} names ...", flush=True)
    several = cost_of_models(model_server, core, model, chosen.rounds, chosen.seconds)
    figures: dict[str, Any] = {
        "model_version": version,
        "client": f"asyncio on uvloop, {CONNECTIONS} connections kept alive",
        "pinned": "server and client on a core each" if pinned else "not pinned: cores are shared",
        "rates": rates,
        **{
            f"of_{other}{suffix}": ratio(rates, "model_server", other, unit)
            for other in ("raw", "flask")
            for suffix, unit in (("", "per_second"), ("_per_core_second", "per_core_second"))
        },
        "first_prediction_seconds": round(first, 3),
        "several": several,
        "targets": TARGETS,
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    report(figures)
    if targets := missed(figures):
        raise SystemExit(f"Targets are missed: {'; '.join(targets)}.")


if __name__ == "__main__":
    with end_with_reader():
        main()
