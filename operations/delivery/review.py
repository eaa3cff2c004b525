"""`make review`: what this working tree would change of what BASE builds, in the rehearsal.

The base is checked out beside, brought up as a stack of its own, and previewed with this tree's program.
No credentials are needed: a fork's pull request can be shown so without trusting it with anything.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from config.stack_file import StackFile
from operations.commands import deploy
from operations.delivery import deliver
from operations.delivery.evidence import EVIDENCE, git
from operations.delivery.load_gate import Stopped
from operations.engine import guards
from operations.engine.installation import HOME
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.stack import SETTINGS, Stack
from operations.terminal import fail


def review(arguments: argparse.Namespace) -> None:
    """Bring the base up, preview this tree over it, and write what a reader should see first."""
    of = deliver.staged("review", arguments.cloud)
    deploy.prepare(of)
    base = EVIDENCE / "base"
    _drop(base)
    EVIDENCE.mkdir(exist_ok=True)
    git("worktree", "add", "--detach", str(base), arguments.base)
    try:
        # The same interpreter and models; only the program is the base's.
        for shared in (".models", ".venv"):
            (base / shared).symlink_to(HOME / shared)
        _up_base(of, base)
        cloud, steps = of.name.partition("-")[2], deliver.preview(of)
        # Told, not refused: the reader decides, and the delivery's own preview refuses what is left.
        told = [_told_of(cloud), *(f"guard: {each}" for each in guards.losses(steps, ()))]
        deliver.write_comment(of, steps, f"What this changes on {cloud}", "\n".join(told))
    finally:
        _drop(base)
    print((EVIDENCE / f"preview-{of.name}.md").read_text())


def _told_of(cloud: str) -> str:
    """The policies' verdict for a reader; a broken one is for the reader too, not the end."""
    try:
        return deliver.policies(cloud)
    except Stopped as broken:
        return str(broken)


def _up_base(of: Stack, base: Path) -> None:
    """The base's program, with the settings that it has itself."""
    ours = StackFile.read(of.file).settings
    same = {key: ours[key] for key in ("triplane:cloud", "triplane:environment")}
    file = base / f"Pulumi.{of.name}.yaml"
    StackFile.read(base / SETTINGS.name).with_settings(same).write(file)
    # The program's own folder is first on its path; PYTHONPATH would name this tree's modules.
    place = {key: value for key, value in of.environment.items() if key != "PYTHONPATH"}
    cli = PulumiCli(of.name, file, place, base)
    if cli.stream("up", "--yes", "--skip-preview", "--suppress-outputs"):
        fail("The base of the comparison did not come up; the reason is above.")


def _drop(base: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)
    git("worktree", "prune")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m operations.delivery.review", description=__doc__
    )
    parser.add_argument("cloud", nargs="?", default="")
    parser.add_argument("--base", default="HEAD")
    review(parser.parse_args())


if __name__ == "__main__":
    main()
