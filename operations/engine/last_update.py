"""Whether an update would only write the state again that the last one has written.

A preview shows what changes in the cloud. What changes in the state alone (`retain_on_delete`, `protect`, a dependency) it does
not show: that follows from the program and its settings. So both must be those of the last successful update, and the state, too.
"""

from __future__ import annotations

import hashlib
import json
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from config.files import write_private
from operations.engine.installation import HOME
from operations.engine.previews import Step
from operations.engine.stack import Stack

PROGRAM = ("Pulumi.yaml", "__main__.py", "config/**/*", "components/**/*")
"""What determines the resources' options. What else the program reads (the models, the images' folders) are inputs."""


def is_current(stack: Stack, state: dict[str, Any], steps: Sequence[Step]) -> bool:
    """Whether this preview of this state changes nothing, and nothing else has changed since the last update."""
    if any(step["op"] != "same" for step in steps):
        return False
    try:
        return bool(json.loads(_record(stack).read_text()) == _digests(stack, state))
    except (FileNotFoundError, ValueError):
        return False


def remember(stack: Stack, state: dict[str, Any]) -> None:
    """Note that an update has succeeded, and has written this state."""
    write_private(_record(stack), json.dumps(_digests(stack, state)))


def _record(stack: Stack) -> Path:
    return stack.runs / f"updated-{stack.name}.json"


def _digests(stack: Stack, state: dict[str, Any]) -> dict[str, str]:
    # The manifest has the time at which the state was written, also of an update that changed nothing.
    content = {name: value for name, value in state["deployment"].items() if name != "manifest"}
    return {
        "state": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        "program": _digest_of_program(stack.file),
    }


def _digest_of_program(settings: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([*_program_files(), settings]):
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    # Of an installed package its version is enough: it is in the name of a folder.
    for folder in sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info")):
        digest.update(f"{folder.name}\0".encode())
    return digest.hexdigest()


def _program_files() -> Iterator[Path]:
    for pattern in PROGRAM:
        for path in HOME.glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
