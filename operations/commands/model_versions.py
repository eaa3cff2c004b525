"""Which model a platform serves that is built from another one's data: the very version that served there."""

from __future__ import annotations

import os
import subprocess

from components.contracts import Zone
from config.model_store import MODEL, STORE
from config.schema import StackConfig
from operations.data.folder_lake import FolderLake
from operations.data.lake import Lake
from operations.engine import cloud_errors
from operations.engine.installation import HOME, PYTHON
from operations.engine.stack import NamedStack
from operations.terminal import fail, waiting


def copy_models(source: Lake, champion: str | None) -> bool:
    """Copy the models that this clone does not have: the platform is built with one of them. False if the source has none.

    ``champion``: the version that becomes it in a clone that has none.
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
    chosen = STORE / MODEL / "champion"
    if champion and not chosen.exists() and (STORE / MODEL / champion).is_dir():
        chosen.write_text(f"{champion}\n")
    # Google Cloud's lake has no archives, and AWS wants them.
    path = {"PYTHONPATH": str(HOME / "lambda")}
    command = [str(PYTHON), "-m", "model_server", "complete", "--store", str(STORE)]
    if subprocess.run(command, cwd=HOME, env={**os.environ, **path}).returncode:
        fail(f"The models in {STORE} could not be completed; the reason is above.")
    return True


def _copied_models(source: Lake) -> int:
    """How many files of models the source has; those that are missing here are copied."""
    store, found = FolderLake(STORE), 0
    existing = set(store.names())
    for name in source.names(f"{Zone.MODELS}/"):
        file = name.removeprefix(f"{Zone.MODELS}/")
        found += 1
        if file and file not in existing and (data := source.read(name)) is not None:
            store.write(file, data)
    return found


def other_model(stack: NamedStack, config: StackConfig, served: str | None) -> list[str]:
    """Reasons to refuse: the settings name another model version than the one that served."""
    wanted = config.artifact.version
    if served in (None, wanted):
        return []
    return [
        f"the platform served model {served}, and the settings of stack {stack.name} name {wanted}, which predicts"
        f" otherwise. Nothing was changed. Set `triplane:model: {served}` in {stack.edited.name}"
    ]
