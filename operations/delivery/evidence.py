"""The record of a delivery, in ``.delivery/``: what was done, found and measured, for whoever asks later."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from operations.engine.installation import HOME
from operations.terminal import fail, say

EVIDENCE = HOME / ".delivery"
TOLD = ("CODEBUILD_RESOLVED_SOURCE_VERSION", "COMMIT_SHA")
"""What CodeBuild and Cloud Build call the commit: a CodePipeline hands the source over as a ZIP without .git.
https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values"""


@dataclass
class Evidence:
    """What a delivery did and found, step by step; written after each, so that a killed run has one."""

    name: str
    commit: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    outcome: str = "unfinished"
    production: str = "not looked at"
    """What stood in production before the delivery, and after it."""

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """A step, timed; what it finds goes into the dictionary. Its failure is noted and raised."""
        say(name)
        entry: dict[str, Any] = {"step": name, "started": _now()}
        self.steps.append(entry)
        began = time.monotonic()
        try:
            yield entry
        except BaseException as error:
            # `fail` of tools/bootstrap.py leaves with SystemExit, its reason already printed.
            entry["failed"] = str(error) or type(error).__name__
            raise
        finally:
            entry["seconds"] = round(time.monotonic() - began, 1)
            self.write()

    def write(self) -> None:
        keep(f"{self.name}.json", json.dumps(asdict(self), indent=1) + "\n")
        keep(f"{self.name}.md", self.markdown())

    def markdown(self) -> str:
        lines = [
            f"# Delivery {self.name}: {self.outcome}",
            f"\nCommit `{self.commit}`. Production: {self.production}.\n",
            "| step | seconds | found |",
            "|---|---|---|",
        ]
        for each in self.steps:
            found = {
                key: value
                for key, value in each.items()
                if key not in ("step", "started", "seconds")
            }
            told = "<br>".join(f"{key}: {_told(value)}" for key, value in found.items())
            lines.append(f"| {each['step']} | {each.get('seconds', '')} | {told} |")
        return "\n".join(lines) + "\n"


def keep(name: str, text: str) -> None:
    """Write a file of ``.delivery/``."""
    EVIDENCE.mkdir(exist_ok=True)
    (EVIDENCE / name).write_text(text)


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> str:
    """The commit that is delivered, marked if the working tree holds more than it or nothing says."""
    try:
        head = git("rev-parse", "HEAD")
        return head + (" with uncommitted changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        for name in TOLD:
            if told := os.environ.get(name):
                return f"{told} by {name}, in no git checkout"
        fail(
            f"{HOME} is no git checkout (or there is no git), and {' and '.join(TOLD)} are not set: the evidence"
            " would not say which commit was delivered. Set one of them to the commit."
        )


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=HOME, capture_output=True, text=True, check=True)
    return done.stdout.strip()
