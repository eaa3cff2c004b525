"""Refuses a model that the platform could not serve, before anything is built.

The check itself is `model_server.model_check`: it runs in a process of its own, once for each model and contract. What it
found fit is remembered in the model store, so a second run only reads the files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pulumi

from config.model_store import Artifact

LAMBDA = Path(__file__).resolve().parents[1] / "lambda"
FEATURES = LAMBDA / "gateway" / "features.json"
SERVER = LAMBDA / "model_server"
CHECKERS = (SERVER / "model_check.py", SERVER / "encoder.py", SERVER / "requirements.txt")
"""What the verdict depends on besides model and contract: the rules, and the pinned runtime."""
CHECKED = "checked"
"""The folder of the model store with an empty file for each model that was found fit."""


def contract() -> dict[str, Any]:
    """The contract of the platform's model, as `model_server.model_check.Contract` has it."""
    features = json.loads(FEATURES.read_bytes())
    return {name: features[name] for name in ("fields", "example")}


def refuse_unfit_model(artifact: Artifact, wanted: Mapping[str, Any] | None = None) -> None:
    """Raise `pulumi.RunError`, with all reasons, unless the artifact is a model that fits the contract."""
    file = artifact.directory / "model.onnx"
    document = json.dumps(contract() if wanted is None else wanted).encode()
    packed = artifact.directory / "model.tar.gz"
    try:
        content = file.read_bytes()
        # A version out of another cloud's lake has none until `model_server complete` packs it again.
        archive = packed.read_bytes() if packed.exists() else None
    except OSError as error:
        raise _refusal(file, f"{error.filename} cannot be read: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != artifact.version:
        raise _refusal(file, f"It is damaged, or another file: its SHA-256 is {digest}")
    parts = [content, archive or b"", document, *(each.read_bytes() for each in CHECKERS)]
    key = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in parts)).hexdigest()
    remembered = artifact.directory.parents[1] / CHECKED / key
    if remembered.exists():
        return
    if archive is not None and _packed_model(archive) != content:  # SageMaker serves this one
        raise _refusal(file, "model.tar.gz beside it does not hold this file alone")
    if reasons := _reasons(file.resolve(), document):
        raise _refusal(file, "\n  ".join(reasons))
    try:
        remembered.parent.mkdir(exist_ok=True)
        remembered.touch()
    except OSError:
        pass  # a store that cannot be written to, or a full disk: the next run checks again


def _packed_model(archive: bytes) -> bytes | None:
    """The content of `model.onnx` in an archive that has nothing else."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            (entry,) = tar.getmembers()
            packed = tar.extractfile("model.onnx") if entry.name == "model.onnx" else None
            return packed.read() if packed else None
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError, zlib.error):
        return None


def _reasons(file: Path, document: bytes) -> list[str]:
    """What is wrong with the model, a line for each rule."""
    if find_spec("onnxruntime") is None:
        return [
            "It was not checked yet, and the check needs packages that are not installed here. Do:"
            f" {sys.executable} -m pip install -r lambda/model_server/requirements.txt"
        ]
    with tempfile.TemporaryDirectory(prefix="triplane-model-") as folder:
        wanted = Path(folder) / "contract.json"
        wanted.write_bytes(document)
        empty = Path(folder) / "empty"
        empty.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "model_server.model_check", str(file), str(wanted)],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(LAMBDA)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return [
            f"loading: the check ended with status {done.returncode}, as a process does that is killed or needs too much memory or"
            f" time ({last}). Wanted: a model that loads and answers within the limits of the contract"
        ]
    return [
        f"{each['rule']}: {each['found']}\n      Wanted: {each['wanted']}."
        for each in json.loads(done.stdout)["defects"]
    ]


def _refusal(file: Path, reasons: str) -> pulumi.RunError:
    return pulumi.RunError(
        f"{file} is no model that this platform can serve. Nothing was created or changed.\n\n  {reasons}\n\n"
        "Serve another version (triplane:model in the stack file), or train one again: make train. What a model must be:"
        " docs/reference/model.md"
    )
