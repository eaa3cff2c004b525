"""One rehearsal for the session, one stack for each cloud; both gone afterwards."""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from bench.harness import ROOT, Rehearsal, Stack, run
from config.stack_file import StackFile
from operations.commands.preparation import training_environment
from operations.started_processes import end_with_this_process
from operations.terminal import take_interrupts

ON_A_STACK = (
    "test_browser.py",
    "test_drift.py",
    "test_former_state.py",
    "test_guards.py",
    "test_listeners.py",
    "test_platform.py",
    "test_raw_http.py",
    "test_reach_aws.py",
    "test_reach_azure.py",
    "test_reach_gcp.py",
    "test_recovery_ids.py",
    "test_rehearsal_page.py",
)
"""Whose tests share a cloud's stack."""
IN_A_BROWSER = ("test_gateway_page.py", "test_rehearsal_page.py")
"""Whose tests share a browser."""
IN_A_CLONE = "test_shell_stack.py"
"""Whose tests share a cloud's stack, too, which is of another clone's rehearsal."""
LONG = (
    "test_crash.py",
    "test_move.py",
    "test_pipelines.py",
    "test_generated_files.py",
    "test_realistic.py",
    IN_A_CLONE,
)
"""What takes longest of the others begins first, lest one worker end alone with it."""
CLOUD = re.compile(r"\[(aws|gcp|azure)\b")


take_interrupts()
end_with_this_process()


class ByCloud(LoadScopeScheduling):
    """Tests that share a cloud's stack go to one worker, which brings it up once.

    pytest-xdist has groups for this, but with pytest 9.2 version 3.8.0 loses them without a word: it writes
    them into `_nodeid`, which nobody reads any more. Then every worker brings up every stack.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        cloud = CLOUD.search(test)
        if cloud and file.endswith(ON_A_STACK):
            return cloud[1]
        if file.endswith(IN_A_BROWSER):
            return file
        return f"{file} {cloud[1]}" if cloud and file.endswith(IN_A_CLONE) else nodeid


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByCloud | None:
    return ByCloud(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A worker is given three at a time: one of each of the long ones, a cloud's."""

    def turn(item: pytest.Item) -> tuple[int, str, int]:
        file, cloud = item.path.name, CLOUD.search(item.name)
        return (0, cloud[1] if cloud else "", LONG.index(file)) if file in LONG else (1, "", 0)

    items.sort(key=turn)


@pytest.fixture(scope="session")
def models() -> list[str]:
    """Two versions of the flight model, the champion first. Trained once, then found in the store."""
    champion = trained("flight-delay")
    return [champion, trained("flight-delay", "--months", "1-6", "--no-promote")]


@pytest.fixture(scope="session")
def numbers() -> list[str]:
    """Two other models, whose champions are in the store."""
    names = ["arrival-delay", "digits"]
    for name in names:
        trained(name)
    return names


def trained(model: str, *words: str) -> str:
    """The version that a training gives. It is trained once, then found in the store; without words it is the champion."""
    train = [sys.executable, "-m", "training", "train", "--model", model, *words]
    store = ROOT / ".models" / model
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".training").open("w") as one_at_a_time:  # the workers share the store
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        version = run(train, training_environment(), timeout=600).split()[-1]
    return version if words else (store / "champion").read_text().strip()


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal(tmp_path_factory.mktemp("rehearsal") / "state")
    rehearsal.start()
    with pytest.MonkeyPatch.context() as environment:
        # What an engineer's shell has after `make env`: the clouds' own clients find the rehearsal by it.
        for name, value in rehearsal.environment.items():
            environment.setenv(name, value)
        yield rehearsal
    rehearsal.command("stop")
    # An error of the rehearsal's own, which it has answered with 500: a client may have tried again, and passed.
    log = (rehearsal.folder / "rehearsal.log").read_text(errors="replace")
    assert "Exception in ASGI application" not in log, log[-3000:]


@pytest.fixture(scope="session", params=["aws", "gcp", "azure"])
def stack(
    request: pytest.FixtureRequest,
    rehearsal: Rehearsal,
    models: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Stack:
    """The platform of the worked example on one cloud, created once."""
    if getattr(request.config.option, "loadgroup", False):
        worker = os.environ["PYTEST_XDIST_WORKER"]
        taken = tmp_path_factory.getbasetemp().parent / f"stack-{request.param}"
        with taken.open("a+") as workers:
            workers.write(f"{worker} ")
            workers.seek(0)
            assert workers.read() == f"{worker} ", "more than one worker creates this stack"
    settings = StackFile.read(ROOT / "Pulumi.dev.yaml").settings
    folder: Path = tmp_path_factory.mktemp(request.param)
    stack = Stack(
        rehearsal, f"e2e-{request.param}", folder, {**settings, "triplane:cloud": request.param}
    )
    stack.init()
    stack.up()
    return stack
