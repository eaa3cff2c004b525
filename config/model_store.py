"""The local model store, and the artifacts in it that a stack names. What writes into it: lambda/training/."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
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
CONTRACT_FILE = "model.toml"
"""What a person writes a model's contract in. `CONTRACT` is made of it."""
CONTRACT_PAGE = "docs/reference/model-contract.md says what is in it."
MODEL = "flight-delay"
"""The model of the worked example, which a stack serves that names none."""


def stored_artifact(store: Path, model: str, version: str) -> Artifact:
    """The artifact of a model for ``champion``, a version, or the beginning of one.

    Raises ValueError, with what there is instead.
    """
    folder = store / model
    others = {card.parts[-3] for card in store.glob(f"*/*/{CARD}")}
    obstacle = obstacle_to_training(model, others)
    train = "" if obstacle else f"make train MODEL={model}"
    trained = {card.parent for card in folder.glob(f"*/{CARD}")}
    # What an earlier version of this repository trained has no contract beside it.
    former = {each for each in trained if not (each / VERSION_FILE).exists()}
    versions = sorted(each.name for each in trained - former)
    if not versions and former:
        raise ValueError(
            f"The versions of {model} in the model store {store.name}/ are of an earlier release and have no contract."
            f" {obstacle or f'Do: {train}'}"
        )
    if not versions:
        raise ValueError(
            f"The model store {store.name}/ has no version of {model}. {obstacle or f'Do: {train}'}"
        )
    listed = f"There are: {', '.join(v[:12] for v in versions)}."
    if train:
        listed += f" Another one: {train}"
    if version == CHAMPION:
        champion = folder / CHAMPION
        if not champion.exists():
            raise ValueError(
                "No champion is chosen."
                f" {f'Do: {train}, or name' if train else 'Name'} a version here. {listed}"
            )
        version = champion.read_text().strip()
        if folder / version in former:
            raise ValueError(
                f"The champion {version[:12]} is of an earlier release and has no contract."
                f" {f'Do: {train} PROMOTE=1, or name' if train else 'Name'} a version here. {listed}"
            )
    elif not VERSION.fullmatch(version):
        raise ValueError(f"{ALLOWED_VERSION} {listed}")
    found = [v for v in versions if v.startswith(version)]
    if len(found) != 1:
        many = f"{len(found)} model versions begin like this; write more digits." if found else ""
        owner = _owner(store, model, version)
        raise ValueError(f"{many or owner or 'No such model version.'} {listed}")
    return Artifact(name=model, version=found[0], directory=folder / found[0])


def obstacle_to_training(model: str, others: Iterable[str] = ()) -> str:
    """Why a model cannot be trained here, and what to do; empty if it can. ``others`` are models that may be meant, beside
    those with a folder."""
    if (MODELS / model / CONTRACT_FILE).is_file():
        return ""
    if (MODELS / model).is_dir():
        return f"models/{model}/ has no {CONTRACT_FILE}. {CONTRACT_PAGE}"
    known = sorted({*model_folders(), *others} - {model})
    there = f" There are: {', '.join(known)}." if known else ""
    return (
        f"There is no folder models/{model}/.{did_you_mean(model, known)}{there}"
        f" For a new one: make model NAME={model}"
    )


def model_folders() -> list[str]:
    """The models that have a folder."""
    return sorted(each.name for each in MODELS.glob("[!._]*") if each.is_dir())


VERSION = re.compile("[0-9a-f]{8,64}")
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
