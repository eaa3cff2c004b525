"""Refuses a model that the platform could not serve, before anything is built.

The check itself is `model_server.model_check`: it runs in a process of its own, once for each version. What it
found fit is remembered in the model store, so a second run only reads the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pulumi

from config.made_artifacts import archive_holds
from config.model_contract import BadContract, checked_document, version_of, version_text
from config.model_store import Artifact

LAMBDA = Path(__file__).resolve().parents[1] / "lambda"
SERVER = LAMBDA / "model_server"
CHECKERS = (*sorted(SERVER.glob("*.py")), SERVER / "requirements.txt")
"""What the verdict depends on besides model and contract: the rules, and the pinned runtime."""
CHECKED = "checked"
"""The folder of the model store with an empty file for each model that was found fit."""


def refuse_unfit_models(artifacts: Iterable[Artifact], *limits: str) -> None:
    """Raise `pulumi.RunError`, with all reasons, unless each artifact is a model that answers as its contract describes.

    ``limits``: those of the check's command line, in place of its own. A model's own image is not checked: `make check-image`
    does that, against a running container.
    """
    refusals: list[str] = []
    unchecked: dict[Path, Artifact] = {}
    for artifact in artifacts:
        if artifact.image:
            continue
        try:
            verdict = _verdict_file(artifact)
            if not verdict.exists():
                _refuse_other_contract(artifact)
                unchecked[verdict] = artifact
        except _Unfit as error:
            refusals.append(_refusal(artifact, str(error)))
    found = _reasons([each.directory.resolve() for each in unchecked.values()], limits)
    for (verdict, artifact), reasons in zip(unchecked.items(), found, strict=True):
        if reasons:
            refusals.append(_refusal(artifact, "\n  ".join(reasons)))
            continue
        try:
            verdict.parent.mkdir(exist_ok=True)
            verdict.touch()
        except OSError:
            pass  # a store that cannot be written to, or a full disk: the next run checks again
    if refusals:
        raise pulumi.RunError("\n\n".join(refusals))


class _Unfit(Exception):
    """The files of an artifact are no model; the message is the reason."""


def _verdict_file(artifact: Artifact) -> Path:
    """The file that exists if this artifact was found fit. Raises _Unfit for files that are not those of the version."""
    file = artifact.directory / "model.onnx"
    packed = artifact.directory / "model.tar.gz"
    try:
        model = file.read_bytes()
        contract = file.with_name("contract.json").read_bytes()
        written = file.with_name("version.txt").read_bytes()
        # A version out of another cloud's lake has none until it is packed again.
        archive = packed.read_bytes() if packed.exists() else b""
    except OSError as error:
        raise _Unfit(f"{error.filename} cannot be read: {error.strerror}") from None
    text = version_text(contract, model)
    version = version_of(text)
    if version != artifact.version:
        found = f"the version of model.onnx and contract.json is {version}"
        raise _Unfit(f"It or the contract beside it is damaged, or of another model: {found}")
    if written != text.encode():  # the gateway would refuse the contract with it
        raise _Unfit("version.txt beside it is damaged, or of another model")
    seen = [artifact.name.encode(), version.encode(), archive]
    parts = [*seen, *(each.read_bytes() for each in CHECKERS)]
    key = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in parts)).hexdigest()
    return artifact.directory.parents[1] / CHECKED / key


def _refuse_other_contract(artifact: Artifact) -> None:
    """Raise _Unfit for a contract that is none, or another model's, and for an archive with other files."""
    names = ("contract.json", "model.onnx")
    files = {name: (artifact.directory / name).read_bytes() for name in names}
    packed = artifact.directory / "model.tar.gz"
    if packed.exists() and not archive_holds(packed, files):  # SageMaker serves this one
        raise _Unfit("model.tar.gz beside it does not hold it and its contract.json alone")
    try:
        name = checked_document(json.loads(files["contract.json"]), "contract.json")["name"]
    except BadContract as error:
        raise _Unfit(str(error).replace("\n", "\n  ")) from None
    except (RecursionError, ValueError) as error:
        raise _Unfit(f"contract.json: no JSON: {error}") from None
    if name != artifact.name:
        raise _Unfit(
            f"It is a version of {name}, not of {artifact.name}, by the contract beside it"
        )


def _reasons(folders: Sequence[Path], limits: Sequence[str]) -> list[list[str]]:
    """What is wrong with each model, a line for each rule."""
    if not folders:
        return []
    if find_spec("onnxruntime") is None:
        advice = (
            "It was not checked yet, and the check needs packages that are not installed here. Do:"
            f" {sys.executable} -m pip install -r lambda/model_server/requirements.txt"
        )
        return [[advice]] * len(folders)
    with tempfile.TemporaryDirectory(prefix="triplane-model-") as empty:
        done = subprocess.run(
            [sys.executable, "-m", "model_server.model_check", *limits, *map(str, folders)],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(LAMBDA)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    found = [
        [f"{each['rule']}: {each['found']}\n      Wanted: {each['wanted']}." for each in defects]
        for defects in map(json.loads, done.stdout.splitlines())
    ]
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        ended = (
            f"loading: the check ended with status {done.returncode}, as a process does that is killed or needs too much memory or"
            f" time ({last}). Wanted: a model that loads and answers within the limits of an instance"
        )
        # Those after it were not reached.
        return [*found, [ended], *_reasons(folders[len(found) + 1 :], limits)]
    return found


def _refusal(artifact: Artifact, reasons: str) -> str:
    return (
        f"{artifact.directory / 'model.onnx'} is no model that this platform can serve. Nothing was created or"
        f" changed.\n\n  {reasons}\n\nServe another version (triplane:models in the stack file), or train one again: make train"
        f" MODEL={artifact.name}. What a model must be: docs/reference/model.md"
    )
