"""Settings and a model for tests that build the platform, and the markers that say what a test needs.

Every test has one of three markers, which are put on here: `unit` (no engine, no emulator, seconds), `emulator` (the
rehearsal's processes: object stores, functions, containers) or `slow` (the real engine, or many builds of the platform).
A `unit` test that starts an engine or an emulator fails.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from config.clouds import Cloud
from config.model_contract import version_of, version_text
from config.schema import StackConfig
from config.validation import config_of_values
from policy import mock_engine
from rehearsal.core.client_environment import isolate

MODEL = b"not a model, but a file with a known hash"
MODELS = (
    "flight-delay",
    "digits",
    "arrival-delay",
    *(f"model-{number:02}" for number in range(17)),
)
"""As many as a stack may have."""
HERE = Path(__file__).parent
REAL_CONTEXTS = {"contexts", "live_context"}
"""Fixtures of the rehearsal's tests whose context starts real processes."""
NOT_IN_UNIT_TESTS = ("pulumi", "rehearsal.runtime.s3_server", "fake-gcs-server", "serve.cjs")
"""Programs and modules that are an engine or an emulator."""
_running: list[pytest.Item] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE / "e2e"):
            item.add_marker("slow")
        elif REAL_CONTEXTS & set(getattr(item, "fixturenames", ())):
            item.add_marker("emulator")
        elif not any(item.iter_markers("slow")) and not any(item.iter_markers("emulator")):
            item.add_marker("unit")


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse an engine or an emulator that a `unit` test starts."""
    if event != "subprocess.Popen" or not _running or not any(_running[-1].iter_markers("unit")):
        return
    words = arguments[1] if isinstance(arguments[1], list | tuple) else [arguments[1]]
    for word in words:
        name = os.path.basename(os.fsdecode(word)) if isinstance(word, str | os.PathLike) else ""
        if name in NOT_IN_UNIT_TESTS and not _is_stand_in(os.fsdecode(word), arguments[3]):
            raise AssertionError(
                f"a test that is marked unit starts {name}: mark it slow or emulator"
            )


def _is_stand_in(program: str, environment: object) -> bool:
    """Whether it is a script that a test has written, and not the real program."""
    path = environment.get("PATH") if isinstance(environment, dict) else os.environ.get("PATH")
    found = shutil.which(program, path=path)
    return found is not None and Path(found).is_relative_to(tempfile.gettempdir())


sys.addaudithook(_watch)

INSTALLATION = "TESTS_INSTALLATION"
"""The variable with what an installation needs of the machine, as JSON. Workers of pytest-xdist inherit their controller's."""
KEPT = ("LANG", "SSL_CERT_FILE", "UV_", "HTTPS_PROXY", "https_proxy")
os.environ.setdefault(
    INSTALLATION,
    json.dumps({name: value for name, value in os.environ.items() if name.startswith(KEPT)}),
)
# Tests run as they do in a shell that has neither clouds of its own nor a rehearsal's (`make env`).
isolate(os.environ)
# What else begins with TRIPLANE_ is for tests: `make soak` and `make fuzz` say with it how much is to be tested.
for name in [each for each in os.environ if each.startswith("TRIPLANE_REHEARSAL_")]:
    del os.environ[name]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _running.append(item)
    try:
        return (yield)
    finally:
        _running.pop()


@pytest.fixture(scope="session")
def model_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store holding one version of each of `MODELS`, which is its champion."""
    store = tmp_path_factory.mktemp("models")
    for model in MODELS:
        write_version(store / model)
    return store


def write_version(folder: Path) -> None:
    """Write a version of a model, whose files have a known content, and make it the champion."""
    files = {
        "model.onnx": MODEL + folder.name.encode(),
        "contract.json": json.dumps({"name": folder.name}).encode(),
        "card.json": b"{}",
        "model.tar.gz": MODEL,
    }
    text = version_text(files["contract.json"], files["model.onnx"])
    version = version_of(text)
    (folder / version).mkdir(parents=True)
    for name, content in {**files, "version.txt": text.encode()}.items():
        (folder / version / name).write_bytes(content)
    (folder / "champion").write_text(version + "\n")


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
