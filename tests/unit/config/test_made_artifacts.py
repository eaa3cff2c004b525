"""Bundles of several models, and the artifacts of own images: made of what there is, whole and the same each time."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from pathlib import Path

import pytest

from config.made_artifacts import artifact_of_image, write
from config.model_store import Artifact, bundle, stored_artifact
from tests.conftest import write_version

IMAGE = f"registry.example.com/own@sha256:{'0f' * 32}"


@pytest.fixture
def models(tmp_path: Path) -> list[Artifact]:
    for name in ("digits", "churn"):
        write_version(tmp_path / name)
    return [stored_artifact(tmp_path, name, "champion") for name in ("digits", "churn")]


def contents(artifact: Artifact) -> dict[str, bytes]:
    return {name: file.read_bytes() for name, file in artifact.files.items()}


def test_a_bundle_has_contract_and_model_of_each_and_the_same_in_its_archive(
    models: list[Artifact],
) -> None:
    made = bundle("small", models)
    write(made)
    found = contents(made)
    served = {f"{each.name}/{file}" for each in models for file in ("contract.json", "model.onnx")}
    assert found.keys() == {*served, "version.txt", "model.tar.gz"}
    for each in models:
        assert found[f"{each.name}/model.onnx"] == (each.directory / "model.onnx").read_bytes()
    with tarfile.open(made.directory / "model.tar.gz") as archive:
        assert set(archive.getnames()) == served
    assert hashlib.sha256(found["version.txt"]).hexdigest() == made.version


def test_a_bundle_does_not_depend_on_the_order_or_the_time(models: list[Artifact]) -> None:
    first, second = bundle("small", models), bundle("small", models[::-1])
    assert first == second
    write(first)
    before = contents(first)
    (first.directory / "model.tar.gz").unlink()
    write(second)
    assert contents(second) == before, "what was lost is made again, and the same"


@pytest.mark.parametrize("file", ["digits/model.onnx", "version.txt", "model.tar.gz"])
def test_a_damaged_file_of_a_bundle_is_written_again(models: list[Artifact], file: str) -> None:
    made = bundle("small", models)
    write(made)
    before = contents(made)
    (made.directory / file).write_bytes(b"garbage")
    write(made)
    assert contents(made) == before


def test_an_archive_of_other_bytes_with_the_same_files_stays(models: list[Artifact]) -> None:
    """Another release of zlib packs otherwise, and production gets the archive that staging tested."""
    made = bundle("small", models)
    write(made)
    packed = made.directory / "model.tar.gz"
    other = gzip.compress(gzip.decompress(packed.read_bytes()), 1, mtime=1)
    packed.write_bytes(other)
    write(made)
    assert packed.read_bytes() == other


def test_a_file_in_the_place_of_a_bundle_is_replaced(models: list[Artifact]) -> None:
    made = bundle("small", models)
    made.directory.parent.mkdir(parents=True)
    made.directory.write_bytes(b"garbage")
    write(made)
    assert contents(made)


def test_another_version_of_one_model_is_another_bundle(models: list[Artifact]) -> None:
    other = Artifact(name="churn", version="0" * 64, directory=models[1].directory)
    assert bundle("small", [models[0], other]).version != bundle("small", models).version


def test_an_own_image_has_its_contract_and_no_model(tmp_path: Path) -> None:
    made = artifact_of_image(tmp_path, "churn", IMAGE, b'{"name": "churn"}')
    write(made)
    assert contents(made).keys() == {"contract.json", "version.txt", "model.tar.gz"}
    text = (made.directory / "version.txt").read_bytes()
    assert hashlib.sha256(text).hexdigest() == made.version
    assert text.endswith(f"sha256:{'0f' * 32}  image\n".encode())


@pytest.mark.parametrize("file", ["contract.json", "version.txt", "model.tar.gz"])
def test_a_damaged_file_of_an_own_image_is_written_again(tmp_path: Path, file: str) -> None:
    made = artifact_of_image(tmp_path, "churn", IMAGE, b'{"name": "churn"}')
    write(made)
    before = contents(made)
    (made.directory / file).write_bytes(b"garbage")
    write(made)
    assert contents(made) == before


def test_what_was_trained_is_left_alone(models: list[Artifact]) -> None:
    before = contents(models[0])
    write(models[0])
    assert contents(models[0]) == before
