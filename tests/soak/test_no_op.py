"""The no-op proof without an engine: whatever a valid stack file says, rerunning the program changes nothing.

`make test` draws 300 files, always the same ones; `make soak` as many as it is told, and other ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from api_models.resource import Plan, Resource
from config.model_store import MODEL
from config.schema import all_settings
from config.validation import config_of_values
from policy import mock_engine, request_models
from policy.enforcement import violations
from policy.plain import plain
from policy.rules import RULES
from tests.soak import elsewhere
from tests.soak.stack_files import CLOUDS, DRAWN, VERSIONS, handed_over, on, stack_files

ROOT = Path(__file__).resolve().parents[2]
FILES = int(os.environ.get("TRIPLANE_SOAK_FILES", "300"))
SEED = int(os.environ.get("TRIPLANE_SOAK_SEED", "0"))
PARTS = 6
"""The files are drawn in parts, each with a seed of its own, so that every core has some."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("models"))


def filled(store: Path) -> Path:
    """A model store with `VERSIONS`, the first of which is the champion."""
    for version in VERSIONS:
        folder = store / MODEL / version
        folder.mkdir(parents=True)
        for name in ("model.onnx", "card.json", "model.tar.gz"):
            (folder / name).write_text(version)
    (store / MODEL / "champion").write_text(VERSIONS[0])
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
    def holds(file: dict[str, Any]) -> None:
        contracts = {}
        for cloud in CLOUDS:
            raw = handed_over(on(cloud, file))
            render, outputs, plan = built(raw, store)
            assert all(isinstance(value, str) and value for value in outputs.values()), outputs
            contracts[cloud] = set(outputs)
            broken = [str(v) for rule in RULES for v in violations(rule, plan)]
            assert not broken, "\n".join(broken)
            if cloud == file["triplane:cloud"]:
                unlike = [
                    f"{each.name} ({each.type}): {problem}"
                    for each in plan
                    if request_models.is_covered(cloud, each.type)
                    for problem in request_models.problems(cloud, each)
                ]
                assert not unlike, "\n".join(unlike)
                again, outputs_again, _ = built(raw, store)
                assert render == again, f"{cloud}: two renders differ"
                assert outputs == outputs_again, f"{cloud}: two renders export different values"
        assert contracts["aws"] == contracts["gcp"] == contracts["azure"]

    holds()


def test_every_setting_is_drawn() -> None:
    assert {setting.key for setting in all_settings()} == DRAWN


def test_the_file_rendered_elsewhere_sets_everything() -> None:
    whole = next(iter(elsewhere.FILES.values())) | dict.fromkeys(
        (*elsewhere.PLACES, "triplane:cloud")
    )
    for key in (setting.key for setting in all_settings()):
        top, _, inner = key.partition(".")
        assert top in whole, f"{key} is not set"
        assert not inner or inner in whole[top], f"{key} is not set"


def test_another_process_time_and_machine_render_the_same(store: Path, tmp_path: Path) -> None:
    """Within one process a set has the same order twice, and it is the same day.

    Files and archives are compared by what is in them, and resources with their options.
    """
    away = {
        "PYTHONHASHSEED": "2",
        "TZ": "Pacific/Kiritimati",
        **dict.fromkeys(("USER", "LOGNAME", "HOSTNAME"), "elsewhere"),
        "HOME": str(tmp_path),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.soak.elsewhere", where, str(store)],
            cwd=ROOT,  # as the engine does, wherever it was called
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        for where, environment in (("here", {"PYTHONHASHSEED": "1"}), ("elsewhere", away))
    ]
    here, there = (json.loads(process.communicate(timeout=600)[0]) for process in processes)
    assert here.keys() == there.keys()
    differing = {what: (here[what], there[what]) for what in here if here[what] != there[what]}
    assert not differing, "\n".join(f"{what}:\n{both}" for what, both in differing.items())
