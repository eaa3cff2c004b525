"""The build service: what a Dockerfile becomes, and how a bad one is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from rehearsal.core.store import Store
from rehearsal.runtime.dockerfile import build_arguments
from rehearsal.runtime.images import BuildFailed, Image, ImageStore, TagImmutable

WORKLOADS = Path(__file__).parents[3] / "lambda"
PROGRAMS = {"gateway": "gateway", "model_server": "model_server.serve"}
DOCKERFILE = """
# comment
ARG VERSION=3.99
FROM python:${VERSION}-slim
ENV PYTHONPATH=/app LEVEL="in fo"
LABEL title="a b"
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir \\
    # a comment between continued lines
    -r requirements.txt && useradd model
COPY --chown=1000 server server
COPY *.py ./
EXPOSE 8080
USER 1000
ENTRYPOINT ["python", "entrypoint.py"]
CMD ["serve"]
"""


@pytest.fixture
def images(tmp_path: Path) -> ImageStore:
    store = Store(tmp_path / "store.sqlite", Fernet.generate_key())
    return ImageStore(tmp_path, store.kv)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    files = {
        "Dockerfile": DOCKERFILE,
        ".dockerignore": "**/__pycache__\n*.md\n!KEEP.md\n",
        "requirements.txt": "pytest>=1\nstarlette==0.0.1\nno-such-package==1\n",
        "server/a.py": "print(1)",
        "server/__pycache__/a.pyc": "bytes",
        "entrypoint.py": "import server",
        "README.md": "",
        "KEEP.md": "",
    }
    folder = tmp_path / "context"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def built(images: ImageStore, context: Path, text: str | None = None) -> Image:
    if text is not None:
        (context / "Dockerfile").write_text(text)
    return images.build(context, "Dockerfile", "registry/app", "one")


def test_an_image_has_the_files_and_settings_of_its_dockerfile(
    images: ImageStore, context: Path
) -> None:
    image = built(images, context)
    files = [p.relative_to(image.rootfs).as_posix() for p in image.rootfs.rglob("*") if p.is_file()]
    assert sorted(files) == ["app/entrypoint.py", "app/requirements.txt", "app/server/a.py"]
    assert image.config["Entrypoint"] == ["python", "entrypoint.py"]
    assert image.config["Cmd"] == ["serve"]
    assert image.config["WorkingDir"] == "/app"
    assert image.config["User"] == "1000"
    assert image.config["ExposedPorts"] == {"8080/tcp": {}}
    assert image.config["Labels"] == {"title": "a b"}
    assert {"PYTHONPATH=/app", "LEVEL=in fo"} <= set(image.config["Env"])


def test_the_digest_is_that_of_a_real_oci_manifest(
    images: ImageStore, context: Path, tmp_path: Path
) -> None:
    image = built(images, context)

    def blob(digest: str) -> bytes:
        content = (tmp_path / "images/blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
        return content

    manifest = json.loads(blob(image.digest))
    assert manifest == images.manifest(image)
    config = json.loads(blob(manifest["config"]["digest"]))
    (layer,) = manifest["layers"]
    packed = blob(layer["digest"])
    assert layer["size"] == len(packed)
    unpacked = gzip.decompress(packed)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        assert "app/server/a.py" in archive.getnames()


def test_equal_contexts_have_equal_digests_and_a_changed_file_changes_it(
    images: ImageStore, context: Path, tmp_path: Path
) -> None:
    first = built(images, context)
    copy = shutil.copytree(context, tmp_path / "copy")
    for file in copy.rglob("*"):
        os.utime(file, (1, 1))
    assert built(images, copy).digest == first.digest
    for form in ("zip", "gztar", "tar"):
        packed = shutil.make_archive(str(tmp_path / f"packed-{form}"), form, context)
        assert built(images, Path(packed)).digest == first.digest
    (copy / "entrypoint.py").write_text("changed")
    assert built(images, copy).digest != first.digest


def test_a_build_reports_what_it_only_recorded_and_which_packages_differ(
    images: ImageStore, context: Path
) -> None:
    notes = built(images, context).notes
    assert notes[0].startswith("FROM python:3.99-slim: recorded; the Python 3.")
    assert notes[0].endswith("takes its place, not 3.99.")
    assert any(note.startswith("RUN pip install") and "not executed" in note for note in notes)
    assert "1 of 3 required packages are installed here in the required version." in notes
    assert any("starlette==0.0.1 is required; the rehearsal's Python has" in n for n in notes)
    assert "no-such-package==1 is required; the rehearsal's Python does not have it." in notes


def test_images_are_found_by_tag_and_digest_also_after_a_restart(
    images: ImageStore, context: Path, tmp_path: Path
) -> None:
    image = built(images, context)
    for store in (images, ImageStore(tmp_path, images._kv)):
        assert store.get("registry/app", "one") == image
        assert store.find("registry/app:one") == image
        assert store.find(image.reference) == image
        assert store.find("registry/app:two") is None
        assert store.list("registry/app") == {"one": image}


def test_an_immutable_tag_keeps_its_image(images: ImageStore, context: Path) -> None:
    image = built(images, context)
    again = images.build(context, "Dockerfile", "registry/app", "one", immutable=True)
    assert again == image
    (context / "entrypoint.py").write_text("changed")
    with pytest.raises(TagImmutable, match=r"'one' already exists in the 'registry/app'"):
        images.build(context, "Dockerfile", "registry/app", "one", immutable=True)
    assert images.get("registry/app", "one") == image


def test_dropping_a_repository_deletes_only_files_that_no_other_uses(
    images: ImageStore, context: Path, tmp_path: Path
) -> None:
    image = built(images, context)
    other = images.build(context, "Dockerfile", "registry/other", "one")
    images.drop_repository("registry/app")
    assert images.find(image.reference) is None
    assert other.rootfs.exists()
    images.drop_repository("registry/other")
    assert not [path for path in (tmp_path / "images").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the Dockerfile cannot be empty"),
        ("FRM a", r"line 1: unknown instruction: FRM \(did you mean FROM\?\)"),
        ("COPY a b", "no build stage in current context"),
        ("FROM a\nCOPY", "line 2: COPY requires at least one argument"),
        ("FROM a\nCOPY one", "requires at least two arguments"),
        ("FROM a\nCOPY missing.txt .", r'"/missing.txt": not found'),
        ("FROM a\nCOPY README.md .", r'"/README.md": not found'),
        ("FROM a\nCOPY ../../etc/passwd .", r'"/etc/passwd": not found'),
        ("FROM a\nCOPY secret .", r'"/secret": not found'),
        ("FROM a\nCOPY entrypoint.py requirements.txt app", "must be a directory and end with a /"),
        ("FROM a\nFROM b", "one stage only"),
        ("FROM a\nCOPY --from=b x y", "from the context only"),
        ("FROM a\nRUN pip install -r missing.txt", "Could not open requirements file"),
        ("FROM a\nRUN <<EOF\nls\nEOF", "no here-documents"),
        ("FROM a\nENV A='open", "unexpected end of statement"),
        ("ARG MIRROR\nFROM ${MIRROR}/python", "invalid reference format"),
        ("FROM python@sha256:12", "invalid reference format"),
        (
            "FROM a\nRUN pip install --require-hashes x==1",
            "Hashes are required .* missing from x==1",
        ),
        (
            "FROM a\nCOPY *.txt ./\nRUN pip install --require-hashes -r requirements.txt",
            "pinned with ==. These do not: pytest>=1",
        ),
    ],
)
def test_an_error_is_refused_in_the_words_of_docker_build(
    images: ImageStore, context: Path, text: str, words: str
) -> None:
    (context / "secret").symlink_to("/etc/passwd")
    with pytest.raises(BuildFailed, match=words):
        built(images, context, text)
    assert images.list("registry/app") == {}


def test_the_path_of_a_missing_dockerfile_is_reported(images: ImageStore, context: Path) -> None:
    with pytest.raises(BuildFailed, match="open docker/File: no such file or directory"):
        images.build(context, "docker/File", "registry/app", "one")


def test_a_build_argument_replaces_the_default_of_an_arg_that_is_declared(
    images: ImageStore, context: Path
) -> None:
    """What is declared before FROM is known to FROM alone, and behind it once it is declared again.

    https://docs.docker.com/reference/dockerfile/#understand-how-arg-and-from-interact
    """
    text = "ARG TAG=1\nARG LEVEL=low\nFROM python:${TAG}\nARG LEVEL\nARG NAME=nobody\n"
    (context / "Dockerfile").write_text(
        f"{text}USER ${{NAME}}\nLABEL tag=${{TAG}} level=${{LEVEL}}\n"
    )

    def labels(**arguments: str) -> tuple[Any, Any]:
        image = images.build(
            context, "Dockerfile", "registry/app", "one", arguments={**arguments, "OTHER": "x"}
        )
        return image.config["User"], image.config["Labels"]

    assert labels() == ("nobody", {"tag": "", "level": "low"})
    assert labels(NAME="root", LEVEL="high", TAG="2") == ("root", {"tag": "", "level": "high"})
    words = ["--build-arg", "NAME=a=b", "--tag", "x", "--build-arg=LEVEL=low", "."]
    assert build_arguments(words) == {"NAME": "a=b", "LEVEL": "low"}


@pytest.mark.parametrize("name", ["gateway", "model_server"])
def test_the_platforms_own_dockerfiles_build(images: ImageStore, name: str) -> None:
    image = images.build(WORKLOADS / name, "Dockerfile", "registry/app", "one")
    assert image.config["Entrypoint"][:3] == ["python", "-m", PROGRAMS[name]]
    assert image.config["User"] == "65534:65534"
    differ = [note for note in image.notes if "is required; the" in note]
    assert not differ, differ
    root = images.build(
        WORKLOADS / name, "Dockerfile", "registry/app", "root", arguments={"RUN_AS": "root"}
    )
    assert root.config["User"] == "root"
