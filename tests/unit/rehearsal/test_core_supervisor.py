"""Starting and stopping the resident process, and what it does when it is treated badly."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest

from rehearsal import supervisor
from rehearsal.core.ports import Ports
from rehearsal.supervisor import RehearsalError

pytestmark = pytest.mark.emulator


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    state = tmp_path / "state"
    yield state
    supervisor.stop(state, lambda _: None)


def start(state: Path, **options: bool) -> str:
    reported: list[str] = []
    supervisor.start(state, reported.append, **options)
    return reported[-1]


def test_a_rehearsal_starts_survives_a_kill_stops_and_is_wiped(state: Path) -> None:
    assert supervisor.runs_as_wanted(state) is None
    assert "is ready" in start(state)
    assert "runs already" in start(state), "starting twice is harmless"
    assert supervisor.runs_as_wanted(state) == start(state)
    first = supervisor.request(state, "/_api/status")
    assert first["memory_mb"] < 150
    addresses = {each.laddr.ip for each in psutil.Process(first["pid"]).net_connections()}
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1"}, "it is reached through loopback only"
    environment = supervisor.environment(state)
    assert environment["PULUMI_DEBUG_PROVIDERS"].count(":") == 3

    os.kill(first["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 5
    while supervisor.resident_pid(state) and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(RehearsalError, match="is not running"):
        supervisor.request(state, "/_api/status")
    (state / "objects" / "s3").mkdir(parents=True)  # as if a bucket had been made
    assert "is ready" in start(state), "neither its lock nor its process id is in the way"
    assert supervisor.environment(state) == environment, "URLs are the same after a restart"

    with urllib.request.urlopen(supervisor.url(state)) as page:
        assert "Triplane rehearsal" in page.read().decode()
    with pytest.raises(RehearsalError, match="there is no fault explode"):
        supervisor.request(state, "/_api/faults", "POST", {"what": "explode"})

    deadline = time.monotonic() + 20
    while not (running := supervisor.request(state, "/_api/status"))["processes"]:
        assert time.monotonic() < deadline, "the object store did not come back"
        time.sleep(0.02)
    pid, store = running["pid"], running["processes"][0]["pid"]
    reported: list[str] = []
    supervisor.stop(state, reported.append)
    assert reported == ["the rehearsal is stopped"], "it has stopped its object store"
    assert not psutil.pid_exists(store)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    supervisor.wipe(state, reported.append)
    assert not state.exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<h1>no</h1>", r"refuses http://.*: 502 <h1>no</h1>"),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", r"refuses http://.*: 500 Oops"),
        (b'HTTP/1.1 409 No\r\n\r\n{"error": "there is none"}', r"^there is none$"),
        (b"HTTP/1.1 200 OK\r\n\r\n<h1>hello</h1>", r"does not answer at .*Its log is"),
        (b"SSH-2.0-OpenSSH\r\n", r"does not answer at .*Its log is"),
    ],
    ids=["page", "nothing", "refusal", "no JSON", "no HTTP"],
)
def test_an_answer_that_is_not_the_rehearsals_is_a_reason_and_no_traceback(
    answer: bytes, reason: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.prepare(state)
    monkeypatch.setattr(supervisor, "resident_pid", lambda _: os.getpid())

    def once(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr(supervisor, "url", lambda _: address)
        Thread(target=once, args=(listening,), daemon=True).start()
        with pytest.raises(RehearsalError, match=reason):
            supervisor.request(state, "/_api/status")
    monkeypatch.undo()


@pytest.mark.parametrize(
    "asks",
    [
        lambda state: supervisor._is_in_use(state, os.getpid()),
        lambda state: supervisor.stop(state, lambda _: None),
    ],
    ids=["start", "stop"],
)
def test_a_rehearsal_of_another_user_is_a_reason_and_no_traceback(
    asks: Callable[[Path], object], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started with `sudo`, say."""

    def denied(*_: object, **__: object) -> None:
        raise psutil.AccessDenied(os.getpid())

    supervisor.prepare(state)
    with monkeypatch.context() as foreign:
        foreign.setattr(supervisor, "resident_pid", lambda _: os.getpid())
        foreign.setattr(psutil.Process, "net_connections", denied)
        foreign.setattr(supervisor.processes, "end_sessions", denied)
        with pytest.raises(RehearsalError, match=r"process \d+, is of another user, .*: `"):
            asks(state)


def test_a_port_that_another_program_took_is_reported_with_the_way_out(state: Path) -> None:
    supervisor.prepare(state)
    port = Ports(state / "addresses.json").port_of("gcp")
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(
            RehearsalError, match=rf"port {port} \(of gcp\) is taken .* --new-ports"
        ):
            start(state)
        assert "is ready" in start(state, new_ports=True)


def test_a_stored_process_id_of_another_process_is_ignored(state: Path) -> None:
    supervisor.prepare(state)
    (state / "resident.json").write_text(json.dumps([os.getpid(), 1.0]))
    assert supervisor.resident_pid(state) is None
    reported: list[str] = []
    supervisor.stop(state, reported.append)
    assert reported == ["the rehearsal was not running"]


def test_a_start_without_any_sdk_names_the_packages_to_install(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "installed_sdks", dict)
    with pytest.raises(RehearsalError, match=r"install the ones .* \(pulumi-aws, pulumi-gcp, "):
        start(state)


def test_a_folder_that_is_not_a_rehearsals_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RehearsalError, match="is not empty and not a rehearsal's"):
        start(tmp_path)
    with pytest.raises(RehearsalError, match="not a rehearsal's directory"):
        supervisor.wipe(tmp_path, print)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_state_of_another_format_is_refused_with_the_way_out(state: Path) -> None:
    supervisor.prepare(state)
    for other, age in ((0, "older"), (2, "newer")):
        (state / supervisor.MARKER).write_text(json.dumps({"format": other}))
        output = rf"{age} version's \(format {other}\), .* reads format 1.*make wipe"
        with pytest.raises(RehearsalError, match=output):
            start(state)
