"""The processes that the rehearsal starts. They are recorded, so that `stop` finds them after a kill -9."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from rehearsal.core.store import Store
from rehearsal.runtime.program_environment import loads_code

# The new process waits for a line before it becomes the program: if the rehearsal dies before the process
# is recorded, the pipe closes and the process ends. `exec` keeps the process id and the start time.
WAIT_THEN_EXEC = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")

BOOT = Path("/proc/sys/kernel/random/boot_id")


def _with_variables(variables: Mapping[str, str]) -> list[str]:
    """The words before a command that give it these variables, too."""
    return ["/usr/bin/env", *(f"{k}={v}" for k, v in variables.items())] if variables else []


def last_lines(log: Path, lines: int, begin: int = 0) -> str:
    """The last lines of a process's log, of what was written after its first ``begin`` bytes."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(begin)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def start_time(pid: int) -> float | None:
    """When the process with this id started, in seconds with any origin; None if there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else _steady_start_time(process)
    except psutil.NoSuchProcess:
        return None


def _steady_start_time(process: psutil.Process) -> float:
    """When a process started. This must not change with the clock (a laptop that wakes up).

    Linux counts from its boot, and psutil adds the time of the boot, which changes with the clock.
    """
    if not psutil.LINUX:
        return float(process.create_time())
    boot = int(BOOT.read_text()[:6], 16) * 1e7  # keeps the processes of two boots apart
    return boot + float(process.create_time()) - float(psutil.boot_time())


def is_same_process(pid: int, start: float) -> bool:
    """Whether the process that started then still runs: its id alone may have been reused."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(_seconds_after(process, start)) < 2
    except psutil.NoSuchProcess:
        return False


def _seconds_after(process: psutil.Process, start: float) -> float:
    """How many seconds after ``start`` a process started."""
    # A version of this program before November 2026 put the time since the epoch on record.
    return min(_steady_start_time(process) - start, float(process.create_time()) - start, key=abs)


def end_sessions(groups: Iterable[tuple[int, float]], grace: float = 5) -> int:
    """Stop these sessions (leader's id and start time): SIGTERM, after ``grace`` seconds SIGKILL.

    Returns how many processes there were.
    """
    alive = [member for group in groups for member in _session_processes(*group)]
    for process in alive:
        _signal(process, signal.SIGTERM)
        _signal(
            process, signal.SIGCONT
        )  # a frozen one, as an idle Lambda is, would not see the first
    _, left = psutil.wait_procs(alive, timeout=grace)
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=grace)
    return len(alive)


def _session_processes(pid: int, start: float) -> list[psutil.Process]:
    if start_time(pid) is not None and not is_same_process(pid, start):
        return []  # the id belongs to another process now
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) != pid or _seconds_after(process, start) < -2:
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return members


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


class Processes:
    """Starts and stops processes, each the leader of its own session."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._logs: dict[int, Path] = {}

    def spawn(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        key: str,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process; its output is appended to ``log``. ``key`` is its name in `status`.

        ``env`` is the whole environment; None: that of the rehearsal.
        """
        self._forget_ended()
        log.parent.mkdir(parents=True, exist_ok=True)
        # The shell that waits is ours: what loads code is for the program alone.
        late = {name: value for name, value in (env or {}).items() if loads_code(name)}
        early = None if env is None else {k: v for k, v in env.items() if k not in late}
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*WAIT_THEN_EXEC, *_with_variables(late), *(os.fspath(each) for each in args)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=early,
                cwd=cwd,
                start_new_session=True,
            )
        self._store.add_process(process.pid, start_time(process.pid) or 0, key)
        self._running[process.pid] = process
        self._logs[process.pid] = log
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
        return process

    def stop(self, process: subprocess.Popen[bytes], grace: float = 5) -> None:
        """Stop a process and all that it started: SIGTERM, after ``grace`` seconds SIGKILL."""
        for pid, start, _ in self._store.processes():
            if pid == process.pid:
                end_sessions([(pid, start)], grace)
        process.wait(grace)
        self._forget_ended()

    def log(self, pid: int) -> Path | None:
        """The log of a process that was started here and has not ended, as far as is known."""
        return self._logs.get(pid)

    def stop_all(self) -> int:
        """Stop every recorded process, also those of a killed rehearsal; returns their number."""
        recorded = self._store.processes()
        count = end_sessions([(pid, start) for pid, start, _ in recorded])
        for process in self._running.values():
            process.poll()
        self._running.clear()
        self._logs.clear()
        self._store.remove_processes([pid for pid, _, _ in recorded])
        return count

    def _forget_ended(self) -> None:
        ended = [pid for pid, process in self._running.items() if process.poll() is not None]
        for pid in ended:
            del self._running[pid], self._logs[pid]
        self._store.remove_processes(ended)
