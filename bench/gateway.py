"""The gateway compared with the plainest one of FastAPI and httpx, in front of an endpoint that answers at once.

Each gateway is one process on one core. The endpoint and 16 connections on another core send the same hundred flights in
turns, without a pause, and then at a rate that no gateway here is busy with: what the gateway adds is measured there, as
without a pause each request waits for fifteen others.

The gateway is complete: it has a key's place, captures to a lake that takes them at once, and its log.

    python -m bench.gateway [--seconds 2] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from bench import serving
from config.arguments import ArgumentParser, positive
from config.model_contract import canonical_json, model_definition
from operations.started_processes import end_with_this_process
from operations.terminal import take_interrupts
from policy import tool_environment

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lambda"))

from gateway.contract import Contract  # noqa: E402 - the path comes first

CONTRACT = canonical_json(model_definition(ROOT / "models" / "flight-delay").document)
RATE = 500
"""Requests a second over all connections, of the load with pauses."""
PER_SECOND = 2500
ADDED_MS = 1.5
VALIDATION_US = 15


class PacedCaller(serving.Caller):
    """A connection that sends a request at each tick of its own, or late, if the last answer was late."""

    def __init__(self, requests: Iterator[bytes], durations: list[float], first: float) -> None:
        super().__init__(requests, durations)
        self.next = first

    def send(self) -> None:
        loop = asyncio.get_running_loop()
        self.next = max(self.next + serving.CONNECTIONS / RATE, loop.time())
        loop.call_at(self.next, super().send)


async def paced_times(port: int, seconds: float) -> list[float]:
    """The seconds of each answer at `RATE` requests a second."""
    head = "POST /predict HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    requests = itertools.cycle(
        f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in serving.bodies()
    )
    durations: list[float] = []
    loop = asyncio.get_running_loop()
    begin = loop.time()
    callers = [
        (
            await loop.create_connection(
                lambda shift=number / RATE: PacedCaller(requests, durations, begin + shift),  # type: ignore[misc]
                "127.0.0.1",
                port,
            )
        )[0]
        for number in range(serving.CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    answered = list(durations)
    for transport in callers:
        transport.abort()
    return answered


@contextlib.contextmanager
def endpoint(folder: Path) -> Iterator[serving.Server]:
    """The endpoint, on this process's core."""
    (folder / "contract.json").write_bytes(CONTRACT)
    text = f"{hashlib.sha256(CONTRACT).hexdigest()}  contract.json\n"
    (folder / "version.txt").write_text(text)
    command = [sys.executable, "-m", "bench.instant_endpoint", "{port}"]
    files = [str(folder / "contract.json"), str(folder / "version.txt")]
    with serving.server([*command, *files], None, PYTHONPATH=str(ROOT)) as running:
        yield running


def gateway_environment(cloud: serving.Server, folder: Path) -> dict[str, str]:
    url = f"http://127.0.0.1:{cloud.port}"
    version = hashlib.sha256((folder / "version.txt").read_bytes()).hexdigest()
    return {
        "ENDPOINT_KIND": "azureml",
        "MODELS": json.dumps({"flight-delay": [version, f"{url}/score"]}),
        "MODELS_URI": "s3://lake/models",
        "CAPTURE_URI": "s3://lake/captures",
        "ACCESS": "public",
        "IDENTITY_ENDPOINT": f"{url}/token",
        "IDENTITY_HEADER": "header",
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
    }


def validation_us() -> float:
    """Microseconds for one instance of the flight contract, in the best of many batches."""
    contract = Contract(json.loads(CONTRACT), "v" * 64)
    batch = {"instances": [contract.document["example"]] * contract.max_batch}
    times = []
    for _ in range(50):
        begin = time.process_time()
        contract.check(batch)
        times.append(time.process_time() - begin)
    return round(1e6 * min(times) / contract.max_batch, 2)


def measured(servers: dict[str, serving.Server], rounds: int, seconds: float) -> dict[str, Any]:
    """The summary of each gateway without a pause, and the median of each at `RATE`."""
    measurements = {name: serving.Measurement(servers[name]) for name in ("gateway", "plain")}
    paced: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(rounds):
        print(f"Load by {serving.CONNECTIONS} connections, round {number + 1} ...", flush=True)
        for measurement in measurements.values():
            measurement.load(seconds)
        for name, times in paced.items():
            times += uvloop.run(paced_times(servers[name].port, seconds))
    medians = {name: round(1000 * statistics.median(times), 3) for name, times in paced.items()}
    return {
        **{name: each.summary() for name, each in measurements.items()},
        "median_ms_at_rate": medians,
        "added_ms": round(medians["gateway"] - medians["endpoint"], 3),
        "plain_added_ms": round(medians["plain"] - medians["endpoint"], 3),
    }


def run(rounds: int, seconds: float) -> dict[str, Any]:
    """All figures."""
    pinned = serving.cores()
    gateway_core = pinned[0] if pinned else None
    if pinned:
        os.sched_setaffinity(0, pinned[1])
    plain_python = tool_environment.created("plain-gateway") / "bin" / "python"
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench-gateway-")))
        cloud = running.enter_context(endpoint(folder))
        gateway = running.enter_context(
            serving.server(
                [sys.executable, "-m", "gateway"],
                gateway_core,
                **gateway_environment(cloud, folder),
            )
        )
        plain = running.enter_context(
            serving.server(
                [str(plain_python), "-P", str(ROOT / "bench" / "plain_gateway.py")],
                gateway_core,
                ENDPOINT=f"http://127.0.0.1:{cloud.port}/score",
                CONTRACT=str(folder / "contract.json"),
            )
        )
        answers = [serving.prediction(each.port, serving.bodies()[0]) for each in (gateway, plain)]
        if answers[0]["predictions"] != answers[1]["predictions"]:
            raise SystemExit(f"the gateways do not answer the same: {answers}")
        servers = {"endpoint": cloud, "gateway": gateway, "plain": plain}
        figures = measured(servers, rounds, seconds)
    figures["validation_us"] = validation_us()
    figures["pinned"] = "the gateway alone on a core" if pinned else "not pinned"
    figures["targets"] = {
        "per_second": PER_SECOND,
        "added_ms": ADDED_MS,
        "validation_us": VALIDATION_US,
    }
    return figures


def main() -> None:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2, help="seconds of each load")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    chosen = parser.parse_args()
    take_interrupts()
    end_with_this_process()
    figures = run(chosen.rounds, chosen.seconds)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    for name in ("gateway", "plain"):
        print(f"{name:8} " + "  ".join(f"{key} {value:,}" for key, value in figures[name].items()))
    print(
        f"added in the median at {RATE} requests a second: {figures['added_ms']} ms"
        f" (at most {ADDED_MS}), by the plain one {figures['plain_added_ms']} ms"
    )
    print(f"validation: {figures['validation_us']} µs an instance (at most {VALIDATION_US})")
    failed = [
        figures["gateway"]["per_second"] < PER_SECOND,
        figures["added_ms"] > ADDED_MS,
        figures["validation_us"] > VALIDATION_US,
    ]
    if any(failed):
        sys.exit("the target is missed")


if __name__ == "__main__":
    main()
