"""The model store: a folder of versions, each addressed by the SHA-256 of its ``model.onnx``.

``<store>/flight-delay/<version>/{model.onnx,card.json,model.tar.gz}``. Beside the versions, the file ``champion``
has the version that ``model: champion`` means. ``<store>/trained/<recipe>`` has the version that a recipe (data,
code, settings, libraries) gave, so that nothing is trained twice.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

NAME = "flight-delay"
DEFAULT = Path(__file__).resolve().parent.parent.parent / ".models"


class ModelStore:
    """The versions of the model on this machine."""

    def __init__(self, root: Path) -> None:
        self._folder = root / NAME
        self._recipes = root / "trained"

    def trained(self, recipe: str) -> str | None:
        """The version that this recipe gave, if it exists and is intact."""
        version = _read(self._recipes / recipe)
        return version if version and self._is_intact(version) else None

    def add(self, model: bytes, card: dict[str, Any], recipe: str) -> str:
        """Store a model. Its card is written once, with the version, and never again."""
        version = hashlib.sha256(model).hexdigest()
        if not self._is_intact(version):
            self._folder.mkdir(parents=True, exist_ok=True)
            # One rename publishes the version, so that a version is complete or absent.
            with tempfile.TemporaryDirectory(prefix=".draft-", dir=self._folder.parent) as folder:
                draft = Path(folder) / version
                draft.mkdir()
                (draft / "model.onnx").write_bytes(model)
                (draft / "model.tar.gz").write_bytes(archive(model))
                text = json.dumps({"name": NAME, "version": version, **card}, indent=2)
                (draft / "card.json").write_text(text + "\n", encoding="utf-8")
                shutil.rmtree(self._folder / version, ignore_errors=True)
                draft.rename(self._folder / version)
        _write(self._recipes / recipe, version)
        return version

    def complete(self) -> None:
        """Write the archives that versions from another cloud's lake lack: Google Cloud's has none."""
        for file in self._folder.glob("*/model.onnx"):
            packed, model = file.with_name("model.tar.gz"), file.read_bytes()
            if not packed.exists() and hashlib.sha256(model).hexdigest() == file.parent.name:
                draft = packed.with_name(".draft")
                draft.write_bytes(archive(model))
                draft.replace(packed)

    def card(self, version: str) -> dict[str, Any]:
        """The card of an existing version."""
        content: dict[str, Any] = json.loads((self._folder / version / "card.json").read_bytes())
        return content

    @property
    def champion(self) -> str | None:
        """The version that ``model: champion`` means, if there is one and it is intact."""
        version = _read(self._folder / "champion")
        return version if version and self._is_intact(version) else None

    def promote(self, version: str) -> None:
        """Make a version the champion."""
        _write(self._folder / "champion", version)

    def _is_intact(self, version: str) -> bool:
        folder = self._folder / version
        names = ("model.onnx", "model.tar.gz", "card.json")
        if not all((folder / name).is_file() for name in names):
            return False
        return hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest() == version


def archive(model: bytes) -> bytes:
    """``model.onnx`` alone as a ``.tar.gz``, the form that SageMaker accepts.

    Only the model determines its bytes. The archive has no time, no owner and no card: a card may name other
    code or libraries, and then the same version would be uploaded again.
    """
    entry = tarfile.TarInfo("model.onnx")
    entry.size = len(model)
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        tar.addfile(entry, io.BytesIO(model))
    return packed.getvalue()


def _read(file: Path) -> str | None:
    return file.read_text().strip() if file.is_file() else None


def _write(file: Path, version: str) -> None:
    """Replace a one-line file at once, so that a reader gets the old line or the new line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".", delete=False) as draft:
        draft.write(version + "\n")
    Path(draft.name).chmod(0o644)
    Path(draft.name).replace(file)
