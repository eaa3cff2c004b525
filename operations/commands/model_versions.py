"""Which models a platform serves that is built from another one's data: the very versions that served there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from components.contracts import Zone
from config.model_contract import name_problem
from config.model_store import CARD, CHAMPION, CONTRACT, STORE
from config.schema import StackConfig
from operations.commands.preparation import training_environment
from operations.data.folder_lake import FolderLake
from operations.data.lake import Lake
from operations.engine import cloud_errors
from operations.engine.gateway import different_versions
from operations.engine.installation import HOME, PYTHON
from operations.engine.stack import NamedStack
from operations.terminal import fail, waiting

FILE_OF_VERSION = re.compile(r"(?P<folder>(?P<name>[^/]+)/[0-9a-f]{64})/(?P<file>[^/]+)")
"""A file in the lake's zone of models, of a model's version or of a bundle's."""


def copy_models(source: Lake, champions: Mapping[str, str]) -> bool:
    """Copy the models that this clone does not have: the platform is built with them. False if the source has none.

    ``champions``: by model, the version that becomes its champion in a clone that has none.
    """
    try:
        with waiting("the models in the lake"):
            found = _copied_models(source)
    except (
        Exception
    ) as error:  # a full disk, an expired login: each cloud's client has errors of its own
        fail(
            f"The models could not be copied to {STORE}: {cloud_errors.reason_of_stop(error)}\nNothing else was changed."
        )
    if not found:
        return False
    for model, version in champions.items():
        chosen = STORE / model / CHAMPION
        if not chosen.exists() and (STORE / model / version).is_dir():
            chosen.write_text(f"{version}\n")
    # Google Cloud's lake has no archives, and AWS wants them.
    command = [str(PYTHON), "-m", "training", "complete", "--store", str(STORE)]
    if subprocess.run(command, cwd=HOME, env=training_environment()).returncode:
        fail(f"The models in {STORE} could not be completed; the reason is above.")
    return True


def _copied_models(source: Lake) -> int:
    """How many files of models the source has; those that are missing here are copied."""
    store, found = FolderLake(STORE), 0
    existing = set(store.names())
    for file in _files_of_models(source):
        found += 1
        if file not in existing and (data := source.read(f"{Zone.MODELS}/{file}")) is not None:
            store.write(file, data)
    return found


def _files_of_models(source: Lake) -> list[str]:
    """The files of the models' versions. A version has its contract or, of an earlier release, its card.

    The bundles of several models, which have neither beside their version.txt, are left out: a deployment makes them.
    """
    names = (each.removeprefix(f"{Zone.MODELS}/") for each in source.names(f"{Zone.MODELS}/"))
    matches = [match for name in names if (match := FILE_OF_VERSION.fullmatch(name))]
    versions = {each["folder"] for each in matches if each["file"] in (CONTRACT, CARD)}
    return [
        each[0] for each in matches if each["folder"] in versions and not name_problem(each["name"])
    ]


def selected_versions(config: StackConfig) -> dict[str, str]:
    """The version of each model that the settings and the model store select."""
    return {each.name: each.version for each in config.artifacts}


def other_models(stack: NamedStack, config: StackConfig, served: Mapping[str, str]) -> list[str]:
    """Reasons to refuse: the settings name other models or versions than those that served. ``served`` may be empty:
    nobody knows then."""
    wanted = selected_versions(config)
    if not served or wanted == served:
        return []
    lines = "\n".join(f"    {name}: {version}" for name, version in sorted(served.items()))
    return [
        f"the settings of stack {stack.name} name other models than served: {different_versions(wanted, served)}. Another"
        f" version predicts otherwise. Nothing was changed. In {stack.edited.name} set\n  triplane:models:\n{lines}\n "
    ]
