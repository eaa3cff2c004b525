"""`make judge`: what the rehearsal answers for AWS, beside what moto, which other people wrote, answers.

Both get the same operations. Where they differ, somebody has looked up who is right (`disagreements`).
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from policy import tool_environment
from rehearsal.aws import routes
from rehearsal.provider.context import Context
from tests.judge.aws_operations import OPERATIONS
from tests.judge.aws_sides import AT_CHECK, NO_ANSWER, Answer, Rehearsal, Side
from tests.judge.disagreements import DISAGREEMENTS, NO_OPINION
from tests.unit.rehearsal.conftest import contexts, live_context

__all__ = ["contexts", "live_context"]  # fixtures of the rehearsal's own tests
START_SECONDS = 30
Answers = Mapping[str, Answer]


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@pytest.fixture
def ours(live_context: Context) -> Iterator[Answers]:
    """The rehearsal's answers, by operation."""
    app = Starlette(routes=[Mount("/aws", routes=routes.routes(live_context))])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + START_SECONDS
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield Rehearsal(live_context, f"http://127.0.0.1:{port}/aws/").answers(OPERATIONS)
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def motos(tmp_path: Path) -> Iterator[Answers]:
    """moto's answers, by operation. Its server runs in an environment of its own, without this machine's settings."""
    port = free_port()
    program = tool_environment.created("moto") / "bin" / "moto_server"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    with (tmp_path / "moto.log").open("w") as log:
        process = subprocess.Popen(
            [str(program), "-H", "127.0.0.1", "-p", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        await_answer(f"http://127.0.0.1:{port}/moto-api/", process)
        yield Side(f"http://127.0.0.1:{port}", "none", "none").answers(OPERATIONS)
    finally:
        process.terminate()
        process.wait(10)


def await_answer(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"moto's server does not answer; it exited with {process.poll()}")


def test_every_disagreement_with_moto_is_judged_by_a_document_of_aws(
    ours: Answers, motos: Answers
) -> None:
    assert {name for name, each in motos.items() if each.code == NO_ANSWER} == NO_OPINION
    assert not [name for name, each in ours.items() if each.code == NO_ANSWER]
    differ = {name for name, each in ours.items() if each.differs(motos[name])}
    judged = {each.operation for each in DISAGREEMENTS}
    new = [f"{name}: {ours[name]}, but moto {motos[name]}" for name in sorted(differ - judged)]
    assert not new, "find out who is right, and add a line to disagreements.py"
    assert not judged - differ, "they agree now: remove the lines"


def test_operations_and_lines_have_names_of_their_own() -> None:
    names = [each.name for each in OPERATIONS]
    assert len(set(names)) == len(names)
    judged = [each.operation for each in DISAGREEMENTS]
    assert len(set(judged)) == len(judged)
    assert all(each.source.startswith("https://docs.aws.amazon.com/") for each in DISAGREEMENTS)
    assert all(each.note for each in DISAGREEMENTS if each.right != "rehearsal")


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (Answer("NoSuchKey", 404), Answer("", 200, []), True),
        (Answer("NoSuchKey", 404), Answer("NoSuchVersion", 404), True),
        (Answer("NoSuchKey", 404), Answer("NoSuchKey", 400), True),
        (Answer("", 200, [1]), Answer("", 200, [2]), True),
        (Answer("", 200, [1]), Answer("", 200, [1]), False),
        (Answer("NoSuchEntity"), Answer("NoSuchEntity", 404), False),
        (Answer(AT_CHECK), Answer("ValidationError", 400), False),
        (Answer(AT_CHECK), Answer("", 200, []), True),
        (Answer("", 200, []), Answer(NO_ANSWER), False),
    ],
)
def test_answers_are_compared_as_far_as_both_sides_report(
    one: Answer, other: Answer, differ: bool
) -> None:
    assert one.differs(other) == differ
    assert other.differs(one) == differ
