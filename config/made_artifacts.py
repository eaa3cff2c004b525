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
    """Write the files of a bundle or of an own image, unless they are there. What was trained is left alone."""
    if all(file.exists() for file in artifact.files.values()):
        return
    if artifact.members:
        files = {
            f"{each.name}/{file}": (each.directory / file).read_bytes()
            for each in artifact.members
            for file in SERVED_FILES
        }
        text = bundle_version_text(artifact.members)
        packed = {VERSION_FILE: text.encode(), ARCHIVE: archive(files)}
        _publish(artifact.directory, {**files, **packed})
    elif artifact.image:
        text = _version_text(artifact.image, artifact.contract)
        files = {CONTRACT: artifact.contract, VERSION_FILE: text.encode()}
        _publish(artifact.directory, {**files, ARCHIVE: archive(files)})


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


def _publish(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder. One rename publishes it, so that it is complete or absent."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=directory.parent) as folder:
        draft = Path(folder) / directory.name
        for name, content in files.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        shutil.rmtree(directory, ignore_errors=True)  # one that lacks a file
        try:
            draft.rename(directory)
        except OSError:
            if not directory.exists():  # another process was faster with the same content
                raise
