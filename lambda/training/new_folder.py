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
    return (
        f"models/{name}/ is a complete example: contract, data and training.\n"
        f"  make train MODEL={name}   trains it\n"
        f"  triplane:models: {{{name}: champion}}   in Pulumi.dev.yaml serves it, with make up"
    )


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
