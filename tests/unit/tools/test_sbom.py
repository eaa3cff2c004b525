"""Bills of materials: all that is pinned is in them, the schema takes them, and the same tree gives the same bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components import build_context
from tools import sbom
from tools.audit import PIN
from tools.lock import LOCKS

TIME = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture(scope="module")
def gateway() -> str:
    return sbom.image("gateway", TIME)


def test_the_bill_of_an_image_has_its_base_by_digest_and_each_package_with_its_hashes(
    gateway: str,
) -> None:
    bill = json.loads(gateway)
    folder = sbom.HOME / "lambda" / "gateway"
    assert bill["metadata"]["component"]["version"] == build_context.content_hash(folder)
    base, *packages = bill["components"]
    (digest,) = base["hashes"]
    assert f"@sha256:{digest['content']}" in (folder / "Dockerfile").read_text()
    assert base["purl"].startswith("pkg:oci/python@sha256:")
    lock = (folder / "requirements.txt").read_text()
    assert {(each["name"], each["version"]) for each in packages} == set(PIN.findall(lock))
    for each in packages:
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        (file,) = each["externalReferences"]
        for algorithm in file["hashes"]:
            assert f"--hash=sha256:{algorithm['content']}" in lock
    assert bill["dependencies"][0]["dependsOn"] == sorted(
        each["bom-ref"] for each in bill["components"]
    )


def test_the_same_tree_gives_the_same_bytes_and_another_commit_another_serial_number(
    gateway: str,
) -> None:
    assert sbom.image("gateway", TIME) == gateway
    subject = {"type": "application", "name": "a"}
    bills = [json.loads(sbom.document(subject, [], time)) for time in (TIME, TIME, None)]
    numbers = [each["serialNumber"] for each in bills]
    assert numbers[0] == numbers[1] != numbers[2]


def test_the_rehearsals_npm_packages_are_in_a_bill_with_the_hashes_of_their_lock() -> None:
    found = sbom.npm_packages(sbom.HOME / sbom.AZURITE)
    assert json.loads(sbom.document({"type": "application", "name": "a"}, found, TIME))
    (azurite,) = [each for each in found if each["name"] == "azurite"]
    lock = json.loads((sbom.HOME / sbom.AZURITE).read_text())["packages"]["node_modules/azurite"]
    assert azurite["purl"] == f"pkg:npm/azurite@{lock['version']}"
    (scoped, *_) = [each for each in found if each["name"].startswith("@azure/")]
    assert scoped["purl"].startswith("pkg:npm/%40azure/")


def test_a_bill_that_the_schema_refuses_is_not_written() -> None:
    component: dict[str, Any] = {"type": "no such type", "bom-ref": "a", "name": "a"}
    with pytest.raises(ValueError, match="'no such type' is not one of"):
        sbom.document({"type": "application", "name": "b"}, [component], TIME)


def test_every_image_and_every_lock_has_a_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(sbom, "python_packages", lambda lock: read.append(lock) or [])
    names = set(sbom.documents())
    assert {f"image-{each.parent.name}" for each in sbom.HOME.glob("lambda/*/Dockerfile")} <= names
    assert {sbom.HOME / f"{name}.txt" for name in LOCKS} <= set(read)
    assert {name.replace("/", "-") for name in LOCKS} <= names


def test_a_base_without_a_digest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("ARG MIRROR=a/b\nFROM ${MIRROR}/python:3.12\n")
    with pytest.raises(ValueError, match="no base image pinned by digest"):
        sbom.base_image(tmp_path / "Dockerfile")
