"""The local model store, and the artifacts in it that a stack names. What writes into it: lambda/training/."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.messages import did_you_mean

CHAMPION = "champion"
CONTRACT, MODEL_FILE, ARCHIVE, VERSION_FILE = (
    "contract.json",
    "model.onnx",
    "model.tar.gz",
    "version.txt",
)
CARD = "card.json"
SHARED = "shared"
"""The store's folder with the bundles: the artifacts of the endpoints that serve several models."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What one endpoint serves, or one of the models in it: files in the local model store, addressed by their content."""

    name: str
    """The model's; a bundle has its endpoint's."""
    version: str
    """SHA-256 of ``version.txt``, which has the hashes of contract and model (a bundle's: of its models' versions)."""
    directory: Path
    members: tuple[Artifact, ...] = ()
    """The models of a bundle, sorted by name."""
    image: str = ""
    """The model's own image, by digest, in the place of a ``model.onnx``."""
    contract: bytes = field(default=b"", repr=False)
    """With an own image: the content of ``contract.json``."""

    @property
    def prefix(self) -> str:
        """The artifact's path in the lake's models zone: ``<name>/<version>``."""
        return f"{self.name}/{self.version}"

    @property
    def files(self) -> dict[str, Path]:
        """The files by their paths inside the artifact. The archive has what a model server gets: contract and model."""
        if self.members:
            names = [f"{each.name}/{file}" for each in self.members for file in SERVED_FILES]
            names += [VERSION_FILE, ARCHIVE]
        elif self.image:
            names = [CONTRACT, VERSION_FILE, ARCHIVE]
        else:
            names = [MODEL_FILE, CONTRACT, VERSION_FILE, CARD, ARCHIVE]
        return {name: self.directory / name for name in names}


SERVED_FILES = (CONTRACT, MODEL_FILE)
"""What a model server gets of a model."""

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / ".models"
MODELS = ROOT / "models"
"""The folders of the models."""
MODEL = "flight-delay"
"""The model of the worked example, which a stack serves that names none."""


def stored_artifact(store: Path, model: str, version: str) -> Artifact:
    """The artifact of a model for ``champion``, a version, or the beginning of one.

    Raises ValueError, with what there is instead.
    """
    folder = store / model
    train = f"make train MODEL={model}"
    trained = {card.parent for card in folder.glob(f"*/{CARD}")}
    # What an earlier version of this repository trained has no contract beside it.
    former = {each for each in trained if not (each / VERSION_FILE).exists()}
    versions = sorted(each.name for each in trained - former)
    if not versions and former:
        raise ValueError(
            f"The versions of {model} in the model store {store.name}/ are of an earlier release and have no contract. Do: {train}"
        )
    if not versions:
        others = sorted({card.parts[-3] for card in store.glob(f"*/*/{CARD}")} - {model})
        there = f" The store has: {', '.join(others)}.{did_you_mean(model, others)}"
        raise ValueError(
            f"The model store {store.name}/ has no version of {model}. Do: {train}{'.' + there if others else ''}"
        )
    listed = f"There are: {', '.join(v[:12] for v in versions)}. Another one: {train}"
    if version == CHAMPION:
        champion = folder / CHAMPION
        if not champion.exists():
            raise ValueError(
                f"No champion is chosen. Do: {train}, or name a version here. {listed}"
            )
        version = champion.read_text().strip()
        if folder / version in former:
            raise ValueError(
                f"The champion {version[:12]} is of an earlier release and has no contract. Do: {train} PROMOTE=1, or name a"
                f" version here. {listed}"
            )
    elif not re.fullmatch(r"[0-9a-f]{8,64}", version):
        raise ValueError(f"{ALLOWED_VERSION} {listed}")
    found = [v for v in versions if v.startswith(version)]
    if len(found) != 1:
        many = f"{len(found)} model versions begin like this; write more digits." if found else ""
        owner = _owner(store, model, version)
        raise ValueError(f"{many or owner or 'No such model version.'} {listed}")
    return Artifact(name=model, version=found[0], directory=folder / found[0])


ALLOWED_VERSION = (
    "Allowed: champion, or a version's SHA-256 or its first 8 or more hexadecimal digits in lower case"
    " (in quotes when they are all decimal)."
)


def _owner(store: Path, model: str, version: str) -> str:
    """Which other model a version belongs to; empty if none has it."""
    found = sorted({card.parts[-3] for card in store.glob(f"*/{version}*/{CARD}")} - {model})
    return f"This is a version of {found[0]}, not of {model}." if found else ""


def bundle(endpoint: str, models: Sequence[Artifact]) -> Artifact:
    """The artifact of an endpoint that serves several models. `config.made_artifacts.write` makes its files."""
    members = tuple(sorted(models, key=lambda each: each.name))
    version = hashlib.sha256(bundle_version_text(members).encode()).hexdigest()
    store = members[0].directory.parents[1]
    return Artifact(
        name=endpoint,
        version=version,
        directory=store / SHARED / endpoint / version,
        members=members,
    )


def bundle_version_text(members: Sequence[Artifact]) -> str:
    """The content of a bundle's ``version.txt``, by which the model server finds the models on Vertex AI."""
    return "".join(f"{each.name} {each.version}\n" for each in members)
