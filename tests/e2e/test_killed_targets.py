"""Each long target that is killed in the middle ends what it started, its own rehearsal and load servers included."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from operations.crash.checkout import Checkout
from tests.e2e.clone_processes import rehearsal_of, started
from tests.processes import becomes, processes_of

ENGINE = "pulumi-language-python"
TARGETS = {
    "soak": (("FILES=1",), ENGINE),
    "crash": (("CLOUD=gcp", "ONLY=gcp/create/kill-before"), ENGINE),
    "drill": (("CLOUD=gcp",), ENGINE),
    "deliver": (("CLOUD=gcp", "TESTS=none", f"COMMIT_SHA={'0' * 40}"), ENGINE),  # no git checkout
    "bench": ((), "model_server.serve"),
    "e2e": ((), ENGINE),
}
"""Words of each, and the process in whose presence it is killed."""


def runs(part: str, folder: Path) -> bool:
    return any(part in line for line in processes_of(folder).values())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("target", TARGETS)
def test_a_killed_target_ends_what_it_started(
    target: str, number: signal.Signals, tmp_path: Path, models: list[str]
) -> None:
    checkout = Checkout("gcp", tmp_path)
    checkout.create()
    words, begun = TARGETS[target]
    try:
        with started(checkout, "make", target, *words) as make:
            # On a busy machine `make soak` takes minutes until its engine runs.
            becomes(lambda: make.poll() is not None or runs(begun, tmp_path), 600)
            assert runs(begun, tmp_path), checkout.output
            os.kill(make.pid, number)
            make.wait(120)
            # The rehearsal of this clone, in which it delivers, stays; no other does.
            assert becomes(
                lambda: not processes_of(tmp_path).keys() - rehearsal_of(checkout), 120
            ), processes_of(tmp_path)
        assert bool(rehearsal_of(checkout)) == (target == "deliver")
    finally:
        checkout.run("rehearsal", "stop")
