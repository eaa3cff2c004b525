"""What a stack registers, as plain data: taken from the program under mocks, or from a stack's state."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = "(secret)"  # noqa: S105  # the word, not a secret
"""Stands in a record for every value that the state keeps encrypted."""

# How Pulumi marks what is not plain JSON: a secret by the second value, assets and archives by others.
# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/sig/sig.go
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105

CLOUDS = ("aws", "gcp", "azure")
VARIANTS: dict[str, dict[str, Any]] = {
    "as little as possible": {},
    "on instances, with more of everything": {
        "triplane:machine": {"aws": "ml.m5.large"},
        "triplane:endpoint": {"min_instances": 2, "max_instances": 4},
        "triplane:gateway": {"max_concurrency": 200},
    },
    "public, and to be thrown away": {
        "triplane:gateway": {"access": "public"},
        "triplane:keep_data": False,
    },
    "deployed by GitHub Actions": {
        "triplane:delivery": {"repository": "acme/triplane", "environment": "production"},
    },
}
"""Settings that differ in what they register."""


@dataclass(frozen=True)
class Resource:
    """One resource, with its inputs under the names that go over the wire."""

    type: str
    """Pulumi's type token: ``aws:s3/bucket:Bucket``."""
    name: str
    id: str
    """What other resources say when they mean this one."""
    inputs: Mapping[str, Any]

    def get(self, path: str) -> Any:
        """The input at ``siteConfig.minTlsVersion``; None where there is none."""
        value: Any = self.inputs
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


Plan = Sequence[Resource]


def of_program(cloud: str, settings: Mapping[str, Any]) -> list[Resource]:
    """What the program registers for a cloud with these settings: no engine, no account, no model."""
    from config.model_store import MODEL
    from config.validation import config_of_values
    from policy import mock_engine

    version = hashlib.sha256(b"").hexdigest()
    with tempfile.TemporaryDirectory() as store:
        folder = Path(store) / MODEL / version
        folder.mkdir(parents=True)
        for file in ("card.json", "model.onnx", "model.tar.gz"):
            (folder / file).write_bytes(b"")
        (folder.parent / "champion").write_text(version)
        where = {
            "triplane:cloud": cloud,
            "aws:region": "eu-west-1",
            "gcp:project": "triplane-dev",
            "gcp:region": "europe-west1",
            "azure-native:location": "westeurope",
        }
        config = config_of_values({**where, **settings}, "policy", store=Path(store))
        built, _ = mock_engine.platform(config)
    # The mocks do not mark what only the engine marks (additional secret outputs): the one secret of
    # the platform is known by its value.
    key = mock_engine.COMPUTED["pulumi-python:dynamic/triplane:RandomKey"]["value"]
    return [
        Resource(each.type, each.name, each.id, plain(each.inputs, key))
        for each in built
        if each.custom
    ]


def of_state(exported: Mapping[str, Any]) -> list[Resource]:
    """What stands in the state that ``pulumi stack export`` prints."""
    deployment = exported.get("deployment") or {}
    return [
        Resource(each["type"], each["urn"].split("::")[-1], each["id"], plain(each["inputs"]))
        for each in deployment.get("resources", [])
        if each.get("custom") and not each["type"].startswith("pulumi:providers:")
    ]


def plain(value: Any, *secrets: str) -> Any:
    """``value`` as plain JSON: secrets (what is marked, and these texts) by a word, files and archives by their names, whole numbers whole."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return SECRET
        if SIGNATURE in value:
            return f"file:{value.get('path') or value.get('hash')}"
        return {
            name: plain(item, *secrets) for name, item in value.items() if not name.startswith("__")
        }
    if isinstance(value, list | tuple):
        return [plain(item, *secrets) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # protobuf knows no other numbers
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, SECRET)
        return value
    if hasattr(value, "assets"):
        return "archive"
    if hasattr(value, "path"):
        return f"file:{Path(str(value.path)).name}"
    return value


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text inside ``value``, with where it stands."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from strings(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


Check = Callable[[Resource, Plan], Iterator[str]]
