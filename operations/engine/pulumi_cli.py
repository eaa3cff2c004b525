"""Pulumi's command line on one stack. Nothing else in this repository starts ``pulumi`` for a stack.

Why this is not the Automation API: docs/decisions/0008-pulumi-by-its-command-line.md.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, NamedTuple, TextIO

from operations.engine.disk_space import MINIMUM, disk_shortages
from operations.engine.installation import HOME
from operations.engine.previews import Step, errors_in, previewed_steps, refresh_steps
from operations.engine.pulumi_errors import error_text, explained
from operations.terminal import Terminated, fail, has_colours, say, waiting

WITHOUT_SETTINGS = ("stack", "state", "cancel")
"""Commands that act on the state alone, and know no --config-file."""

WITHOUT_SIGHUP = ("/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh")
"""Before a command that a closed terminal shall not end at once: it is interrupted in place of that."""


@dataclass(frozen=True)
class PulumiCli:
    """Runs ``pulumi`` on one stack: in the terminal (`stream`), or for its output (`capture` and the rest)."""

    stack: str
    settings: Path
    """The stack file. Every command that takes ``--config-file`` is given it."""
    environment: Mapping[str, str]
    project: Path = HOME
    """The folder of the program."""
    options: tuple[str, ...] = ()
    """Further options of every command."""
    explains_streams: bool = False
    """Whether `stream` also reads the engine's errors, and prints the way out. It does so where the backend
    is not this clone's: only the engine sees the locks of such a backend."""

    def command(self, *words: str) -> list[str]:
        """The command line: ``pulumi WORDS`` on this stack, with its settings."""
        settings = [] if words[0] in WITHOUT_SETTINGS else ["--config-file", str(self.settings)]
        return ["pulumi", *words, "--stack", self.stack, *self.options, *settings]

    def stream(self, *words: str) -> int:
        """Run in the terminal, and stop the engine before a disk is full. Returns the exit code."""
        command = self.command(*words)
        if not self.explains_streams:
            return run_watched(command, self.environment, self.project)
        errors: list[str] = []
        code = run_watched(command, self.environment, self.project, errors)
        text = "".join(errors) + _logged_errors(words)
        if code and (way_out := explained(text, self.settings).removeprefix(text)):
            print(way_out, file=sys.stderr)
        return code

    def capture(
        self, *words: str, stdin: str | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever the exit code is, and return what was printed."""
        return self._captured(self.command(*words), self.project, stdin, timeout)

    def output(self, *words: str, stdin: str | None = None) -> str:
        """What a command prints on stdout. Leaves with Pulumi's reason if it fails."""
        return self._succeeded(self.capture(*words, stdin=stdin))

    def json(self, *words: str) -> Any:
        """The JSON that a command prints. Leaves with Pulumi's reason if it fails."""
        return json.loads(self.output(*words) or "{}")

    def refresh_steps(self) -> list[Step]:
        """What a refresh would change. Leaves with Pulumi's reason if it fails."""
        done, event_log = self.captured_refresh()
        self._succeeded(done)
        return refresh_steps(event_log)

    def streamed_preview(self, *words: str) -> tuple[int, list[Step]]:
        """Run a preview with these options in the terminal; its exit code, and its steps if it succeeded."""
        with self._event_log() as (log, hidden):
            code = replace(self, environment=hidden).stream(
                "preview", *words, "--event-log", str(log)
            )
            return code, [] if code else previewed_steps(log.read_text())

    def captured_refresh(self) -> tuple[subprocess.CompletedProcess[str], str]:
        """Run a refresh that changes nothing, whatever its exit code is; what was printed, and its event log."""
        with self._event_log() as (log, hidden):
            words = ("refresh", "--preview-only", "--json", "--event-log", str(log))
            done = replace(self, environment=hidden).capture(*words)
            return done, log.read_text() if log.exists() else ""

    @contextmanager
    def _event_log(self) -> Iterator[tuple[Path, dict[str, str]]]:
        """A file for an event log, and the environment in which the engine writes it.

        The log has secrets in the Python SDK's own messages: its file is deleted at once.
        """
        with TemporaryDirectory() as folder:
            # `--event-log` is for programs that drive Pulumi, and does not exist without this.
            yield (
                Path(folder, "events.json"),
                {**self.environment, "PULUMI_DEBUG_COMMANDS": "true"},
            )

    def unnamed(self, *words: str, timeout: float | None = None) -> str:
        """What a command that acts on no stack prints on stdout. Leaves with Pulumi's reason if it fails.

        Raises subprocess.TimeoutExpired.
        """
        command = ["pulumi", *words, *self.options]
        return self._succeeded(self._captured(command, self.project, timeout=timeout))

    def create_stack(
        self, folder: Path, *, select: bool = False, secrets_provider: str = ""
    ) -> None:
        """Create the stack, from a folder with a Pulumi.yaml. ``select``: bare commands then use it.

        `stack init` knows no --config-file: it writes to the stack file that is in the project's folder.
        Without ``secrets_provider`` it takes the backend's default.
        """
        words = [] if select else ["--no-select"]
        if secrets_provider:
            words += ["--secrets-provider", secrets_provider]
        command = ["pulumi", "stack", "init", self.stack, *self.options, *words]
        print(self._succeeded(self._captured(command, folder)), end="", flush=True)

    def _captured(
        self,
        command: list[str],
        folder: Path,
        stdin: str | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        # Without a terminal to print on, Pulumi asks nothing, so nothing waits on stdin.
        source: dict[str, Any] = (
            {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        )
        with waiting(f"`{' '.join(command[:2])}` on {self.stack}"):
            return subprocess.run(
                command,
                cwd=folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=timeout,
                **source,
            )

    def _succeeded(self, done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode:
            fail(explained(error_text(done), self.settings))
        return done.stdout


def _logged_errors(words: Sequence[str]) -> str:
    """The errors in the event log of a run, if it has one: a provider's are not printed on stderr."""
    if "--event-log" not in words:
        return ""
    log = Path(words[words.index("--event-log") + 1])
    return errors_in(log.read_text()) if log.exists() else ""


class Pipe(NamedTuple):
    """The two ends of a pipe."""

    reading: int
    writing: int


def run_watched(
    command: list[str],
    environment: Mapping[str, str],
    folder: Path = HOME,
    stderr_lines: list[str] | None = None,
) -> int:
    """Run the engine to its end, in the terminal; its exit code. It is stopped before a disk is full.

    With ``stderr_lines`` the lines of its stderr are also put in there. A reader of stdout that leaves (`make up | head`)
    does not end it in the middle of an operation, as its own write into that pipe would.
    """
    streams: dict[str, Pipe] = {}
    with ExitStack() as copies:
        if stderr_lines is not None:
            streams["stderr"] = copies.enter_context(_copied_to(sys.stderr, stderr_lines))
        if stat.S_ISFIFO(os.fstat(1).st_mode):
            streams["stdout"] = copies.enter_context(_copied_to(sys.stdout, []))
        return _run(command, environment, folder, streams)


@contextmanager
def _copied_to(stream: TextIO, lines: list[str]) -> Iterator[Pipe]:
    """A pipe. What a process writes into it appears on the stream and in the list.

    The process shall have the reading end, too. Or a write would end an engine whose command was killed:
    https://pkg.go.dev/os/signal#hdr-SIGPIPE
    """
    reading, writing = os.pipe()
    reader = Thread(target=_copy, args=(reading, stream, lines), daemon=True)
    reader.start()
    try:
        yield Pipe(reading, writing)
    finally:
        os.close(writing)
        reader.join(5)  # no longer: a process that outlives the engine may still hold the other end


def _copy(reading: int, stream: TextIO, lines: list[str]) -> None:
    with os.fdopen(reading, errors="replace") as text:
        for line in text:
            lines.append(line)
            with suppress(BrokenPipeError):
                print(line, end="", file=stream, flush=True)


def _run(
    command: list[str], environment: Mapping[str, str], folder: Path, streams: Mapping[str, Pipe]
) -> int:
    if not shutil.which(command[0], path=environment.get("PATH")):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    stopping = False
    started = [*WITHOUT_SIGHUP, *command]
    if not has_colours(sys.stdout):
        environment = {**environment, "NO_COLOR": "1"}  # the engine does not look at TERM
    with subprocess.Popen(
        started,
        cwd=folder,
        env=environment,
        stdout=streams["stdout"].writing if "stdout" in streams else None,
        stderr=streams["stderr"].writing if "stderr" in streams else None,
        pass_fds=[each.reading for each in streams.values()],
    ) as engine:
        while True:
            try:
                return engine.wait(1)
            except Terminated:
                engine.send_signal(signal.SIGINT)
            except KeyboardInterrupt:
                pass  # the terminal has sent it to the engine, too, which stops cleanly
            except subprocess.TimeoutExpired:
                if not stopping and (reasons := disk_shortages(MINIMUM)):
                    stopping = True
                    say(f"stopping the engine before its state is damaged: {'; '.join(reasons)}")
                    # It finishes the operations in progress, and begins no more.
                    engine.send_signal(signal.SIGINT)
