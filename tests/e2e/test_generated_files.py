"""Generated stack files on the real engine: each is created, does not change, and is destroyed without a trace.

The mock layer (tests/soak) draws hundreds of files; these few are what mocks cannot judge: whether the
engine and the clouds' rules accept what the program asks for. `make e2e-long` runs one file on each cloud;
TRIPLANE_ENGINE_FILES=20 runs twenty, TRIPLANE_SOAK_SEED=7 other ones.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from bench.harness import FLIGHT, Rehearsal, Stack, http_answer
from config.clouds import Cloud
from tests.soak.stack_files import CLOUDS, VERSIONS, settings_for, stack_files

FILES = int(os.environ.get("TRIPLANE_ENGINE_FILES", "1"))
SEED = int(os.environ.get("TRIPLANE_SOAK_SEED", "0"))


def drawn(number: int) -> dict[str, Any]:
    """One of the files that the soak draws from, always the same for a number."""
    files: list[dict[str, Any]] = []

    @seed(SEED + number)
    # The first is always the shortest that there is.
    @settings(
        max_examples=2,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(stack_files)
    def draw(file: dict[str, Any]) -> None:
        files.append(file)

    draw()
    return files[-1]


def existing_resources(rehearsal: Rehearsal) -> set[tuple[str, str]]:
    """Types and ids of all resources but a project's enabled APIs: those stay, as others may use them."""
    return {
        (each["token"], each["id"])
        for each in rehearsal.get("/_api/resources")
        if each["token"] != "gcp:projects/service:Service"
    }


@pytest.mark.parametrize("number", range(FILES))
@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_generated_file_is_created_unchanged_and_destroyed(
    rehearsal: Rehearsal, models: list[str], tmp_path: Path, cloud: Cloud, number: int
) -> None:
    # The soak's model versions are made up; these are trained.
    real = dict(zip((*VERSIONS, VERSIONS[1][:8]), (*models, models[1][:8]), strict=True))
    file = settings_for(cloud, drawn(number))
    if "max_concurrency" in file.get("triplane:gateway", {}):
        # An account with the usual quota reserves 900 (docs/reference/aws.md), and other functions have a part of it.
        gateway = file["triplane:gateway"]
        file["triplane:gateway"] = {
            **gateway,
            "max_concurrency": min(gateway["max_concurrency"], 500),
        }
    if "triplane:model" in file:
        file["triplane:model"] = real.get(file["triplane:model"], file["triplane:model"])
    print(file)  # pytest shows it when the test fails
    stack = Stack(rehearsal, f"drawn-{cloud}-{number}", tmp_path, file)
    before = existing_resources(rehearsal)
    stack.init()
    stack.up()

    outputs = stack.outputs()
    key = {"x-api-key": outputs["gateway_key"]} if "gateway_key" in outputs else {}
    answer = http_answer(f"{outputs['gateway_url']}/predict", {"instances": [FLIGHT]}, **key)
    assert answer.status == 200, answer
    assert answer.json["model_version"] == outputs["models"]["flight-delay"]["version"]

    stack.pulumi("preview", "--expect-no-changes")
    stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    # Everything that the platform can have is destroyed: a key, too, even if the file has a public gateway.
    gateway = {**file.get("triplane:gateway", {}), "access": "key"}
    last: dict[str, Any] = {"triplane:keep_data": False, "triplane:gateway": gateway}
    if any(file.get(name) != value for name, value in last.items()):
        stack.configure(**last)
        stack.up()
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert not stack.resources()
    assert existing_resources(rehearsal) == before
