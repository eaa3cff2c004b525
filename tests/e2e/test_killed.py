"""A `make` that is killed leaves nothing running but this clone's rehearsal, which `make down` stops."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.crash.checkout import Checkout
from rehearsal import supervisor
from tests.e2e.clone_processes import listening_ports, rehearsal_of, started
from tests.processes import becomes, processes_of


@pytest.fixture
def checkout(tmp_path: Path, models: list[str]) -> Iterator[Checkout]:
    created = Checkout("gcp", tmp_path)
    created.create()
    yield created
    created.run("rehearsal", "stop")


def test_a_killed_update_leaves_only_the_rehearsal_and_make_down_nothing(
    checkout: Checkout,
) -> None:
    def runs(part: str) -> bool:
        return any(part in line for line in processes_of(checkout.folder).values())

    def uploads() -> bool:
        return any("model" in name for name in checkout.pending()) and runs("pulumi.dynamic")

    checkout.run("rehearsal", "start")
    slow = ("--path", "*/models:upload", "--times", "0", "--seconds", "300")
    checkout.run("rehearsal", "fault", "slow", *slow)
    with started(checkout, "make", "up", "CLOUD=gcp") as make:
        assert becomes(uploads), checkout.output
        os.killpg(make.pid, signal.SIGKILL)
    left = processes_of(checkout.folder).keys() - rehearsal_of(checkout)
    assert becomes(lambda: not processes_of(checkout.folder).keys() - rehearsal_of(checkout), 20), (
        left
    )

    # Plain Pulumi has no watcher: its killed engine leaves Pulumi's language host for minutes, and nothing of ours.
    checkout.run("rehearsal", "fault", "slow", *slow)
    stack = f"--stack {checkout.stack} --config-file .pulumi/stacks/Pulumi.{checkout.stack}.yaml"
    plain = f'eval "$(make -s env)" && pulumi cancel --yes --stack {checkout.stack}; exec pulumi up --yes --skip-preview {stack}'
    with started(checkout, "sh", "-c", plain) as engine:
        assert becomes(uploads), checkout.output
        engine.kill()
    assert becomes(lambda: not runs("pulumi.dynamic"), 20)

    assert supervisor.resident_pid(checkout.folder / ".rehearsal")
    ports = listening_ports(rehearsal_of(checkout))
    assert len(ports) > 4
    subprocess.run(["make", "down"], cwd=checkout.folder, env=checkout.environment, check=True)
    left = {
        pid: line
        for pid, line in processes_of(checkout.folder).items()
        if "pulumi-language-python" not in line
    }
    assert not left
    assert not ports & listening_ports(processes_of(checkout.folder).keys())
