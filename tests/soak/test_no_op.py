"""The no-op proof without an engine: for any valid stack file, a second run of the program changes nothing.

`make test` draws 120 files, always the same ones. `make soak` draws as many as it is asked to, and other ones.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from api_models.resource import Plan, Resource
from config.model_store import Artifact
from config.schema import all_settings
from config.validation import config_of_values
from policy import mock_engine, request_models
from policy.enforcement import violations
from policy.plain import plain
from policy.rules import RULES
from tests.soak import render
from tests.soak.stack_files import (
    CLOUDS,
    DRAWN_SETTINGS,
    MODELS,
    VERSIONS,
    engine_values,
    settings_for,
    stack_files,
)

ROOT = Path(__file__).resolve().parents[2]
FILES = int(os.environ.get("TRIPLANE_SOAK_FILES", "120"))
SEED = int(os.environ.get("TRIPLANE_SOAK_SEED", "0"))
PARTS = 6
"""The files are drawn in parts, each with its own seed, so that the parts can run on several cores."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_versions(tmp_path_factory.mktemp("models"))


def with_versions(store: Path) -> Path:
    """A model store with `VERSIONS` of each model, the first of which is the champion."""
    for model in MODELS:
        for version in VERSIONS:
            directory = store / model / version
            directory.mkdir(parents=True)
            artifact = Artifact(name=model, version=version, directory=directory)
            for file in artifact.files.values():
                file.write_text(version)
        (store / model / "champion").write_text(VERSIONS[0])
    return store


def built(raw: dict[str, Any], store: Path) -> tuple[bytes, dict[str, Any], Plan]:
    """The whole program under mocks: everything it registers as bytes, its outputs, and the plan."""
    config = config_of_values(raw, "Pulumi.soak.yaml", store=store)
    registered, outputs = mock_engine.platform(config)
    whole = [[each.type, each.name, plain(each.inputs)] for each in registered]
    plan = [
        Resource(each.type, each.name, each.id, plain(each.inputs))
        for each in registered
        if each.custom
    ]
    return json.dumps(whole, sort_keys=True).encode(), outputs, plan


@pytest.mark.parametrize("part", range(PARTS))
def test_any_valid_stack_file_builds_on_every_cloud_and_renders_the_same_twice(
    store: Path, part: int
) -> None:
    @seed(SEED + part)
    @settings(
        max_examples=-(-FILES // PARTS),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(stack_files)
    def check(file: dict[str, Any]) -> None:
        contracts = {}
        for cloud in CLOUDS:
            raw = engine_values(settings_for(cloud, file))
            registrations, outputs, plan = built(raw, store)
            texts = [value for name, value in outputs.items() if name != "models"]
            texts += [value for model in outputs["models"].values() for value in model.values()]
            assert all(isinstance(value, str) and value for value in texts), outputs
            contracts[cloud] = set(outputs)
            broken = [str(v) for rule in RULES for v in violations(rule, plan)]
            assert not broken, "\n".join(broken)
            if cloud == file["triplane:cloud"]:
                refused = [
                    f"{each.name} ({each.type}): {problem}"
                    for each in plan
                    if request_models.is_covered(cloud, each.type)
                    for problem in request_models.problems(cloud, each)
                ]
                assert not refused, "\n".join(refused)
                again, outputs_again, _ = built(raw, store)
                assert registrations == again, f"{cloud}: two renders differ"
                assert outputs == outputs_again, f"{cloud}: two renders export different values"
        assert contracts["aws"] == contracts["gcp"] == contracts["azure"]

    check()


def test_make_soak_and_make_fuzz_say_how_much_is_tested() -> None:
    code = (
        "import tests.conftest; from tests.soak import test_no_op\n"
        "print(test_no_op.FILES, test_no_op.SEED, os.environ['TRIPLANE_FUZZ_REQUESTS'])"
    )
    asked = {"TRIPLANE_SOAK_FILES": "7", "TRIPLANE_SOAK_SEED": "8", "TRIPLANE_FUZZ_REQUESTS": "9"}
    printed = subprocess.check_output(
        [sys.executable, "-c", f"import os; {code}"], cwd=ROOT, env={**os.environ, **asked}
    )
    assert printed.split() == [b"7", b"8", b"9"]


def test_every_setting_is_drawn() -> None:
    assert {setting.key for setting in all_settings()} == DRAWN_SETTINGS


def test_the_first_rendered_file_sets_every_setting() -> None:
    whole = next(iter(render.FILES.values())) | dict.fromkeys((*render.REGIONS, "triplane:cloud"))
    for key in (setting.key for setting in all_settings()):
        found: Any = whole
        for part in key.replace("<name>", "flight-delay").split("."):
            assert part in found, f"{key} is not set"
            found = found[part]


def test_another_process_clock_and_host_give_the_same_render(store: Path, tmp_path: Path) -> None:
    """Within one process a set has the same order twice, and both renders are of the same day.

    Files and archives are compared by content, and resources with their options.
    """
    altered = {
        "PYTHONHASHSEED": "2",
        "TZ": "Pacific/Kiritimati",
        **dict.fromkeys(("USER", "LOGNAME", "HOSTNAME"), "another"),
        "HOME": str(tmp_path),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.soak.render", variant, str(store)],
            cwd=ROOT,  # as the engine does
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        for variant, environment in (
            (render.PLAIN, {"PYTHONHASHSEED": "1"}),
            (render.ALTERED, altered),
        )
    ]
    plain, other = (json.loads(process.communicate(timeout=600)[0]) for process in processes)
    assert plain.keys() == other.keys()
    for cloud, title in itertools.product(CLOUDS, render.FILES):
        prefix = f"{cloud}, {title}: triplane:"
        assert [key for key in plain if key.startswith(prefix)], f"nothing is recorded of {prefix}"
    differing = {key: (plain[key], other[key]) for key in plain if plain[key] != other[key]}
    assert not differing, "\n".join(f"{key}:\n{both}" for key, both in differing.items())
