"""The plans that the rules examine: of the program under mocks, or of a stack's exported state."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from api_models.resource import Resource
from components.resource_type import RANDOM_KEY
from config.clouds import Cloud
from config.model_store import CHAMPION, MODEL, Artifact
from config.validation import config_of_values
from policy import mock_engine, mock_values
from policy.plain import plain

CLOUDS: tuple[Cloud, ...] = get_args(Cloud)
VARIANTS: dict[str, dict[str, Any]] = {
    "as little as possible": {},
    "on instances, with more of everything": {
        "triplane:machine": {"aws": "ml.m5.large"},
        "triplane:endpoint": {"min_instances": 2, "max_instances": 4},
        "triplane:gateway": {"max_concurrency": 200},
    },
    "three models, two of them on one endpoint": {
        "triplane:models": {
            MODEL: "champion",
            "digits": {"endpoint": "small"},
            "arrival-delay": {"endpoint": "small", "min_instances": 2},
        },
        "triplane:delivery": {"repository": "acme/triplane"},
    },
    "public, and to be thrown away": {
        "triplane:gateway": {"access": "public"},
        "triplane:keep_data": False,
    },
    "deployed by GitHub Actions": {
        "triplane:delivery": {"repository": "acme/triplane", "environment": "production"},
    },
}
"""Settings that register different resources."""
LOCATIONS = {
    "aws:region": "eu-west-1",
    "gcp:project": "triplane-dev",
    "gcp:region": "europe-west1",
    "azure-native:location": "westeurope",
}


def of_program(cloud: str, settings: Mapping[str, Any]) -> list[Resource]:
    """What the program registers for a cloud with these settings. Needs no engine, no account and no model."""
    with tempfile.TemporaryDirectory() as store:
        for model in settings.get("triplane:models", (MODEL,)):
            write_empty_champion(Path(store) / model)
        raw = {"triplane:cloud": cloud, **LOCATIONS, **settings}
        config = config_of_values(raw, "policy", store=Path(store))
        registered, _ = mock_engine.platform(config)
    # The engine marks additional secret outputs; the mocks do not. The platform has one such secret, and its
    # value is known.
    key = mock_values.COMPUTED[RANDOM_KEY]["value"]
    return [
        Resource(each.type, each.name, each.id, plain(each.inputs, key))
        for each in registered
        if each.custom
    ]


def write_empty_champion(folder: Path) -> None:
    """Write a model version of empty files, and make it the champion: no plan depends on the content."""
    version = hashlib.sha256(folder.name.encode()).hexdigest()
    directory = folder / version
    directory.mkdir(parents=True)
    for file in Artifact(name=folder.name, version=version, directory=directory).files.values():
        file.write_bytes(b"")
    (folder / CHAMPION).write_text(version)


def of_state(exported: Mapping[str, Any]) -> list[Resource]:
    """The existing resources, from the state that ``pulumi stack export`` prints."""
    deployment = exported.get("deployment") or {}
    return [
        Resource(each["type"], each["urn"].split("::")[-1], each["id"], plain(each["inputs"]))
        for each in deployment.get("resources", [])
        if each.get("custom") and not each["type"].startswith("pulumi:providers:")
    ]
