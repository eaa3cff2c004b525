"""The model store: versions addressed by contract and model together, complete or absent."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from training.store import ModelStore

from config.made_artifacts import archive
from config.model_contract import version_of, version_text

CONTRACT = b'{"name": "churn"}\n'
MODEL = b"any bytes: the store does not read them"
VERSION = version_of(version_text(CONTRACT, MODEL))


def added(store: ModelStore, card: dict[str, object], recipe: str | None = "recipe") -> str:
    with store.draft("churn", CONTRACT, MODEL) as (_, folder):
        return store.add("churn", folder, card, recipe)


def test_a_version_is_added_completely_and_found_by_its_recipe(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.trained("churn", "recipe") is None
    assert added(store, {"auc": 0.7}) == VERSION
    assert store.trained("churn", "recipe") == VERSION
    assert store.trained("digits", "recipe") is None, "a recipe belongs to one model"
    assert [file.name for file in (tmp_path / "churn").iterdir()] == [VERSION], "and nothing else"
    assert sorted(file.name for file in (tmp_path / "churn" / VERSION).iterdir()) == [
        "card.json",
        "contract.json",
        "model.onnx",
        "model.tar.gz",
        "version.txt",
    ]
    card = json.loads((tmp_path / "churn" / VERSION / "card.json").read_text())
    assert card == {"name": "churn", "version": VERSION, "auc": 0.7}


def test_the_version_is_what_a_person_computes_with_sha256sum(tmp_path: Path) -> None:
    added(ModelStore(tmp_path), {})
    folder = tmp_path / "churn" / VERSION
    code = "import hashlib, sys; print(*(hashlib.sha256(open(f, 'rb').read()).hexdigest() + '  ' + f for f in sys.argv[1:]), sep='\\n')"
    printed = subprocess.run(
        [sys.executable, "-c", code, "contract.json", "model.onnx"],
        cwd=folder, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert (folder / "version.txt").read_text() == printed
    assert version_of(printed) == VERSION


def test_another_contract_is_another_version_of_the_same_model() -> None:
    assert version_of(version_text(b"{}", MODEL)) != VERSION


def test_a_draft_that_is_not_added_leaves_nothing(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    with store.draft("churn", CONTRACT, MODEL) as (_, folder):
        assert (folder / "model.onnx").read_bytes() == MODEL
    assert list(tmp_path.iterdir()) == []


def test_a_card_is_never_rewritten(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    added(store, {"git_tree": "first"})
    added(store, {"git_tree": "second"}, "other recipe")
    assert store.card("churn", VERSION)["git_tree"] == "first"


@pytest.mark.parametrize("damaged", ["model.onnx", "contract.json", "version.txt"])
def test_a_damaged_version_counts_as_missing_and_can_be_added_again(
    tmp_path: Path, damaged: str
) -> None:
    store = ModelStore(tmp_path)
    added(store, {})
    store.promote("churn", VERSION)
    file = tmp_path / "churn" / VERSION / damaged
    whole = file.read_bytes()
    file.write_bytes(whole[:10])
    assert store.trained("churn", "recipe") is None
    assert store.champion("churn") is None
    added(store, {})
    assert file.read_bytes() == whole
    assert store.champion("churn") == VERSION


def test_the_archive_has_contract_and_model_and_no_time() -> None:
    packed = archive({"model.onnx": MODEL, "contract.json": CONTRACT})
    assert packed == archive({"model.onnx": MODEL, "contract.json": CONTRACT})
    assert packed[4:8] == b"\0\0\0\0", "the time in the header of gzip"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        entries = tar.getmembers()
        assert [(each.name, each.mtime, each.uname) for each in entries] == [
            ("contract.json", 0, ""),
            ("model.onnx", 0, ""),
        ]
        content = tar.extractfile("model.onnx")
        assert content is not None
        assert content.read() == MODEL


def test_archives_that_another_clouds_lake_lacks_are_packed_again(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    added(store, {})
    packed = tmp_path / "churn" / VERSION / "model.tar.gz"
    whole = packed.read_bytes()
    packed.unlink()
    store.complete()
    assert packed.read_bytes() == whole
    packed.unlink()
    (packed.parent / "model.onnx").write_bytes(b"another")
    store.complete()
    assert not packed.exists(), "a damaged version is not packed"
