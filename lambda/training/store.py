"""The model store: a folder of versions of each model, addressed by their content.

`<store>/<model>/<version>/{model.onnx,contract.json,version.txt,card.json,model.tar.gz}`. The version is the SHA-256 of
`version.txt`, which is what `sha256sum contract.json model.onnx` prints. Beside the versions, the file `champion` has
the version that `champion` in the settings means. `<store>/trained/<recipe>` has the model and the version that a
recipe (contract, code, data, settings, libraries) gave, so that nothing is trained twice.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.made_artifacts import archive
from config.model_contract import version_of, version_text
from config.model_store import (
    ARCHIVE,
    CARD,
    CHAMPION,
    CONTRACT,
    MODEL_FILE,
    SERVED_FILES,
    STORE,
    VERSION_FILE,
)


class ModelStore:
    """The models on this machine."""

    def __init__(self, root: Path = STORE) -> None:
        self.root = root
        self.recipes = root / "trained"

    def trained(self, model: str, recipe: str) -> str | None:
        """The version that this recipe gave, if it exists and is intact."""
        name, _, version = (_read(self.recipes / recipe) or "").partition("/")
        return version if name == model and self.is_intact(model, version) else None

    @contextmanager
    def draft(self, model: str, contract: bytes, content: bytes) -> Iterator[tuple[str, Path]]:
        """A version and its folder in another place, complete but for its card, to be checked before `add` publishes it."""
        text = version_text(contract, content)
        version = version_of(text)
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=self.root) as parent:
            folder = Path(parent) / model / version
            folder.mkdir(parents=True)
            (folder / CONTRACT).write_bytes(contract)
            (folder / MODEL_FILE).write_bytes(content)
            (folder / VERSION_FILE).write_text(text)
            (folder / ARCHIVE).write_bytes(archive({CONTRACT: contract, MODEL_FILE: content}))
            yield version, folder

    def add(self, model: str, draft: Path, card: Mapping[str, Any], recipe: str | None) -> str:
        """Publish a draft. A card is written once, with the version, and never again."""
        version = draft.name
        if not self.is_intact(model, version):
            text = json.dumps(
                {"name": model, "version": version, **card}, indent=2, ensure_ascii=False
            )
            (draft / CARD).write_text(text + "\n", encoding="utf-8")
            # One rename publishes the version, so that a version is complete or absent.
            (self.root / model).mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.root / model / version, ignore_errors=True)
            draft.rename(self.root / model / version)
        if recipe is not None:
            _write(self.recipes / recipe, f"{model}/{version}")
        return version

    def complete(self) -> None:
        """Write the archives that versions from another cloud's lake lack: Google Cloud's has none."""
        for file in self.root.glob(f"*/*/{MODEL_FILE}"):
            folder, packed = file.parent, file.with_name(ARCHIVE)
            if packed.exists() or not _is_version(folder):
                continue
            draft = packed.with_name(".draft")
            draft.write_bytes(
                archive({each: (folder / each).read_bytes() for each in SERVED_FILES})
            )
            draft.replace(packed)

    def card(self, model: str, version: str) -> dict[str, Any]:
        """The card of an existing version."""
        content: dict[str, Any] = json.loads((self.root / model / version / CARD).read_bytes())
        return content

    def champion(self, model: str) -> str | None:
        """The version that ``champion`` means, if there is one and it is intact."""
        version = _read(self.root / model / CHAMPION)
        return version if version and self.is_intact(model, version) else None

    def promote(self, model: str, version: str) -> None:
        """Make a version the champion."""
        _write(self.root / model / CHAMPION, version)

    def is_intact(self, model: str, version: str) -> bool:
        """Whether a version is there, whole and unchanged."""
        folder = self.root / model / version
        return bool(version) and (folder / CARD).is_file() and _is_version(folder)


def _is_version(folder: Path) -> bool:
    """Whether the files of a version are those that its name was made of."""
    try:
        text = (folder / VERSION_FILE).read_text()
        expected = version_text(*((folder / name).read_bytes() for name in SERVED_FILES))
    except (OSError, ValueError):
        return False
    return text == expected and version_of(text) == folder.name


def _read(file: Path) -> str | None:
    return file.read_text().strip() if file.is_file() else None


def _write(file: Path, line: str) -> None:
    """Replace a one-line file at once, so that a reader gets the old line or the new line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".", delete=False) as draft:
        draft.write(line + "\n")
    Path(draft.name).chmod(0o644)
    Path(draft.name).replace(file)
