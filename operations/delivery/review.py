"""`make review`: what this working tree would change of what BASE builds, in the rehearsal.

The base is checked out into a folder of its own, brought up as a separate stack, and previewed with this tree's
program. No credentials are needed: so a fork's pull request is shown without trusting it with anything.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from config.stack_file import StackFile
from operations.commands import preparation
from operations.delivery import gates
from operations.delivery.evidence import DELIVERY_FOLDER, git
from operations.delivery.rollout import preview_steps, write_preview
from operations.delivery.stage_stack import stage_stack
from operations.engine import guards
from operations.engine.installation import HOME
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.rehearsed_stack import SETTINGS
from operations.engine.stack import Stack
from operations.terminal import fail


def review_changes(cloud: str, base_commit: str) -> None:
    """Bring the base commit up, preview this tree over it, and print the preview for readers."""
    stack = stage_stack("review", cloud)
    commit = _commit(base_commit)
    preparation.prepare(stack)
    base = DELIVERY_FOLDER / "base"
    _remove_worktree(base)
    DELIVERY_FOLDER.mkdir(exist_ok=True)
    git("worktree", "add", "--detach", str(base), commit)
    try:
        # The same interpreter and models; only the program is the base's.
        for shared in (".models", ".venv"):
            (base / shared).symlink_to(HOME / shared)
        _bring_base_up(stack, base)
        cloud, steps = stack.name.partition("-")[2], preview_steps(stack)
        # Reported, not refused: the reader decides, and the delivery's own preview refuses what remains.
        warnings = [f"guard: {each}" for each in guards.update_losses(steps, ())]
        report = "\n".join([_policy_report(cloud), *warnings])
        write_preview(stack, steps, f"What this changes on {cloud}", report)
    finally:
        _remove_worktree(base)
    print((DELIVERY_FOLDER / f"preview-{stack.name}.md").read_text())


def _commit(base: str) -> str:
    """The commit that BASE names. Leaves with git's reason if there is none."""
    try:
        return git("rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}")
    except subprocess.CalledProcessError as error:
        fail(
            f"BASE={base}: {error.stderr.strip()}. Allowed: a commit, a branch or a tag that this clone has (`git log"
            " --oneline`, `git fetch`). Nothing was done."
        )


def _policy_report(cloud: str) -> str:
    """The policies' report. A violated policy is for the reader too, and does not end the review."""
    try:
        return gates.policy_report(cloud)
    except gates.GateFailed as failed:
        return str(failed)


def _bring_base_up(stack: Stack, base: Path) -> None:
    """Bring up the base's program with the base's own settings."""
    settings = StackFile.read(stack.file).settings
    of_stage = {key: settings[key] for key in ("triplane:cloud", "triplane:environment")}
    file = base / f"Pulumi.{stack.name}.yaml"
    StackFile.read(base / SETTINGS.name).with_settings(of_stage).write(file)
    # The program's own folder is first on its path; PYTHONPATH would name this tree's modules.
    environment = {name: value for name, value in stack.environment.items() if name != "PYTHONPATH"}
    pulumi = PulumiCli(stack.name, file, environment, base)
    if pulumi.stream("up", "--yes", "--skip-preview", "--suppress-outputs"):
        fail("The base of the comparison did not come up; the reason is above.")


def _remove_worktree(base: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)
    git("worktree", "prune")
