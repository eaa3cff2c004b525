"""One rehearsal for the session, one stack for each cloud; both gone afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import ROOT, Rehearsal, Stack, run


@pytest.fixture(scope="session")
def models() -> list[str]:
    """Two versions of the model, the champion first. Trained once, then found in the store."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lambda")}
    train = [sys.executable, "-m", "model_server", "train"]
    run(train, environment, timeout=600)
    champion = (ROOT / ".models/flight-delay/champion").read_text().strip()
    other = run([*train, "--months", "1-6", "--no-promote"], environment, timeout=600).split()[-1]
    return [champion, other]


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    stands = Rehearsal(tmp_path_factory.mktemp("rehearsal") / "state")
    stands.start()
    with pytest.MonkeyPatch.context() as environment:
        # What an engineer's shell has after `make env`: the clouds' own clients find the rehearsal by it.
        for name, value in stands.environment.items():
            environment.setenv(name, value)
        yield stands
    stands.command("stop")


@pytest.fixture(scope="session", params=["aws", "gcp", "azure"])
def stack(
    request: pytest.FixtureRequest,
    rehearsal: Rehearsal,
    models: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Stack:
    """The platform of the worked example on one cloud, brought up once."""
    settings = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    folder: Path = tmp_path_factory.mktemp(request.param)
    stands = Stack(
        rehearsal, f"e2e-{request.param}", folder, {**settings, "triplane:cloud": request.param}
    )
    stands.init()
    stands.up()
    return stands
