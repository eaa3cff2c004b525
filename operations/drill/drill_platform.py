"""The platform on one cloud, in the drill's own rehearsal: its commands, its data, and its destruction."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from components.contracts import Zone
from operations.data.state_copy import lake_of, state_copy_name
from operations.engine import gateway, previews
from operations.engine.installation import HOME, PYTHON
from operations.engine.rehearsed_stack import RehearsedStack
from rehearsal import supervisor

FOLDER = HOME / ".drill"
CAPTURES = 5
"""Requests sent to each model before each disaster. Each of them adds a capture to the lake."""


class DrillPlatform:
    """The platform on one cloud, as a separate stack."""

    def __init__(self, cloud: str) -> None:
        self.cloud = cloud
        self.stack = RehearsedStack.copy_of_dev(f"drill-{cloud}", {"triplane:cloud": cloud})

    @property
    def backup(self) -> Path:
        """The folder of `make backup`."""
        return FOLDER / f"backup-{self.cloud}"

    # What an engineer does

    def make(self, target: str, *, fails: bool = False, **settings: str) -> str:
        """Run what ``make TARGET`` runs, on this stack, in a process of its own; returns what it printed.

        Raises SystemExit with that unless the command fails or succeeds as expected.
        """
        done = subprocess.run(
            [str(PYTHON), "-m", "operations.drill.command", target, self.cloud],
            cwd=HOME,
            env={**os.environ, "BACKUP": str(self.backup), "PYTHONPATH": str(HOME), **settings},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
        )
        if (done.returncode != 0) != fails:
            raise SystemExit(f"{done.stdout}\nmake {target} exited with {done.returncode}")
        return done.stdout

    def predict(self) -> bytes:
        """The bytes of each model's answer about its example; tried for two minutes."""
        deadline = time.monotonic() + 120
        while True:
            try:
                answers = gateway.predicted_bytes(self.stack, self.stack.outputs())
                return b"\n".join(answers.values())
            except SystemExit:  # a refusal, such as of a key that was just made again
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def add_captures(self) -> set[str]:
        """Send requests and wait until the lake has a capture of each; returns the names of all captures."""
        models = len(gateway.served_versions(self.stack.outputs()))
        expected = len(self.captures()) + CAPTURES * models
        for _ in range(CAPTURES):
            self.predict()
        deadline = time.monotonic() + 60
        while len(found := self.captures()) < expected:
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(found)} captures, {expected} expected")
            time.sleep(0.3)
        return found

    def captures(self) -> set[str]:
        """The names of the captures in the lake."""
        lake = lake_of(self.stack)
        return set(lake.names(f"{Zone.CAPTURES}/")) if lake else set()

    def resource_ids(self) -> set[tuple[str, str]]:
        """URNs and ids in the state, of what exists in the cloud. A random key exists in the state only."""
        return {
            (each["urn"], each["id"])
            for each in self.stack.resources()
            if each.get("id")
            and not each["type"].startswith("pulumi:")
            and "RandomKey" not in each["type"]
        }

    def would_change(self) -> bool:
        """Whether another update would change anything."""
        return any(step["op"] != "same" for step in self.stack.preview_steps("preview"))

    def has_drifted(self) -> bool:
        """Whether a refresh would find a difference."""
        return bool(previews.drift(self.stack.cli.refresh_steps()))

    # What a disaster does

    def destroy_resources(self, **which: str) -> list[str]:
        """Have the rehearsal lose resources of this stack, all of them by default; returns their names."""
        return self._control("lose", which)

    def change_resource(self, token: str, inputs: dict[str, Any]) -> list[str]:
        """Have the rehearsal change inputs of this stack's resources of a type; returns their names."""
        return self._control("change", {"on": token, "inputs": inputs})

    def _control(self, verb: str, body: dict[str, Any]) -> list[str]:
        answer = supervisor.request(
            supervisor.state_folder(HOME),
            f"/_api/{verb}",
            "POST",
            {"stack": self.stack.name, **body},
        )
        return list(next(iter(answer.values())))

    def delete_state(self) -> None:
        """Delete the stack's state, with the copies and the history that Pulumi has beside it."""
        for found in self.stack.state_file.parents[2].rglob(f"{self.stack.name}*"):
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)

    def files_with(self, secret: str) -> list[Path]:
        """The files of backups, of Pulumi and of the rehearsal that have a text in clear."""
        folders = (FOLDER, HOME / ".pulumi")
        files = (each for folder in folders for each in folder.rglob("*") if each.is_file())
        return [each for each in files if secret.encode() in each.read_bytes()]

    def alter_state_copy(self) -> None:
        """Change the copy of the state in the lake, as somebody who may write there and has no secret of the stack."""
        name = state_copy_name(self.stack.name)
        lake = lake_of(self.stack)
        copy = lake.read(name) if lake else None
        if lake is None or copy is None:
            raise SystemExit(f"the lake of stack {self.stack.name} has no {name}")
        state = json.loads(copy)
        state["deployment"]["resources"].pop()
        lake.write(name, json.dumps(state).encode())
