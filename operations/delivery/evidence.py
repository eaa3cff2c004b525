"""The evidence of a delivery, in ``.delivery/``: what was done, found and measured, for whoever asks later.

CI uploads the folder as an artifact, which more people read than the stack's secrets. So nothing is written here but
through `operations.delivery.redaction`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from operations.delivery.gates import GateFailed
from operations.delivery.redaction import Redaction, secrets_in, secrets_of
from operations.engine.installation import HOME
from operations.engine.stack import NamedStack
from operations.terminal import fail, say

DELIVERY_FOLDER = HOME / ".delivery"
COMMIT_VARIABLES = ("CODEBUILD_RESOLVED_SOURCE_VERSION", "COMMIT_SHA")
"""The variables in which CodeBuild and Cloud Build have the commit: CodePipeline delivers a ZIP without .git.
https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values"""


@dataclass
class Evidence:
    """What a delivery did and found. It is written after each step, so that a killed run leaves one."""

    name: str
    commit: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    outcome: str = "unfinished"
    production: str = "not checked"
    """Production before and after the delivery."""
    secrets: set[str] = field(default_factory=lambda: secrets_in(os.environ), repr=False)
    """What is left out: the environment's credentials, and the secrets of each stack in `hide_secrets`."""

    def hide_secrets(self, stack: NamedStack) -> None:
        """Leave the secrets of a stack out of whatever is written from now on. An update may have made new ones."""
        self.secrets |= secrets_of(stack)

    def without_secrets(self, value: Any) -> Any:
        """A JSON value without what is known to be a secret, or looks like one."""
        return Redaction(self.secrets).value(value)

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a step. Findings go into the dictionary; a failure is recorded and raised."""
        say(name)
        entry: dict[str, Any] = {"step": name, "started": _now()}
        self.steps.append(entry)
        began = time.monotonic()
        try:
            yield entry
        except BaseException as error:
            # `operations.terminal.fail` raises SystemExit with its reason.
            entry["failed"] = str(error) or type(error).__name__
            raise
        finally:
            entry["seconds"] = round(time.monotonic() - began, 1)
            self.write()

    def write(self) -> None:
        """Write both files, without secrets."""
        # The values, and not the files: JSON and a table's cell write some characters in another way.
        written = self.without_secrets(
            {
                "name": self.name,
                "commit": self.commit,
                "steps": self.steps,
                "outcome": self.outcome,
                "production": self.production,
            }
        )
        DELIVERY_FOLDER.mkdir(exist_ok=True)
        (DELIVERY_FOLDER / f"{self.name}.json").write_text(json.dumps(written, indent=1) + "\n")
        (DELIVERY_FOLDER / f"{self.name}.md").write_text(_markdown(written))


def _markdown(written: Mapping[str, Any]) -> str:
    """The content of the JSON file for readers."""
    lines = [
        f"# Delivery {written['name']}: {written['outcome']}",
        f"\nCommit `{written['commit']}`. Production: {written['production']}.\n",
        "| step | seconds | found |",
        "|---|---|---|",
    ]
    for entry in written["steps"]:
        found = "<br>".join(
            f"{key}: {_cell(value)}"
            for key, value in entry.items()
            if key not in ("step", "started", "seconds")
        )
        lines.append(f"| {entry['step']} | {entry.get('seconds', '')} | {found} |")
    return "\n".join(lines) + "\n"


@contextmanager
def recorded(evidence: Evidence) -> Iterator[None]:
    """Write the outcome of the delivery inside into its evidence; exits with 1 if a gate stopped it.

    What is printed has no secret either: whoever may read a repository may read the logs of its jobs.
    """
    try:
        yield
        evidence.outcome = "delivered"
    except GateFailed as failed:
        evidence.outcome = f"stopped: {failed}"
    except SystemExit as left:
        evidence.outcome = f"failed: {left}"
        raise SystemExit(evidence.without_secrets(left.code)) from None
    except BaseException as error:
        evidence.outcome = f"failed: {error}"
        raise
    finally:
        evidence.write()
        print(f"\nDelivery {evidence.name}: {evidence.without_secrets(evidence.outcome)}")
        print(f"Evidence: {DELIVERY_FOLDER.name}/{evidence.name}.md, .json")
    if evidence.outcome != "delivered":
        sys.exit(1)


def write_text(stack: NamedStack, name: str, text: str) -> None:
    """Write a text about a stack into ``.delivery/``, without secrets."""
    DELIVERY_FOLDER.mkdir(exist_ok=True)
    (DELIVERY_FOLDER / name).write_text(Redaction(secrets_of(stack)).text(text))


def _cell(value: Any) -> str:
    """A value as the text of a table's cell."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> str:
    """The commit that is delivered, with a note if the working tree has changes or only a variable names it."""
    try:
        head = git("rev-parse", "HEAD")
        return head + (" with uncommitted changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        for name in COMMIT_VARIABLES:
            if value := os.environ.get(name):
                return f"{value} by {name}, in no git checkout"
        fail(
            f"{HOME} is not a git checkout (or there is no git), and {' and '.join(COMMIT_VARIABLES)} are not set:"
            " the evidence would not say which commit was delivered. Set one of them to the commit."
        )


def git(*words: str) -> str:
    """The output of a git command in this tree."""
    done = subprocess.run(["git", *words], cwd=HOME, capture_output=True, text=True, check=True)
    return done.stdout.strip()
