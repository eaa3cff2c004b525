"""`make mutate`: change the code in one place after another, and see whether a test fails.

Which tests run a line is recorded once (`covering_tests`); then each mutant gets a process in which only those tests run
(`trial`). The score, and why a mutant survives, is kept in docs/design/mutations.toml.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import hashlib
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from config.arguments import ArgumentParser, positive
from tools.mutation.covering_tests import RECORD, SOURCES
from tools.mutation.mutants import Mutant, mutants_of
from tools.mutation.selection import Record
from tools.mutation.trial import (
    KILLED,
    SURVIVED,
    TIMEOUT,
    import_libraries,
    outcome,
    unchanged_outcome,
)


@dataclass(frozen=True)
class Folder:
    """What is changed together, and the tests that should notice."""

    sources: list[str]
    tests: list[str]


def rehearsal_tests(*words: str) -> list[str]:
    """The files of the rehearsal's tests that have one of these words in their name."""
    files = map(str, Path("tests/unit/rehearsal").glob("test_*.py"))
    return sorted(each for each in files if any(word in each for word in words))


EVERY_CLOUD = (
    "errors",
    "fresh_account",
    "lists",
    "names",
    "provider_semantics",
    "reads",
    "request_bodies",
)
FOLDERS = {
    "components": Folder(
        ["components"],
        [
            "tests/contract",
            "tests/docs/test_identities.py",
            "tests/docs/test_prerequisites.py",
            "tests/policy/test_rules.py",
            "tests/unit/components",
        ],
    ),
    "lambda/gateway": Folder(
        ["lambda/gateway"],
        [
            *sorted(map(str, Path("tests/unit/lambda").glob("test_gateway_*.py"))),
            "tests/unit/lambda/test_raw_http.py",
        ],
    ),
    "operations/engine": Folder(
        [
            f"operations/engine/{name}.py"
            for name in ("account", "guards", "locks", "previews", "resources", "state_contents")
        ],
        ["tests/operations/engine", "tests/operations/recovery"],
    ),
    "operations/recovery": Folder(["operations/recovery"], ["tests/operations/recovery"]),
    "rehearsal/core": Folder(
        ["rehearsal/core"],
        rehearsal_tests("access_tokens", "client", "core", "ports", "recovery", "request", "tar"),
    ),
    "rehearsal/provider": Folder(
        ["rehearsal/provider"], rehearsal_tests("core", "grants", "recovery", *EVERY_CLOUD)
    ),
    "rehearsal/aws": Folder(
        ["rehearsal/aws"], rehearsal_tests("aws", "lambda", "s3", "signatures", *EVERY_CLOUD)
    ),
    "rehearsal/gcp": Folder(["rehearsal/gcp"], rehearsal_tests("gcp", *EVERY_CLOUD)),
    "rehearsal/azure": Folder(["rehearsal/azure"], rehearsal_tests("azure", *EVERY_CLOUD)),
}
"""What is built, what answers callers, what refuses, what repairs, and the rules of the clouds."""
PACKAGES = ["api_models", "components", "config", "lambda", "operations", "policy", "rehearsal"]
"""What the tests import."""
KEPT = Path("docs/design/mutations.toml")
FIRST_LINE = "# Which part of deliberate mistakes the tests notice: docs/how-to/prove.md. `make mutate SAMPLE=150 KEEP=1` writes these scores."
BY_HAND = "# By hand: the mutants that survive, and why."
CACHE = Path(".cache/mutation")
NO_TEST = "no test"
GOAL = 0.9
"""The part of all mutants that some test should notice."""
SMALLEST = 100
"""Mutants of a sample whose score is a floor. 3 of 10 would let a folder pass in which no test notices anything."""
TOO_MANY_TIMEOUTS = 0.1
"""Of all that were tried: above it the machine is too busy for a score."""


@dataclass
class Score:
    """How many mutants of a folder had which outcome."""

    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def timeouts(self) -> int:
        """Counted apart: the mutant may be a loop without an end, or the machine may be busy."""
        return self.outcomes[TIMEOUT]

    @property
    def tried(self) -> int:
        return self.outcomes.total() - self.timeouts

    @property
    def killed(self) -> int:
        return self.outcomes[KILLED]

    def is_below(self, floor: float) -> bool:
        """Whether more than the chance of a sample is missing: three standard deviations, so not one run in 500."""
        return interval(self.killed, self.tried, 3)[1] < floor

    def line(self, folder: str) -> str:
        low, high = interval(self.killed, self.tried)
        part = f"{self.killed / self.tried:6.1%}" if self.tried else "     -"
        return (
            f"  {folder:<28} {part}  {self.killed} of {self.tried}, 95 %: {low:.1%} to {high:.1%}"
            f" ({self.outcomes[NO_TEST]} that no test runs; {self.timeouts} time-outs beside them)"
        )


def interval(killed: int, tried: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson interval of a share, at 95 %: https://doi.org/10.1080/01621459.1927.10502953"""
    if not tried:
        return 0.0, 1.0
    share = killed / tried
    middle = share + z * z / (2 * tried)
    half = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried))
    scale = 1 + z * z / tried
    return (middle - half) / scale, (middle + half) / scale


def tree() -> str:
    """The commit's tree: the same sample for the same code."""
    command = ["git", "rev-parse", "HEAD^{tree}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def files_of(sources: list[str]) -> list[Path]:
    """The Python files among these files and folders."""
    found: set[Path] = set()
    for source in map(Path, sources):
        found |= set(source.rglob("*.py")) if source.is_dir() else {source}
    return sorted(found)


@contextlib.contextmanager
def copy_of_repository() -> Iterator[Path]:
    """The files as they are, committed or not, in a folder in which one of them may be changed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(prefix="tree-", dir=CACHE) as folder:
        copy = Path(folder).resolve()
        for name in filter(os.path.isfile, listed.split("\0")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, copy / name)
        for name in (".venv", ".models"):
            (copy / name).symlink_to(Path(name).resolve())
        yield copy


def recorded(tests: list[str], copy: Path) -> Record:
    """Which of the tests run which line: recorded for this very code and these tests, if it is not yet."""
    content = hashlib.sha256(" ".join(tests).encode())
    for file in files_of([*PACKAGES, *tests]):
        content.update(str(file).encode() + file.read_bytes())
    file = CACHE.resolve() / f"{content.hexdigest()[:16]}.json"
    if not file.exists():
        print(f"recording which lines are run by {' '.join(tests)}", flush=True)
        variables = {
            **os.environ,
            "PYTHONPATH": str(copy),
            RECORD: str(file),
            SOURCES: os.pathsep.join(PACKAGES),
        }
        plugins = ["-p", "tools.mutation.covering_tests", "--hypothesis-seed=0"]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *tests]
        subprocess.run(command, env=variables, cwd=copy)
        if not file.exists():
            sys.exit("The tests could not be run; the reason is above.")
    return Record.read(file, PACKAGES)


def kept_survivors() -> dict[str, bool]:
    """The mutants listed with a reason, and whether no test can notice them."""
    listed = tomllib.loads(KEPT.read_text()).get("survivor", [])
    return {each["mutant"]: each.get("equivalent", False) for each in listed}


def kept_floors() -> dict[str, float]:
    """What a folder with a kept score may not fall below: that score, or the goal if it is lower."""
    kept = tomllib.loads(KEPT.read_text()).get("score", {})
    return {
        name: min(GOAL, each["killed"] / each["of"])
        for name, each in kept.items()
        if each["of"] >= SMALLEST
    }


def below_their_floors(scores: dict[str, Score], floors: dict[str, float]) -> list[str]:
    """The folders that are below, and "all" if all of them together are: a small loss in each is a loss, too."""
    judged = {name: score for name, score in scores.items() if name in floors}
    below = [name for name, score in judged.items() if score.is_below(floors[name])]
    together = Score(sum((each.outcomes for each in judged.values()), Counter()))
    expected = sum(floors[name] * score.tried for name, score in judged.items())
    if together.tried and together.is_below(expected / together.tried):
        below.append("all")
    return below


def keep(scores: dict[str, Score], seed: str) -> None:
    """Write these folders' scores into the file; other folders keep theirs, and what is written by hand stays."""
    text = KEPT.read_text()
    kept = tomllib.loads(text).get("score", {})
    for folder, score in scores.items():
        low, high = interval(score.killed, score.tried)
        kept[folder] = {
            "killed": score.killed,
            "of": score.tried,
            "timeouts": score.timeouts,
            "interval": [round(low, 3), round(high, 3)],
            "seed": seed,
            "date": datetime.date.today(),
        }
    lines = [FIRST_LINE]
    for folder in filter(kept.get, FOLDERS):
        lines.append(f"[score.{json.dumps(folder)}]")
        for name, value in kept[folder].items():
            is_date = isinstance(value, datetime.date)
            lines.append(f"{name} = {value if is_date else json.dumps(value)}")
        lines.append("")
    KEPT.write_text("\n".join([*lines, BY_HAND]) + text.partition(BY_HAND)[2])


def main() -> None:
    arguments = parsed()
    seed = arguments.seed or tree()
    started = time.monotonic()
    scores = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with the copy removed, as after Ctrl-C
    with copy_of_repository() as copy:
        for name, folder in FOLDERS.items():
            files = [
                each for each in files_of(folder.sources) if str(each).startswith(arguments.only)
            ]
            if population := [mutant for file in files for mutant in mutants_of(file, str(file))]:
                scores[name] = score_of(name, population, arguments, seed, copy)
    if not scores:
        folders = ", ".join(FOLDERS)
        sys.exit(
            f"ONLY={arguments.only}: no file of {folders} begins so. Name a file or a folder of these."
        )
    print(f"\nseed {seed}, {time.monotonic() - started:.0f} s")
    total = Score(sum((each.outcomes for each in scores.values()), Counter()))
    for name, score in (*scores.items(), ("all", total)):
        print(score.line(name))
    if problem := judged(scores, arguments):
        sys.exit(problem + (" Nothing is kept." if arguments.keep else ""))
    if arguments.keep:
        keep(scores, seed)


def judged(scores: dict[str, Score], arguments: argparse.Namespace) -> str:
    """Why these scores fail; nothing if they do not. Prints what is not judged, and what is lower than before."""
    slow = [
        name
        for name, score in scores.items()
        if score.timeouts > TOO_MANY_TIMEOUTS * score.outcomes.total()
    ]
    if slow:
        return f"Too many time-outs for a score, on this machine or with these tests: {', '.join(slow)}."
    if arguments.tests or not _is_whole(arguments.only):
        print("A part of a folder, or with other tests, has no floor: it is not judged.")
        return ""
    floors = kept_floors()
    if missing := sorted(scores.keys() - floors.keys()):
        print(
            f"No kept score of {SMALLEST} mutants, so without a floor: {', '.join(missing)}. `make mutate SAMPLE=150 KEEP=1`"
        )
    if below := below_their_floors(scores, floors):
        return (
            f"Below what {KEPT} has, beyond the chance of a sample: {', '.join(below)}. Who accepts a lower score removes the"
            f" former one from {KEPT} by hand."
        )
    if not arguments.keep:
        return ""
    if small := [name for name, score in scores.items() if score.tried < SMALLEST]:
        return f"Only a score of {SMALLEST} mutants or more is kept: {', '.join(small)} had fewer."
    for name, floor in floors.items():
        if name in scores and (new := scores[name].killed / scores[name].tried) < floor:
            print(f"The floor of {name} becomes lower: {new:.1%} after {floor:.1%}.")
    return ""


def score_of(
    name: str, population: list[Mutant], arguments: argparse.Namespace, seed: str, copy: Path
) -> Score:
    """Try a sample of these mutants, and print those that survive."""
    listed = kept_survivors()
    population = [each for each in population if not listed.get(each.name)]
    record = recorded(arguments.tests or FOLDERS[name].tests, copy)
    import_libraries(record.libraries, CACHE / "bytecode")
    # A test that fails anyway, or cannot be found, would seem to notice every mutant.
    control = random.Random(seed).sample(sorted(record.passed), min(20, len(record.passed)))  # noqa: S311
    if unchanged_outcome(control, 120 + 5 * record.seconds_of(control), copy) != SURVIVED:
        sys.exit(f"Tests of {name} fail without a mutant. One of: {' '.join(control)}")
    size = min(arguments.sample or len(population), len(population))
    sample = random.Random(f"{seed} {name}").sample(population, size)  # noqa: S311  # no secret
    print(f"{name}: {size} of {len(population)} mutants", flush=True)
    score = Score()
    for mutant in sample:
        found = result(mutant, record, copy)
        score.outcomes[found] += 1
        if found in (SURVIVED, NO_TEST):
            reason = ", which is listed" if mutant.name in listed else ""
            print(f"  {found}{reason}: line {mutant.line} of {mutant.name}", flush=True)
        if score.outcomes.total() % 10 == 0:
            print(f"  {score.killed} of {score.tried} noticed", flush=True)
    return score


def result(mutant: Mutant, record: Record, copy: Path) -> str:
    tests = record.tests_of(mutant)
    if not tests:
        return NO_TEST
    return outcome(mutant, tests, 20 + 5 * record.seconds_of(tests), copy)


def parsed() -> argparse.Namespace:
    parser = ArgumentParser(prog="make mutate")
    parser.add_argument("--only", default="", help="files whose path starts so")
    parser.add_argument("--sample", type=positive, help="mutants of each folder; without it, all")
    parser.add_argument("--seed", help="which sample; the commit's tree without it")
    parser.add_argument("--tests", nargs="*", help="files of tests, in place of the folder's")
    parser.add_argument("--keep", action="store_true", help=f"write the scores into {KEPT}")
    arguments = parser.parse_args()
    if arguments.keep and (arguments.sample or SMALLEST) < SMALLEST:
        parser.error(f"kept scores are those of {SMALLEST} mutants or more: SAMPLE=150")
    if arguments.keep and (arguments.tests or not _is_whole(arguments.only)):
        parser.error(f"kept scores are those of whole folders: ONLY= one of {', '.join(FOLDERS)}")
    return arguments


def _is_whole(only: str) -> bool:
    """Whether no folder has files of which some paths begin so and some do not."""
    for folder in FOLDERS.values():
        chosen = {str(file).startswith(only) for file in files_of(folder.sources)}
        if len(chosen) == 2:
            return False
    return True


if __name__ == "__main__":
    main()
