"""Whatever a command has started ends with the command, and the command with `make`, however either is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from operations import started_processes
from operations.engine.installation import HOME
from operations.started_processes import MARKS
from tests.processes import becomes, processes_of

SECONDS = 25
"""Within these what was started ends; by itself it would after 60."""

COMMAND = """
import os, subprocess, sys
from operations.engine.pulumi_cli import run_watched
from operations.started_processes import end_with_this_process, staying_environment
from operations.terminal import take_interrupts
take_interrupts()
end_with_this_process()
sleep = [sys.executable, "-c", "import time; time.sleep(60)", FOLDER]
subprocess.Popen(sleep, env=staying_environment(), start_new_session=True)
run_watched([sys.executable, FOLDER + "/engine.py", FOLDER], os.environ, stderr_lines=[])
"""
ENGINE = """
import pathlib, signal, subprocess, sys, time
folder = sys.argv[1]
# As the engine's plugins: a process group of its own, so that an interrupt does not reach it.
plugin = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", folder], start_new_session=True)
pathlib.Path(folder, "engine").touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("an operation is in progress", file=sys.stderr, flush=True)
    time.sleep(0.5)  # the rest of it
    if plugin.poll() is None:
        pathlib.Path(folder, "engine").write_text("finished")
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A `make` that runs a command, whose engine is in the middle of an operation."""
    (tmp_path / "command.py").write_text(f"FOLDER = {str(tmp_path)!r}\n{COMMAND}")
    (tmp_path / "engine.py").write_text(ENGINE)
    (tmp_path / "Makefile").write_text(f"up:\n\t@{sys.executable} {tmp_path}/command.py\n")
    environment = {name: value for name, value in os.environ.items() if name != MARKS}
    make = subprocess.Popen(
        ["make", "-f", str(tmp_path / "Makefile"), "up"],
        cwd=HOME,
        env={**environment, "PYTHONPATH": str(HOME)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(
            signal.SIGHUP, signal.SIG_DFL
        ),  # these tests may run below `nohup`
    )
    assert becomes((tmp_path / "engine").exists, SECONDS)
    yield tmp_path, make
    make.kill()
    make.wait()
    for each in psutil.process_iter(["cmdline"]):
        if str(tmp_path) in " ".join(each.info["cmdline"] or []):
            each.kill()


@pytest.mark.parametrize(
    ("killed", "number"),
    [
        ("make", signal.SIGKILL),
        ("make", signal.SIGTERM),
        ("command", signal.SIGKILL),
        ("command", signal.SIGTERM),
        ("all of the terminal", signal.SIGHUP),
        ("all of the terminal", signal.SIGKILL),
    ],
)
def test_what_a_killed_command_started_is_interrupted_and_ends(
    running: tuple[Path, subprocess.Popen[bytes]], killed: str, number: signal.Signals
) -> None:
    folder, make = running
    (command,) = psutil.Process(make.pid).children()
    match killed:
        case "make" | "command":
            os.kill(make.pid if killed == "make" else command.pid, number)
        case _:
            os.killpg(make.pid, number)
    make.wait(25)
    assert becomes(lambda: len(processes_of(folder)) == 1, SECONDS), processes_of(folder)
    (left,) = processes_of(folder).values()
    assert "time.sleep(60)" in left, "only what is to stay is left"
    finished = (folder / "engine").read_text() == "finished"
    assert finished or (killed, number) == ("all of the terminal", signal.SIGKILL), (
        "its operation in progress was cut off"
    )


@pytest.mark.parametrize(
    ("environment", "seconds", "code"),
    [({}, 60, -signal.SIGKILL), ({started_processes.ENDS_BY_ITSELF: "true"}, 2, 0)],
)
def test_what_does_not_end_in_time_is_killed_but_an_engine_on_a_real_cloud_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], seconds: int, code: int
) -> None:
    work = f"import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); time.sleep({seconds})"
    mark = f"test-{os.getpid()}-{seconds}"
    engine = subprocess.Popen(
        [sys.executable, "-c", work],
        env={**os.environ, **environment, MARKS: mark},
        stdout=subprocess.PIPE,
    )
    assert engine.stdout
    engine.stdout.readline()
    monkeypatch.setattr(started_processes, "GRACE", 0.5)
    started_processes._end(0, mark)
    engine.stdout.close()
    assert engine.wait(20) == code


def test_the_watcher_ends_with_its_command(
    running: tuple[Path, subprocess.Popen[bytes]],
) -> None:
    folder, make = running
    (command,) = psutil.Process(make.pid).children()
    watcher = next(
        each for each in command.children() if "started_processes" in " ".join(each.cmdline())
    )
    os.killpg(make.pid, signal.SIGINT)  # as a terminal does at Ctrl-C
    assert becomes(lambda: len(processes_of(folder)) == 1, SECONDS), processes_of(folder)
    assert becomes(
        lambda: not watcher.is_running() or watcher.status() == psutil.STATUS_ZOMBIE, SECONDS
    )
    assert (folder / "engine").read_text() == "finished"


def test_what_stays_ends_with_the_command_above_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rehearsal of `make crash` is started by commands that it runs."""
    monkeypatch.setattr(started_processes, "_own", ["inner"])
    monkeypatch.setenv(MARKS, "outer,inner")
    assert started_processes.staying_environment()[MARKS] == "outer"
    monkeypatch.setenv(MARKS, "inner")
    assert MARKS not in started_processes.staying_environment()
