"""The no-op proof without an engine: whatever a valid stack file says, rerunning the program changes nothing.

`make test` draws 300 files, always the same ones; `make soak` as many as it is told, and other ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import stack_config
from components.contracts import Cloud
from policy import aws, azure, gcp, record, rules  # noqa: F401  # the clouds add their checks
from tests import engine
from tests.soak.stack_files import CLOUDS, VERSIONS, handed_over, stack_files

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
        folder = store / stack_config.MODEL / version
        folder.mkdir(parents=True)
        for name in ("model.onnx", "card.json", "model.tar.gz"):
            (folder / name).write_text(version)
    (store / stack_config.MODEL / "champion").write_text(VERSIONS[0])
    return store


def built(raw: dict[str, Any], store: Path) -> tuple[bytes, dict[str, Any], record.Plan]:
    """The whole program under mocks: everything it registers as bytes, its outputs, and the plan."""
    config = stack_config.parse(raw, "Pulumi.soak.yaml", store=store)
    registered, outputs = engine.platform(config)
    whole = [[each.type, each.name, record.plain(each.inputs)] for each in registered]
    plan = [
        record.Resource(each.type, each.name, each.id, record.plain(each.inputs))
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
            raw = handed_over({**file, "triplane:cloud": cloud})
            render, outputs, plan = built(raw, store)
            assert all(isinstance(value, str) and value for value in outputs.values()), outputs
            contracts[cloud] = set(outputs)
            broken = [str(v) for rule in rules.RULES for v in rules.violations(rule, plan)]
            assert not broken, "\n".join(broken)
            if cloud == file["triplane:cloud"]:
                again, outputs_again, _ = built(raw, store)
                assert render == again, f"{cloud}: two renders differ"
                assert outputs == outputs_again, f"{cloud}: two renders export different values"
        assert contracts["aws"] == contracts["gcp"] == contracts["azure"]

    holds()


def fingerprint(cloud: Cloud, store: Path) -> str:
    """Of one render of a file that sets everything."""
    raw = {
        "triplane:cloud": cloud,
        "aws:region": "eu-west-1",
        "gcp:project": "triplane-dev",
        "gcp:region": "europe-west1",
        "azure-native:location": "westeurope",
        "triplane:machine": '{"aws": "ml.m5.large"}',
        "triplane:endpoint": '{"max_instances": 3}',
        "triplane:tags": json.dumps({letter: letter for letter in "zyxwvutsrq"}),
    }
    whole, outputs, _ = built(raw, store)
    return hashlib.sha256(whole + json.dumps(outputs, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_another_process_with_another_order_of_sets_renders_the_same(
    cloud: Cloud, store: Path
) -> None:
    """Within one process a set has the same order twice; another one hashes differently."""
    code = (
        "import sys; from pathlib import Path; from tests.soak import test_no_op as t;"
        "print(t.fingerprint(sys.argv[1], Path(sys.argv[2])))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, cloud, str(store)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.strip()
    assert told == fingerprint(cloud, store)
