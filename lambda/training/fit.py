"""``python -m training.fit FOLDER WORK``: what a model's own code does, in the environment that has its packages.

WORK has `contract.json`, `settings.json` and the name of the folder of known recipes in `known`. This process adds
`recipe`; unless that is known, it trains, and adds `model.onnx` and `card.json`. It uses nothing of the platform's
packages. Exit status 2: the model's code refuses a setting, or does not fit its contract; stderr has the reason.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from training.interface import BadSetting, Contract, DoesNotFit, Trained

HERE = Path(__file__).resolve().parent
BASE = HERE / "requirements.in"
"""The packages that a training has without an environment of its own."""
SHARED_CODE = (
    *(HERE.parent / "model_server" / f"{name}.py" for name in ("encoder", "images", "readings")),
    HERE / "exporters.py",
)
"""A model may encode with the server's own code, and export with the platform's."""
NOT_CODE = {"README.md", "model.toml"}
"""Files of a folder that change no model: what counts of model.toml, contract and settings, counts by itself."""
REFUSED = 2


class BadModelCode(Exception):
    """The model's folder does not keep the interface; the message says what is missing."""


def module(folder: Path, name: str) -> ModuleType:
    """A module of a model's folder, which may import its siblings by their plain names."""
    if not (folder / f"{name}.py").is_file():
        raise BadModelCode(f"models/{folder.name}/{name}.py: there is none. {WANTED[name]}")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    found = importlib.import_module(name)
    function = {"data": "load", "train": "train"}[name]
    if not callable(getattr(found, function, None)):
        raise BadModelCode(
            f"models/{folder.name}/{name}.py: it has no function {function}. {WANTED[name]}"
        )
    return found


WANTED = {
    "data": "It needs load(contract), which returns what train.py reads (lambda/training/interface.py).",
    "train": "It needs train(data, contract, settings), which returns Trained (lambda/training/interface.py).",
}


def libraries(folder: Path) -> dict[str, str]:
    """The versions of the packages that training with this folder may use: all of an environment of its own."""
    if (folder / "requirements.txt").is_file():
        found = {each.name: each.version for each in metadata.distributions()}
    else:
        names = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", BASE.read_text(), re.M)
        found = {name: metadata.version(name) for name in names}
    return {name: found[name] for name in sorted(found, key=str.lower)}


def code_digest(folder: Path) -> str:
    """SHA-256 over the folder's files, and the code that it may share. Data that is in the folder counts, too."""
    files = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*"))}
    total = hashlib.sha256()
    for name, file in {**files, **{each.name: each for each in SHARED_CODE}}.items():
        hidden = any(part.startswith((".", "__")) for part in Path(name).parts)
        if file.is_file() and not hidden and name not in NOT_CODE:
            total.update(hashlib.sha256(name.encode()).digest())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def recipe(
    folder: Path, contract: Mapping[str, Any], settings: Mapping[str, Any], data: str
) -> str:
    """The hash of everything that determines the bytes of a model, computed without a slow import."""
    parts = [contract, settings, data, code_digest(folder), libraries(folder)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def code_version(folder: Path) -> str | None:
    """Git's id of the folder's content, marked if the folder has uncommitted changes.

    Not the last commit that changed it: to a clone of depth 1, as pipelines make it, each commit changed everything,
    so each merge would upload another card for the same model. `git log -t --find-object=<id>` finds the commits.
    https://git-scm.com/docs/git-rev-parse#Documentation/git-rev-parse.txt-revpathegHEADREADMEmasterREADME
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".")
        return git("rev-parse", "HEAD:./") + ("+changes" if changed else "")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def fitted(
    folder: Path, document: Mapping[str, Any], settings: Mapping[str, Any], work: Path
) -> None:
    """Train, and write the model and its card."""
    # On a busy machine OpenMP's threads spin while they wait for each other, which takes twice the time or more.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    contract = Contract(document)
    data, train = module(folder, "data"), module(folder, "train")
    trained = train.train(data.load(contract), contract, settings)
    if not isinstance(trained, Trained) or not isinstance(trained.model, bytes):
        raise BadModelCode(
            f"models/{folder.name}/train.py: train returned {type(trained).__name__}. {WANTED['train']}"
        )
    card: dict[str, Any] = {
        "question": contract.question,
        "settings": dict(settings),
        "holdout": dict(trained.metrics),
        "baseline": dict(trained.baseline),
        **trained.card,
        "libraries": libraries(folder),
        "git_tree": code_version(folder),
    }
    try:
        text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False, default=_number)
    except (TypeError, ValueError) as error:
        raise BadModelCode(
            f"models/{folder.name}/train.py: metrics, baseline and card have to be JSON: {error}."
        ) from None
    (work / "model.onnx").write_bytes(trained.model)
    (work / "card.json").write_text(text + "\n", "utf-8")


def _number(value: Any) -> Any:
    """A number of numpy as Python's."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is none of its types")


def _end_with_the_command() -> None:
    """End when the command ends that started this process, however it ends: it holds the other end of stdin."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock would outlive the interpreter
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    _end_with_the_command()
    folder, work = map(Path, sys.argv[1:3])
    document = json.loads((work / "contract.json").read_bytes())
    settings = json.loads((work / "settings.json").read_bytes())
    known = Path((work / "known").read_text())
    try:
        digest = getattr(module(folder, "data"), "digest", str)
        key = recipe(folder, document, settings, digest())
        (work / "recipe").write_text(key)
        if not (known / key).is_file():
            fitted(folder, document, settings, work)
    except (BadSetting, BadModelCode) as error:
        print(error, file=sys.stderr)
        sys.exit(REFUSED)
    except DoesNotFit as error:
        reason = str(error).rstrip(".")
        print(
            f"models/{folder.name}/train.py and model.toml do not fit together: {reason}.\nCorrect whichever is wrong.",
            file=sys.stderr,
        )
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
