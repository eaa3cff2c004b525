"""`make crash`: the journeys, a line for each as it ends, and the counts."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NoReturn, get_args

from config.clouds import Cloud
from config.messages import did_you_mean
from operations.commands import deploy
from operations.crash.checkout import Clone
from operations.crash.judge import judge, own, undisturbed
from operations.crash.scenario import BLOWS, OPERATIONS, Verdict, journey
from operations.engine.installation import HOME, PYTHON

STORE = HOME / ".models" / "flight-delay"


def matrix() -> list[tuple[str, str]]:
    """Operations and blows, so mixed that eleven journeys have seen each of both."""
    blows = list(BLOWS)
    mixed = [
        (OPERATIONS[at % len(OPERATIONS)], blows[at % len(blows)])  # 4 and 11 share no divisor
        for at in range(len(OPERATIONS) * len(blows))
    ]
    mixed.remove(("delete", "kill-before"))  # before it deletes, the engine asks for no check
    return mixed


def chosen(clouds: Sequence[str], only: str) -> list[str]:
    """Those of the clouds that have a journey to be played; leaves if there is none at all."""
    for cloud in clouds:
        if cloud not in get_args(Cloud):
            near = did_you_mean(cloud, get_args(Cloud))
            refuse(f"CLOUD={cloud}: no such cloud. Allowed: {', '.join(get_args(Cloud))}.{near}")
    wanted = [
        cloud
        for cloud in clouds
        if any(fnmatch("/".join((cloud, *each)), only) for each in matrix())
    ]
    if not wanted:
        refuse(
            f"ONLY={only}: no such journey. They are called CLOUD/OPERATION/BLOW:\n"
            f"  cloud      {', '.join(clouds)}\n"
            f"  operation  {', '.join(OPERATIONS)}\n"
            f"  blow       {', '.join(BLOWS)}\n"
            "and * is any of them: ONLY='*/update/kill-*'. Only delete/kill-before is none: before it"
            " deletes, the engine asks for no check."
        )
    return wanted


def refuse(text: str) -> NoReturn:
    """Leave with 2, as for any other word on the command line that is none."""
    print(text, file=sys.stderr)
    sys.exit(2)


def on(cloud: str, only: str, sample: int, seed: int, folder: Path) -> Iterator[Verdict]:
    """The journeys on one cloud."""
    wanted = [each for each in matrix() if fnmatch("/".join((cloud, *each)), only)]
    model = another_model()
    clone = Clone(cloud, folder / cloud)
    clone.make()
    try:
        clone.run("rehearsal", "start")
        clone.run("operations.engine.environment")
        clone.keep("empty")
        references = {"create": undisturbed(clone, "create")}
        clone.keep("standing")
        for operation, blow in wanted:
            if operation not in references:
                clone.restore("standing")
                clone.change(operation, model)
                references[operation] = undisturbed(clone, operation)
            reference = references[operation]
            steps = [step for step in reference.steps if step.hit_by(BLOWS[blow])]
            chosen = random.Random(f"{seed}/{cloud}/{operation}/{blow}").sample  # noqa: S311
            steps = chosen(steps, min(sample or len(steps), len(steps)))
            name = f"{cloud}/{operation}/{blow}"
            try:
                clone.restore("empty" if operation == "create" else "standing")
                clone.change(operation, model)
                before = own(clone)
                verdict = journey(name, clone, operation, dict.fromkeys(steps, BLOWS[blow]))
                judge(clone, operation, reference, before, verdict)
                yield verdict
            except Exception:
                yield Verdict(name, other=[traceback.format_exc()])
    finally:
        clone.run("rehearsal", "stop")


def another_model() -> str:
    """A version that is not the champion, trained unless there is one."""
    deploy.train()
    champion = (STORE / "champion").read_text().strip()
    for each in STORE.iterdir():
        if (each / "model.onnx").exists() and each.name != champion:
            return each.name
    command = [str(PYTHON), "-m", "model_server", "train", "--months", "1-6", "--no-promote"]
    environment = {**os.environ, "PYTHONPATH": str(HOME / "lambda")}
    done = subprocess.run(
        command, cwd=HOME, env=environment, check=True, text=True, stdout=subprocess.PIPE
    )
    return done.stdout.split()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m operations.crash", description=__doc__)
    parser.add_argument("cloud", nargs="*", default=[], help="default: all three, side by side")
    parser.add_argument("--only", default="*", metavar="GLOB", help="aws/create/kill-*")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="steps of each journey")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    wish = parser.parse_args()
    clouds = chosen(wish.cloud or get_args(Cloud), wish.only)
    if wish.sample < 0:
        parser.error(f"SAMPLE={wish.sample}: a number of steps, 0 (or nothing) for every step")
    # So that a rehearsal is stopped, whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    another_model()  # before all of them would train it at once
    match clouds:
        case [cloud]:
            sys.exit(report(cloud, wish.only, wish.sample, wish.seed))
        case _:
            print(f"seed {wish.seed}", flush=True)
            options = [f"--only={wish.only}", f"--sample={wish.sample}", f"--seed={wish.seed}"]
            command = [sys.executable, "-m", "operations.crash", *options]
            running = [subprocess.Popen([*command, cloud], cwd=HOME) for cloud in clouds]
            try:
                sys.exit(max(process.wait() for process in running))
            finally:
                for process in running:
                    process.terminate()


def report(cloud: str, only: str, sample: int, seed: int) -> int:
    """A line for each journey as it ends, and the counts; 1 when one of them did not converge."""
    verdicts: list[Verdict] = []
    try:
        with tempfile.TemporaryDirectory(prefix="crash-", ignore_cleanup_errors=True) as folder:
            for verdict in on(cloud, only, sample, seed, Path(folder)):
                print(
                    f"{verdict.name:<34} {verdict.hit:>3} of {verdict.steps:>3} steps hit,"
                    f" {verdict.runs:>2} runs, {verdict.seconds:>4.0f} s:"
                    f" {'WRONG' if verdict.wrong else 'converged'}",
                    *verdict.wrong,
                    sep="\n    ",
                    flush=True,
                )
                verdicts.append(verdict)
    finally:  # also of a matrix that was cut short
        print(
            f"{cloud}: {len(verdicts)} journeys, {sum(each.hit for each in verdicts)} steps hit,"
            f" {sum(each.runs for each in verdicts)} runs,"
            f" {sum(not each.wrong for each in verdicts)} converged,"
            f" {sum(len(each.orphaned) for each in verdicts)} orphaned,"
            f" {sum(len(each.doubled) for each in verdicts)} doubled,"
            f" {sum(len(each.lost) for each in verdicts)} lost,"
            f" {sum(len(each.drifted) for each in verdicts)} drifted; seed {seed}",
            flush=True,
        )
    return int(any(each.wrong for each in verdicts))


if __name__ == "__main__":
    main()
