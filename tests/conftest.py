"""Settings and a model for tests that build the platform; nothing here needs an engine or an account."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.clouds import Cloud
from config.schema import StackConfig
from config.validation import config_of_values
from policy import mock_engine

MODEL = b"not a model, but a file with a known hash"


@pytest.fixture(scope="session")
def model_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store holding one version, which is the champion."""
    version = hashlib.sha256(MODEL).hexdigest()
    folder = tmp_path_factory.mktemp("models") / "flight-delay"
    (folder / version).mkdir(parents=True)
    for name in ("model.onnx", "card.json", "model.tar.gz"):
        (folder / version / name).write_bytes(MODEL)
    (folder / "champion").write_text(version + "\n")
    return folder.parent


@pytest.fixture(scope="session")
def configured(model_store: Path) -> Callable[..., StackConfig]:
    """Valid settings for a cloud: ``configured("aws", keep_data=True, **{"aws:region": "eu-north-1"})``."""

    def make(cloud: Cloud, **changes: Any) -> StackConfig:
        raw = {
            "triplane:cloud": cloud,
            "triplane:keep_data": False,
            "aws:region": "eu-west-1",
            "gcp:project": "triplane-dev",
            "gcp:region": "europe-west1",
            "azure-native:location": "westeurope",
            **{key if ":" in key else f"triplane:{key}": changes[key] for key in changes},
        }
        return config_of_values(raw, "Pulumi.test.yaml", store=model_store)

    return make


@pytest.fixture(scope="session")
def platform(configured: Callable[..., StackConfig]) -> mock_engine.Build:
    """The whole platform with such settings, under mocks: ``platform("aws", keep_data=True)``."""
    return lambda cloud, **changes: mock_engine.platform(configured(cloud, **changes))
