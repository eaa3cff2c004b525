"""One rehearsal for the session, one stack for each cloud; both gone afterwards."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import ROOT, Rehearsal, Stack, run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a cloud's stack go to one worker, which brings it up once."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            cloud = item.callspec.params["stack"]  # type: ignore[attr-defined]
            item.add_marker(pytest.mark.xdist_group(cloud))


@pytest.fixture(scope="session")
def models() -> list[str]:
    """Two versions of the model, the champion first. Trained once, then found in the store."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lambda")}
    train = [sys.executable, "-m", "model_server", "train"]
    store = ROOT / ".models/flight-delay"
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".training").open("w") as one_at_a_time:  # the workers share the store
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        run(train, environment, timeout=600)
        other = run([*train, "--months", "1-6", "--no-promote"], environment, timeout=600)
    return [(store / "champion").read_text().strip(), other.split()[-1]]


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
