"""`make sbom`: what is installed, as CycloneDX, into ``.sbom/``: a file for each image and each environment.

The content is that of the locks: every package with its version and the hashes of its files, those for other platforms
too. The same tree gives the same bytes: the time is that of the commit. cyclonedx-py reads the locks, and the schema's
own validator checks what is written. Not in it: the packages of an image's base, which the registry's scanner lists
(docs/reference/image-scanning.md), and the Go modules of a Pulumi that was built here, which are in its binary (`go version -m`).
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from components import build_context
from tools.lock import LOCKS

HOME = Path(__file__).resolve().parents[1]
FOLDER = HOME / ".sbom"
AZURITE = "rehearsal/runtime/azurite/package-lock.json"
IMAGES = ("gateway", "model_server")
BASE = re.compile(
    r"^FROM \$\{MIRROR\}/(?P<name>\w+):(?P<tag>[\w.-]+)@sha256:(?P<digest>[0-9a-f]{64})$", re.M
)
MIRROR = re.compile(r"^ARG MIRROR=(?P<mirror>\S+)$", re.M)
Component = dict[str, Any]


def python_packages(lock: Path) -> list[Component]:
    """The packages of a lock, as cyclonedx-py reads them. Each may have a file for each platform: hashes of all."""
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--no-validate"]
    printed = subprocess.run(
        [*command, "--sv", "1.6", "--output-reproducible", str(lock)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = json.loads(printed)["components"]
    # The description is the line of the lock. With an extra, a package is in it twice.
    return list(
        {
            each["purl"]: {**each, "bom-ref": each["purl"], "description": ""} for each in found
        }.values()
    )


def npm_packages(lock: Path) -> list[Component]:
    """The packages of a package-lock.json. npm checks the same hashes."""
    # https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json#packages
    found = {}
    for path, each in json.loads(lock.read_text())["packages"].items():
        if (
            "integrity" in each
        ):  # not the project itself, nor what it puts in the place of an unused package
            name = path.rpartition("node_modules/")[2]
            namespace, _, base = name.rpartition("/")
            purl = PackageURL("npm", namespace or None, base, each["version"]).to_string()
            algorithm, _, digest = each["integrity"].partition("-")
            found[purl] = {
                "type": "library",
                "bom-ref": purl,
                "name": name,
                "version": each["version"],
                "purl": purl,
                "hashes": [
                    {
                        "alg": {"sha512": "SHA-512", "sha1": "SHA-1"}[algorithm],
                        "content": base64.b64decode(digest).hex(),
                    }
                ],
            }
    return [found[purl] for purl in sorted(found)]


def base_image(dockerfile: Path) -> Component:
    """The image that a Dockerfile begins with, by its digest."""
    text = dockerfile.read_text()
    base, mirror = BASE.search(text), MIRROR.search(text)
    if base is None or mirror is None:
        raise ValueError(f"{dockerfile}: no base image pinned by digest")
    purl = PackageURL(
        "oci",
        None,
        base["name"],
        f"sha256:{base['digest']}",
        {"repository_url": f"{mirror['mirror']}/{base['name']}", "tag": base["tag"]},
    ).to_string()
    return {
        "type": "container",
        "bom-ref": purl,
        "name": base["name"],
        "version": base["tag"],
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": base["digest"]}],
    }


def document(subject: Component, components: list[Component], time: datetime | None) -> str:
    """A bill of materials as JSON. Raises ValueError for one that the schema refuses."""
    subject = {"bom-ref": subject["name"], **subject}
    containers = [each["bom-ref"] for each in components if each["type"] == "container"]
    content: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": [
            {name: value for name, value in each.items() if value} for each in components
        ],
        "dependencies": [
            {
                "ref": subject["bom-ref"],
                "dependsOn": sorted(each["bom-ref"] for each in components),
            }
        ],
    }
    if containers:  # what is in them is not listed
        content["compositions"] = [{"aggregate": "unknown", "assemblies": containers}]
    if time:
        content["metadata"]["timestamp"] = time.isoformat()
    # The same content has the same serial number.
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content, sort_keys=True))
    content["serialNumber"] = serial.urn
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"{subject['name']}: {str(problem.data)[:2000]}")
    return text


def commit_time() -> datetime | None:
    """When the commit that is checked out was made; None in no git checkout."""
    asked = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=HOME, capture_output=True, text=True
    )
    return datetime.fromtimestamp(int(asked.stdout), UTC) if asked.returncode == 0 else None


def image(name: str, time: datetime | None) -> str:
    """The bill of an image: its base and its packages. Its version is the hash of its folder, which its tag ends with."""
    folder = HOME / "lambda" / name
    subject = {
        "type": "container",
        "name": name,
        "version": build_context.content_hash(folder),
    }
    packages = python_packages(folder / "requirements.txt")
    return document(subject, [base_image(folder / "Dockerfile"), *packages], time)


def documents() -> Mapping[str, str]:
    """Every bill by the name of its file: the images, then each environment by its lock."""
    time = commit_time()
    of_images = {f"image-{name}": image(name, time) for name in IMAGES}
    of_locks = {
        name.replace("/", "-"): document(
            {"type": "application", "name": f"{name}.txt"},
            python_packages(HOME / f"{name}.txt"),
            time,
        )
        for name in LOCKS
    }
    azurite = document({"type": "application", "name": AZURITE}, npm_packages(HOME / AZURITE), time)
    return {**of_images, **of_locks, "rehearsal-azurite": azurite}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / f"{name}.cdx.json").write_text(text)
        print(f"  {FOLDER.name}/{name}.cdx.json: {len(json.loads(text)['components'])} components")


if __name__ == "__main__":
    main()
