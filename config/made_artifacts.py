"""The artifacts that are made from others: an endpoint's bundle of several models, and the contract of an own image.

Both follow from what is in the model store and in ``models/``, so a program that deploys them writes them itself.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from config.model_contract import version_of
from config.model_store import (
    ARCHIVE,
    CONTRACT,
    SERVED_FILES,
    VERSION_FILE,
    Artifact,
    bundle_version_text,
)


def write(artifact: Artifact) -> None:
    """Write the files of a bundle or of an own image, unless the store has exactly these. What was trained is left alone.

    Their version is made of their members' versions, so it does not show that one of these files is damaged.
    """
    if artifact.members:
        served = {
            f"{each.name}/{file}": (each.directory / file).read_bytes()
            for each in artifact.members
            for file in SERVED_FILES
        }
        text = bundle_version_text(artifact.members)
    elif artifact.image:
        served = {CONTRACT: artifact.contract}
        text = _version_text(artifact.image, artifact.contract)
    else:
        return
    files = {**served, VERSION_FILE: text.encode()}

    def is_written() -> bool:
        return _has(artifact.directory, files) and archive_holds(
            artifact.directory / ARCHIVE, served
        )

    if is_written():
        return
    try:
        _publish(artifact.directory, {**files, ARCHIVE: archive(served)})
    except OSError:
        if not is_written():  # else another process was faster with the same content
            raise


def artifact_of_image(store: Path, model: str, image: str, contract: bytes) -> Artifact:
    """The artifact of a model that its own image serves: contract and digest, without a ``model.onnx``."""
    version = version_of(_version_text(image, contract))
    return Artifact(
        name=model,
        version=version,
        directory=store / model / version,
        image=image,
        contract=contract,
    )


def _version_text(image: str, contract: bytes) -> str:
    """The content of ``version.txt``: as a trained model's, with the image's digest in the place of the model's hash."""
    return (
        f"{hashlib.sha256(contract).hexdigest()}  {CONTRACT}\n{image.rpartition('@')[2]}  image\n"
    )


def archive(files: Mapping[str, bytes]) -> bytes:
    """The files as a ``.tar.gz``, the form that SageMaker takes. Their names and contents alone determine its bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def archive_holds(file: Path, files: Mapping[str, bytes]) -> bool:
    """Whether an archive has these files alone. It is read no further than they are long: it may be a bomb.

    Its own bytes are not compared: another release of zlib packs the same files differently.
    """
    found = []
    try:
        with tarfile.open(file, mode="r:gz") as tar:
            for entry in tar:
                expected = files.get(entry.name)
                content = tar.extractfile(entry)
                if expected is None or content is None or entry.size != len(expected):
                    return False
                if content.read() != expected:
                    return False
                found.append(entry.name)
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError, zlib.error):
        return False
    return sorted(found) == sorted(files)


def _has(directory: Path, files: Mapping[str, bytes]) -> bool:
    """Whether a folder has files of these names with this content."""
    try:
        return all((directory / name).read_bytes() == content for name, content in files.items())
    except OSError:
        return False


def _publish(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder. One rename publishes it, so that it is complete or absent."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=directory.parent) as folder:
        draft = Path(folder) / directory.name
        for name, content in files.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if directory.is_dir():
            shutil.rmtree(
                directory, ignore_errors=True
            )  # one that lacks a file, or has another one
        else:
            directory.unlink(missing_ok=True)
        draft.rename(directory)
