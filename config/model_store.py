"""The local model store, and the artifact in it that a stack names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationInfo


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A trained model in the local model store, addressed by its content."""

    name: str
    version: str
    """SHA-256 of ``model.onnx``, 64 hexadecimal digits."""
    directory: Path
    """Contains ``model.onnx``, ``card.json`` and ``model.tar.gz`` (only the model, packed reproducibly)."""

    @property
    def prefix(self) -> str:
        """The artifact's path in the lake's models zone: ``<name>/<version>``."""
        return f"{self.name}/{self.version}"


STORE = Path(__file__).resolve().parents[1] / ".models"
MODEL = "flight-delay"


def artifact_of_version(version: object, info: ValidationInfo) -> Artifact:
    """The artifact in the local model store for ``champion``, a version, or the beginning of one.

    The store is `STORE`, or another one from the validation's context. Raises ValueError.
    """
    store = Path((info.context or {})["store"]) / MODEL
    cards = store.glob("*/card.json")
    versions = sorted(card.parent.name for card in cards)
    if not versions:
        raise ValueError(f"The model store {store.parent.name}/ is empty. Do: make train")
    listed = f"There are: {', '.join(v[:12] for v in versions)}. Another one: make train MONTHS=1-6"
    if version == "champion":
        champion = store / "champion"
        if not champion.exists():
            raise ValueError(
                f"No champion is chosen. Do: make train, or name a version here. {listed}"
            )
        version = champion.read_text().strip()
    elif not isinstance(version, str) or not re.fullmatch(r"[0-9a-f]{8,64}", version):
        raise ValueError(
            "Allowed: champion, or a version's SHA-256 or its first 8 or more hexadecimal digits"
            f" in lower case (in quotes when they are all decimal). {listed}"
        )
    found = [v for v in versions if v.startswith(version)]
    if len(found) != 1:
        many = f"{len(found)} model versions begin like this; write more digits." if found else ""
        raise ValueError(f"{many or 'No such model version.'} {listed}")
    return Artifact(name=MODEL, version=found[0], directory=store / found[0])
