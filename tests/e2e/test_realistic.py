"""The main job on clouds that grant late and take their time, on a shortened clock (`rehearsal.core.behaviour`)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bench.harness import FLIGHT, ROOT, Answer, Rehearsal, Stack, http_answer
from config.stack_file import StackFile
from tests.e2e import clients

SERVING_SECONDS = 60
"""So long after `up` a gateway may still answer 503 here: the longest grant is late by a third of it."""


@pytest.fixture(scope="module")
def slow_rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal(tmp_path_factory.mktemp("realistic") / "state", profile="realistic")
    rehearsal.start()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in rehearsal.environment.items():
            environment.setenv(name, value)
        yield rehearsal
    rehearsal.command("stop")


def first_prediction(outputs: dict[str, Any]) -> Answer:
    """The first answer that is a prediction. Before it there is nothing but 503, which invites to ask again."""
    deadline = time.monotonic() + SERVING_SECONDS
    while True:
        answer = http_answer(
            f"{outputs['gateway_url']}/predict",
            {"instances": [FLIGHT]},
            **{"x-api-key": outputs["gateway_key"]},
        )
        if answer.status == 200 or time.monotonic() > deadline:
            assert answer.status == 200, answer
            return answer
        assert answer.status == 503, answer
        time.sleep(0.5)


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_the_platform_comes_up_at_once_although_every_grant_is_late(
    cloud: str,
    slow_rehearsal: Rehearsal,
    models: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = StackFile.read(ROOT / "Pulumi.dev.yaml").settings
    folder = tmp_path_factory.mktemp(f"realistic-{cloud}")
    stack = Stack(slow_rehearsal, f"late-{cloud}", folder, {**settings, "triplane:cloud": cloud})
    stack.init()
    stack.up()
    outputs = stack.outputs()
    answer = first_prediction(outputs)
    assert answer.json["model_version"] == models[0]
    stack.pulumi("preview", "--expect-no-changes")
    client = clients.of(outputs)
    deadline = time.monotonic() + SERVING_SECONDS
    while not (captures := client.objects("captures/")):
        assert time.monotonic() < deadline, "the first prediction is not captured"
        time.sleep(0.5)
    captured = json.loads(client.read(sorted(captures)[0]))
    assert captured["predictions"] == answer.json["predictions"]
