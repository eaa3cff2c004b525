"""The first hour: `make up` in a new clone with an empty home, until the first prediction.

Once where Pulumi is installed, and once where Go builds it. Packages come from this machine's caches of pip, uv, npm and
Go's modules; what Go compiles does not.

    python -m bench.first_prediction [installed|built …]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.harness import run
from bench.platform import durations
from operations.crash.checkout import Checkout
from operations.engine.installation import pulumi_bin
from operations.started_processes import end_with_this_process
from operations.terminal import end_with_reader, fail, take_interrupts

TARGETS = {"installed": 90.0, "built": 240.0}
"""Seconds, with Pulumi installed and with Pulumi built by Go."""
PROGRAMS = ("pulumi", "pulumi-language-python")


def warm_caches() -> dict[str, str]:
    """The variables that name this machine's caches of packages, for processes with another home."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = {
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or str(cache / "pip"),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(cache / "uv"),
        "npm_config_cache": str(Path.home() / ".npm"),
    }
    if go := shutil.which("go"):
        found["GOMODCACHE"] = subprocess.check_output([go, "env", "GOMODCACHE"], text=True).strip()
    return found


def path_of(way: str) -> str:
    """PATH as a person has it who has Pulumi, or has not."""
    parts = os.environ["PATH"].split(os.pathsep)
    without = [
        part for part in parts if not any(os.access(Path(part, name), os.X_OK) for name in PROGRAMS)
    ]
    return os.pathsep.join([str(pulumi_bin()), *without] if way == "installed" else without)


def first_make_up(way: str, folder: Path) -> tuple[float, float]:
    """The `durations` of `make up` in a clone without environment, models and home."""
    checkout = Checkout("aws", folder / "clone")
    checkout.create()
    for shared in (".venv", ".models"):
        (checkout.folder / shared).unlink()
    home = folder / "home"
    home.mkdir()
    environment = {
        **checkout.environment,
        **warm_caches(),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "PATH": path_of(way),
    }
    environment.pop("GOCACHE", None)

    def first_prediction() -> None:
        printed = run(["make", "up"], environment, 1800, folder=checkout.folder)
        assert "with probability" in printed, printed

    try:
        return durations(first_prediction)
    finally:
        run(["make", "down"], environment, 120, folder=checkout.folder)


def main() -> None:
    ways = sys.argv[1:] or list(TARGETS)
    if unknown := [way for way in ways if way not in TARGETS]:
        fail(f"{unknown[0]}: there are only {' and '.join(TARGETS)}. Nothing was done.")
    take_interrupts()
    end_with_this_process()
    missed = []
    for way in ways:
        if way == "built" and not shutil.which("go"):
            print(
                "from an empty home to a prediction, Pulumi built by Go: not measured, Go is not installed"
            )
            continue
        print(f"from an empty home to a prediction, Pulumi {way} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            taken, used = first_make_up(way, Path(folder))
        print(
            f"from an empty home to a prediction, Pulumi {way}: {taken:.0f} s (under {TARGETS[way]:.0f} s),"
            f" {used:.0f} s of the processor"
        )
        if taken >= TARGETS[way]:
            missed.append(way)
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    with end_with_reader():
        main()
