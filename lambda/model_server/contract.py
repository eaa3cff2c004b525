"""The contract of a model, as `config/model_contract.py` writes it into ``contract.json`` beside ``model.onnx``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_server.defects import Defect, UnfitModel

Field = Mapping[str, Any]
"""A field of a contract document."""


@dataclass(frozen=True)
class Contract:
    """What the model server needs of a contract document."""

    name: str
    fields: Sequence[Field]
    answer: Mapping[str, Any]
    example: Mapping[str, Any]

    @classmethod
    def read(cls, content: bytes) -> Contract:
        """The contract in a file. Raises UnfitModel."""
        try:
            document = json.loads(content)
            found = cls(*(document[name] for name in cls.__dataclass_fields__))
            names = [(each["name"], each["type"], each["required"]) for each in found.fields]
            if not (
                names and isinstance(found.name, str) and isinstance(found.answer["kind"], str)
            ):
                raise ValueError("it has no field, no name or no kind of an answer")
            return found
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            reason = f"contract.json cannot be read ({type(error).__name__}: {error})"
            wanted = "the document that a model's model.toml gives (make train writes it)"
            raise UnfitModel([Defect("contract", reason, wanted)]) from error


def version(contract: bytes, model: bytes) -> str:
    """The version of a model: the SHA-256 of what `sha256sum contract.json model.onnx` prints."""
    files = {"contract.json": contract, "model.onnx": model}
    lines = [f"{hashlib.sha256(each).hexdigest()}  {name}\n" for name, each in files.items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
