"""A new folder models/<name>/: a small complete example, or an ONNX file with a contract drafted from its graph."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from config.model_contract import BadContract, ModelDefinition, model_definition, name_problem

TEMPLATE = Path(__file__).resolve().parent / "template"


class Refused(Exception):
    """No folder was made; the message says why."""

    def __str__(self) -> str:
        return f"{super().__str__()}\nNo folder was made."

    @property
    def reason(self) -> str:
        """Why, and no more."""
        return super().__str__()


def refuse_taken(name: str, models: Path) -> None:
    """Raise Refused, unless a model can have this name."""
    if not name:
        raise Refused("NAME is missing: NAME=churn, say.")
    if problem := name_problem(name):
        raise Refused(f"NAME={name}: {problem}")
    if (models / name).exists():
        raise Refused(
            f"NAME={name}: models/{name}/ exists, and stays as it is. Choose another name."
        )


def from_template(name: str, models: Path) -> str:
    """Write the example; returns what to do next. Raises Refused."""
    refuse_taken(name, models)
    title = name.replace("-", " ").capitalize()
    files = {
        file.name: file.read_text("utf-8").replace("TITLE", title).replace("NAME", name)
        for file in sorted(TEMPLATE.iterdir())
        if file.is_file()
    }
    write(name, models, {each: text.encode() for each, text in files.items()})
    return f"models/{name}/ is a complete example: contract, data and training.\n{next_steps(name)}"


def next_steps(name: str) -> str:
    """How a folder becomes a model that is served, beside those that are."""
    return (
        f"Train it:\n  make train MODEL={name}\n"
        "To serve it, add this line to Pulumi.dev.yaml, below triplane:models: and beside the models that are there:\n"
        f"    {name}: champion\n"
        "Then bring the stack up:\n  make up"
    )


def open_places(folder: Path) -> dict[str, int]:
    """How many lines of each file of a folder still have what a person has to fill in."""
    files = [folder / "model.toml", *sorted(folder.glob("*.py"))]
    counts = {each.name: each.read_text("utf-8").count("TODO") for each in files}
    return {name: count for name, count in counts.items() if count}


def definition(folder: Path) -> ModelDefinition:
    """The definition of a folder that is being made. Raises Refused."""
    try:
        return model_definition(folder)
    except BadContract as error:
        raise Refused(str(error)) from None


def write(name: str, models: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of a model, whole or not at all. Raises Refused if its contract is wrong."""
    models.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=models) as parent:
        folder = Path(parent) / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        definition(folder)
        shutil.move(folder, models / name)
