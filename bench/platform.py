"""How long the engineer waits: the first `up`, a no-op `up` beside a bare program, `make up` beside plain `pulumi up`, and the rehearsal's memory.

Both ratios are of processor time, too, which other work on the machine disturbs less.

The bare program registers the same resources, with the same inputs and the same typed SDK classes, but flat: no
components, no wiring, no settings. It imports the platform's own state (with flattened URNs). So both programs have the
same provider and nothing to change. Their runs alternate.

    python -m bench.platform [--rounds 5] [--json FILE] [aws gcp azure]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import psutil

from bench.harness import ROOT, Rehearsal, Stack, run, succeeded
from config.arguments import ArgumentParser, positive
from config.stack_file import StackFile
from operations.crash.checkout import Checkout
from operations.engine.rehearsed_stack import unknown_cloud
from operations.started_processes import end_with_this_process
from operations.terminal import end_with_reader, take_interrupts

BARE = Path(__file__).with_name("bare")
TARGETS = {
    "ready": 3.0,
    "first_up": 30.0,
    "ratio": 1.10,
    "ratio_cpu": 1.10,
    "make_up": 1.5,
    "make_up_cpu": 1.5,
    "rehearsal": 150.0,
    "stores": 450.0,
}
"""The largest allowed value of each figure: seconds, a ratio, resident megabytes."""


def timed(action: Callable[[], Any]) -> float:
    """The duration in seconds of the wall clock."""
    return durations(action)[0]


def durations(action: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the wall clock, and of the processor for the commands that were run and have ended."""
    start, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
    action()
    after = getrusage(RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used


def alternating(
    actions: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, tuple[float, float]]:
    """The medians of `durations` of each action. The actions alternate, so that other work disturbs all of them."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            taken[name].append(durations(action))
    return {
        name: (statistics.median(wall), statistics.median(used))
        for name, (wall, used) in ((name, zip(*each, strict=True)) for name, each in taken.items())
    }


def flatten(state: dict[str, Any], stack: str, bare: str) -> dict[str, Any]:
    """The exported state as the bare program would have it: custom resources directly below the stack."""
    deployment = state["deployment"]
    kept = [r for r in deployment["resources"] if r["custom"] or r["type"] == "pulumi:pulumi:Stack"]
    text = json.dumps({**state, "deployment": {**deployment, "resources": kept}})
    text = re.sub(
        rf'(urn:pulumi:){stack}(::[^:"]+::)(?:[^"]*?\$)?([^"$]+?::)',
        rf"\g<1>{bare}\g<2>\g<3>",
        text,
    )
    # The name of the stack's own resource has the names of project and stack.
    flat: dict[str, Any] = json.loads(
        text.replace(f"Stack::triplane-{stack}", f"Stack::triplane-{bare}")
    )
    root = next(
        r["urn"] for r in flat["deployment"]["resources"] if r["type"] == "pulumi:pulumi:Stack"
    )
    for resource in flat["deployment"]["resources"]:
        if "parent" in resource:
            resource["parent"] = root
            if resource["type"].startswith("pulumi:providers:"):
                del resource["parent"]
    return flat


def measure(cloud: str, rehearsal: Rehearsal, scratch: Path, rounds: int) -> dict[str, Any]:
    """The figures of one cloud, in seconds."""
    settings = StackFile.read(ROOT / "Pulumi.dev.yaml").settings
    stack = Stack(
        rehearsal, f"bench-{cloud}", scratch / cloud, {**settings, "triplane:cloud": cloud}
    )
    stack.init()
    first = timed(stack.up)

    bare = Stack(
        rehearsal, f"bare-{cloud}", scratch / f"{cloud}-bare", dict(settings), project=BARE
    )
    bare.init()
    state = json.loads(stack.pulumi("stack", "export", "--show-secrets"))
    exported = bare.folder / "state.json"
    exported.touch(mode=0o600)
    exported.write_text(json.dumps(flatten(state, stack.name, bare.name)))
    bare.pulumi("stack", "import", "--file", str(exported))
    os.environ["BARE_STATE"] = str(exported)
    # Dynamic resources are pickled by reference, so their process must find the same modules.
    os.environ["PYTHONPATH"] = str(ROOT)

    no_op = ("up", "--yes", "--skip-preview", "--expect-no-changes")
    found = alternating(
        {"platform": lambda: stack.pulumi(*no_op), "bare": lambda: bare.pulumi(*no_op)}, rounds
    )
    return {
        "resources": sum(r["custom"] for r in state["deployment"]["resources"]),
        "first_up": first,
        "no_op_up": found["platform"][0],
        "bare_no_op_up": found["bare"][0],
        **ratios("ratio", found["platform"], found["bare"]),
    }


def ratios(name: str, measured: tuple[float, float], base: tuple[float, float]) -> dict[str, float]:
    """The ratio by the clock under this name, and the ratio of processor time."""
    return {name: measured[0] / base[0], f"{name}_cpu": measured[1] / base[1]}


def make_up(cloud: str, folder: Path, rounds: int) -> dict[str, float]:
    """`make up` without a change beside plain `pulumi up`, alternating, in a checkout; seconds, and the ratio."""
    checkout = Checkout(cloud, folder)
    checkout.create()
    command = ["make", "up", f"CLOUD={cloud}"]

    def make() -> str:
        return run(command, checkout.environment, 600, folder=checkout.folder)

    try:
        make()
        found = alternating(
            {"make": make, "plain": lambda: succeeded(checkout.plain_update())}, rounds
        )
    finally:
        checkout.run("rehearsal", "stop")
    return {
        **{name: wall for name, (wall, _) in found.items()},
        **ratios("make_up", found["make"], found["plain"]),
    }


def memory(rehearsal: Rehearsal) -> dict[str, float]:
    """Resident megabytes of the rehearsal's own process, of its object stores and of its workloads."""
    status = rehearsal.get("/_api/status")
    megabytes = {"rehearsal": resident(status["pid"]), "stores": 0.0, "workloads": 0.0}
    for process in status["processes"]:
        kind = "stores" if process["key"].startswith("objects") else "workloads"
        megabytes[kind] += resident(process["pid"])
    return megabytes


def resident(pid: int) -> float:
    """Resident megabytes of one process."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def missed_targets(figures: dict[str, Any], clouds: list[str]) -> list[str]:
    """One line for each figure above its target."""
    measured = {
        "ready": figures["ready"],
        **{
            f"{cloud} {name}": figures[cloud][name]
            for cloud in clouds
            for name in ("first_up", "ratio", "ratio_cpu", "make_up", "make_up_cpu")
        },
        **figures["memory_mb"],
    }
    return [
        f"{name} {value:.2f}, at most {limit:g}"
        for name, value in measured.items()
        if (limit := TARGETS.get(name.rpartition(" ")[2])) is not None and value > limit
    ]


def main() -> None:
    arguments = ArgumentParser(
        prog="python -m bench.platform",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("clouds", nargs="*", default=["aws", "gcp", "azure"])
    arguments.add_argument("--rounds", type=positive, default=5)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    if problems := [each for cloud in chosen.clouds if (each := unknown_cloud(cloud))]:
        sys.exit(problems[0])
    take_interrupts()
    end_with_this_process()

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        run(
            [sys.executable, "-m", "training", "train"],
            {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambda")])},
            600,
        )
        rehearsal = Rehearsal(scratch / "rehearsal")
        figures: dict[str, Any] = {"ready": timed(rehearsal.start)}
        try:
            for cloud in chosen.clouds:
                print(f"{cloud} …", file=sys.stderr, flush=True)
                figures[cloud] = measure(cloud, rehearsal, scratch, chosen.rounds)
            figures["memory_mb"] = memory(rehearsal)
        finally:
            rehearsal.command("stop")
        for cloud in chosen.clouds:
            print(f"{cloud}: make up …", file=sys.stderr, flush=True)
            figures[cloud] |= make_up(cloud, scratch / f"{cloud}-clone", chosen.rounds)

    print(f"rehearsal ready in {figures['ready']:.1f} s (start command included)")
    print(
        f"{'cloud':<7}{'resources':>10}{'first up':>10}{'no-op up':>10}{'bare':>8}{'ratio':>8}{'of CPU':>8}"
        f"{'make up':>9}{'plain':>8}{'ratio':>8}{'of CPU':>8}"
    )
    for cloud in chosen.clouds:
        f = figures[cloud]
        print(
            f"{cloud:<7}{f['resources']:>10}{f['first_up']:>9.1f}s{f['no_op_up']:>9.2f}s"
            f"{f['bare_no_op_up']:>7.2f}s{f['ratio']:>8.2f}{f['ratio_cpu']:>8.2f}"
            f"{f['make']:>8.2f}s{f['plain']:>7.2f}s{f['make_up']:>8.2f}{f['make_up_cpu']:>8.2f}"
        )
    print(
        "resident MB: " + ", ".join(f"{name} {mb:.0f}" for name, mb in figures["memory_mb"].items())
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    if lines := missed_targets(figures, chosen.clouds):
        sys.exit("missed: " + "; ".join(lines))


if __name__ == "__main__":
    with end_with_reader():
        main()
