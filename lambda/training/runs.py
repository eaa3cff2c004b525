"""A training from the platform's side: settings in, a checked version in the store out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi

from config.messages import did_you_mean
from config.model_check import refuse_unfit_models
from config.model_contract import ModelDefinition, canonical_json, model_definition, name_problem
from config.model_store import CARD, CHAMPION, MODEL, MODELS, Artifact, model_folders
from config.stack_file import StackFile
from config.validation import refuse_wrong_models
from training import new_folder
from training.fit import REFUSED
from training.interface import print_progress
from training.store import ModelStore

HOME = Path(__file__).resolve().parents[2]
ENVIRONMENTS = HOME / ".venv" / "training"
"""Environments of models that have packages of their own."""


class NotTrained(Exception):
    """Nothing was trained; the message says why."""


def names(model: str) -> Sequence[str]:
    """The model, or those that the repository's stack file serves. Raises NotTrained for one that does not exist, and
    `pulumi.RunError` for a file that names its models wrongly."""
    if model:
        _refuse_unknown(model, f"MODEL={model}")
        return [model]
    file = StackFile.read(HOME / "Pulumi.dev.yaml")
    refuse_wrong_models(file)
    served = file.settings.get("triplane:models", {MODEL: CHAMPION})
    # What has an image of its own was trained elsewhere.
    trained = [
        str(name)
        for name, model in served.items()
        if not (isinstance(model, dict) and model.get("image"))
    ]
    for each in trained:
        _refuse_unknown(each, f"Pulumi.dev.yaml: triplane:models.{each}")
    return trained


def _refuse_unknown(model: str, place: str) -> None:
    existing = model_folders()
    if model not in existing:
        new = "" if name_problem(model) else f" For a new one: make model NAME={model}."
        raise NotTrained(
            f"{place}: no such model.{did_you_mean(model, existing)} There are: {', '.join(existing)}.{new}"
        )


def written_settings(assignments: str, months: str) -> dict[str, str]:
    """The settings of ``"months=1-6 seed=2"``. Raises NotTrained."""
    written = {"months": months} if months else {}
    for each in assignments.split():
        name, equals, value = each.partition("=")
        if not equals or not name or not value:
            raise NotTrained(
                f'SET="{assignments}": {each} is no setting. Write SET="name=value name=value".'
            )
        if name in written:
            raise NotTrained(f'SET="{assignments}": {name} is written twice.')
        written[name] = value
    return written


def chosen_settings(definition: ModelDefinition, written: Mapping[str, str]) -> dict[str, Any]:
    """The model's settings with those that were written in place of their defaults. Raises NotTrained."""
    defaults = definition.settings
    chosen: dict[str, Any] = dict(defaults)
    for name, text in written.items():
        if name not in defaults:
            there = f"It has: {', '.join(defaults)}." if defaults else "It has none."
            raise NotTrained(
                f"{name}={text}: the model {definition.name} has no such setting in [training].{did_you_mean(name, list(defaults))} {there}"
            )
        kind = type(defaults[name])
        try:
            chosen[name] = kind(text)
        except ValueError:
            wanted = {int: "a whole number", float: "a number"}[kind]
            raise NotTrained(
                f"{name}={text}: {wanted} is needed, as {defaults[name]} is."
            ) from None
    return chosen


def train(name: str, store: ModelStore, written: Mapping[str, str], *, promote: bool | None) -> str:
    """Train a version, unless the store has it; returns the version. Raises NotTrained, BadContract.

    ``promote``: make it the champion; None: only if there is none yet.
    """
    definition = model_definition(MODELS / name)
    settings = chosen_settings(definition, written)
    contract = canonical_json(definition.document)
    with tempfile.TemporaryDirectory(prefix="triplane-training-") as folder:
        work = Path(folder)
        (work / "contract.json").write_bytes(contract)
        (work / "settings.json").write_text(json.dumps(settings))
        recipe = _run(definition, work, store.recipes)
        version = store.trained(name, recipe)
        if version is None and not (work / "model.onnx").exists():
            (store.recipes / recipe).unlink(
                missing_ok=True
            )  # its version was removed, or is damaged
            _run(definition, work, store.recipes)
        if version is None:
            card = json.loads((work / "card.json").read_bytes())
            version = _kept(store, name, contract, (work / "model.onnx").read_bytes(), card, recipe)
        else:
            print_progress(
                f"There is this version of {name} already: the same data, code, settings and packages give the same model."
            )
    print_progress(_summary(store, name, version))
    _promote(store, name, version, promote)
    if places := sum(new_folder.open_places(definition.folder).values()):
        print_progress(
            f"Warning: models/{name}/ has {places} places marked TODO, so the page, the API and the card say what was drafted and"
            " not what the model means. Fill them in and train again before anybody relies on it."
        )
    return version


def _summary(store: ModelStore, name: str, version: str) -> str:
    """What the card says of how good a version is, beside the simplest answer, and where the card is."""
    card = store.card(name, version)
    baseline = dict(card["baseline"])
    simple = baseline.pop("model", "the simplest answer")
    lines = [f"{name} {version[:12]}"]
    for title, figures in (("on data that it has not seen", card["holdout"]), (simple, baseline)):
        # A table of months or of confusions is for the card.
        shown = [
            f"{key} {value}" for key, value in figures.items() if not isinstance(value, dict | list)
        ]
        lines.append(f"  {title}: {', '.join(shown) or 'its training says nothing'}")
    file = store.root / name / version / CARD
    return "\n".join(
        [*lines, f"  card: {os.path.relpath(file) if file.is_relative_to(HOME) else file}"]
    )


def _run(definition: ModelDefinition, work: Path, known: Path) -> str:
    """Run the model's code; returns its recipe. Raises NotTrained."""
    (work / "known").write_text(str(known.resolve()))
    folder = definition.folder
    command = [str(_python(folder)), "-m", "training.fit", str(folder), str(work)]
    # The folder of packages that run in a cloud, alone: the model's environment has none of the platform's packages.
    environment = {**os.environ, "PYTHONPATH": str(HOME / "lambda")}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=sys.stderr
    ) as run:
        status = run.wait()  # its stdin stays open for as long as this process lives
    if status == REFUSED:
        raise NotTrained("The reason is above.")
    if status in (-signal.SIGINT, 130):
        raise KeyboardInterrupt
    if status:
        raise NotTrained(
            f"models/{folder.name}: its code ended with status {status}; the reason is above."
        )
    return (work / "recipe").read_text()


def _python(folder: Path) -> Path:
    """The interpreter that has the model's packages: this one, or that of an environment of its own."""
    file = folder / "requirements.txt"
    if not file.exists():
        return Path(sys.executable)
    digest = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()
    environment = ENVIRONMENTS / digest[:16]
    python, stamp = environment / "bin" / "python", environment / "complete"
    if not stamp.exists():
        print_progress(f"Installing models/{folder.name}/requirements.txt (once) ...")
        uv = str(Path(sys.executable).with_name("uv"))
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)],
            [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(file)],
        ):
            if subprocess.run(command).returncode:
                raise NotTrained(
                    f"models/{folder.name}/requirements.txt: its packages could not be installed; the reason is above."
                )
        stamp.touch()
    return python


def _kept(
    store: ModelStore,
    name: str,
    contract: bytes,
    model: bytes,
    card: Mapping[str, Any],
    recipe: str,
) -> str:
    """Keep a model that fits its contract; returns its version. Raises NotTrained for another one."""
    with store.draft(name, contract, model) as (version, folder):
        try:
            refuse_unfit_models([Artifact(name=name, version=version, directory=folder)])
        except pulumi.RunError as error:
            raise NotTrained(
                f"The model that {name}'s training gave does not fit models/{name}/model.toml, and was not kept.\n\n{reasons(error)}"
            ) from None
        return store.add(name, folder, card, recipe)


def reasons(error: pulumi.RunError) -> str:
    """What is wrong with a model, out of a message that also says what to do about a version in a store."""
    return re.sub(r"(?s)^.*?changed\.\n|\n\nServe another.*$", "", str(error)).strip("\n")


def _promote(store: ModelStore, name: str, version: str, promote: bool | None) -> None:
    """Make a version the champion, or say how it is served."""
    champion = store.champion(name)
    if promote or (promote is None and champion is None):
        store.promote(name, version)
        print_progress(
            f"{version[:12]} is the champion of {name}: the version that `champion` in a stack file serves."
        )
    elif champion and champion != version:
        print_progress(
            f"The champion of {name} is still {champion[:12]}. There are two ways to serve the new one. Promote it, with the same settings:\n"
            f"  make train MODEL={name} PROMOTE=1\n"
            f"Or name it in the stack file, in the line of {name} below triplane:models:\n"
            f'    {name}: "{version[:12]}"\n'
            "Then bring the stack up:\n  make up"
        )
