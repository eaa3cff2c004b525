"""A small program on a rehearsal whose disk is full, then has room again: run in a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.harness import Rehearsal, Stack

PROGRAM = Path(__file__).with_name("any_type")
FULL = "ballast"


def program(rehearsal: Rehearsal, folder: Path) -> Stack:
    """A stack of a program that is up in seconds."""
    settings = {"aws:region": "eu-west-1", "gcp:project": "some-project"}
    return Stack(rehearsal, "any", folder, settings, PROGRAM)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def main(folder: Path) -> None:
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", disk], check=True)
    rehearsal = Rehearsal(disk / "rehearsal")
    rehearsal.start()
    try:
        stack = program(rehearsal, folder / "stack")
        stack.init()
        with (disk / FULL).open("wb", buffering=0) as ballast:
            try:
                while ballast.write(b"\0" * 4096):
                    pass
            except OSError:
                print("full")
        print(stack.up(code=1))
        (disk / FULL).unlink()
        stack.up()
        stack.pulumi("preview", "--expect-no-changes")
        made = {
            each["urn"] for each in stack.resources() if each["type"].startswith(("aws:", "gcp:"))
        }
        existing = {each["urn"] for each in rehearsal.get("/_api/resources")}
        assert made <= existing, made - existing
    finally:
        rehearsal.command("stop")
    print("converged")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
