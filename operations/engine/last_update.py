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
from operations.engine.wire import SIGNATURE

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
    content = json.dumps(_content(state["deployment"]), sort_keys=True)
    return {
        "state": hashlib.sha256(content.encode()).hexdigest(),
        "program": _digest_of_program(stack.file),
    }


def _content(deployment: dict[str, Any]) -> dict[str, Any]:
    """What an update of plain Pulumi that changes nothing leaves as it is.

    It writes another time into the manifest, resources and dependencies in the order in which they came, and secrets encrypted
    again. What a secret input is, the preview compares.
    """
    content = {name: _unordered(value) for name, value in deployment.items() if name != "manifest"}
    content["resources"].sort(key=lambda each: json.dumps(each, sort_keys=True))
    return content


def _unordered(value: Any) -> Any:
    if isinstance(value, dict):
        if SIGNATURE in value and "ciphertext" in value:
            return "secret"
        return {name: _unordered(each) for name, each in value.items()}
    if isinstance(value, list) and all(str(each).startswith("urn:pulumi:") for each in value):
        return sorted(value)
    return [_unordered(each) for each in value] if isinstance(value, list) else value


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
