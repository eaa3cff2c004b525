"""Starts and stops the resident process, and queries it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import http.client
import json
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import psutil

from rehearsal.core import control_token
from rehearsal.core.client_environment import isolate as isolate  # for the operations
from rehearsal.core.client_environment import isolated, shell_lines
from rehearsal.core.files import write_whole
from rehearsal.core.ports import Ports, is_free
from rehearsal.core.schema import PACKAGES, installed_sdks
from rehearsal.core.settings import (
    PACKAGE,
    PROFILE_VARIABLE,
    PROJECT_VARIABLE,
    START,
    STATE_VARIABLE,
    STOP,
    WIPE,
    UnknownProfile,
    behaviour,
    project_folder,
)
from rehearsal.core.settings import state_folder as state_folder  # for the operations
from rehearsal.runtime import processes

FORMAT = 1
"""Of the state folder. Raise it with any change after which older state cannot be read."""
MARKER = "rehearsal.json"
LOG = "rehearsal.log"
PARTS = ("http", *PACKAGES)
START_SECONDS = 30
CODE = ("**/*.py", "page.html", "runtime/azurite/*.cjs")
"""The files of this package that a running rehearsal has read."""


class RehearsalError(Exception):
    """Why it cannot be done, and what to do; shown without a traceback."""


def prepare(state: Path) -> None:
    """Create the state folder, or check that this version can read it."""
    marker = state / MARKER
    if not marker.exists():
        if state.exists() and any(state.iterdir()):
            raise RehearsalError(
                f"{state} is not empty and not a rehearsal's: set {STATE_VARIABLE} to another folder"
            )
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(marker, json.dumps({"format": FORMAT}))
    try:
        found = json.loads(marker.read_text())["format"]
    except (ValueError, KeyError, TypeError):
        found = None
    if found == FORMAT:
        return
    if not isinstance(found, int):
        raise RehearsalError(
            f"{marker} does not name the format of the state beside it: it is incomplete, perhaps because"
            f' of a full disk. If this version wrote the state, write {{"format": {FORMAT}}} into it; if'
            f" not, delete the state with {WIPE}"
        )
    other = "newer" if found > FORMAT else "older"
    raise RehearsalError(
        f"the state in {state} is a{'n' if other == 'older' else ''} {other} version's (format {found}),"
        f" and this one reads format {FORMAT}. Nothing was changed. Go back to the version that wrote it"
        f" (and destroy there the stacks that matter), or delete this state with {WIPE}"
    )


def resident_pid(state: Path) -> int | None:
    """The process id of the running rehearsal, or None.

    It runs as long as the kernel reports its lock. The lock ends with a kill or a reboot, and neither a
    changed clock nor a reused process id makes the answer wrong.
    """
    try:
        with (state / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass
    try:
        return int(json.loads((state / "resident.json").read_text())[0])
    except (FileNotFoundError, ValueError):
        return None  # it is starting


def code_digest() -> str:
    """A digest of what a rehearsal started now would run: this package, and what is installed beside it.

    Of an installed package its version is enough: pip and uv write it into the name of a folder.
    """
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CODE for path in PACKAGE.glob(pattern)):
        digest.update(f"{path.relative_to(PACKAGE)}\0".encode() + path.read_bytes() + b"\0")
    for place in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        for folder in sorted(Path(place).glob("*.dist-info")):
            digest.update(f"{folder.name}\0".encode())
    return digest.hexdigest()


def _digest_of_running(state: Path) -> str:
    """The digest of the code that the running rehearsal was started from; empty if it has none."""
    try:
        return (state / "code").read_text()
    except FileNotFoundError:
        return ""


def _profile() -> str:
    """The profile of a rehearsal that is started now, by the environment."""
    try:
        return behaviour().profile
    except UnknownProfile as unknown:
        raise RehearsalError(str(unknown)) from None


def _is_in_use(state: Path, pid: int) -> bool:
    """Whether an engine is connected to one of its providers: an update is in progress."""
    ports = Ports(state / "addresses.json")
    providers = {ports.get(part) for part in PARTS if part != "http"}
    with _own(pid):
        connections = psutil.Process(pid).net_connections("tcp")
    return any(
        each.laddr.port in providers and each.status == psutil.CONN_ESTABLISHED
        for each in connections
    )


@contextlib.contextmanager
def _own(pid: int) -> Iterator[None]:
    """Raise `RehearsalError` if another user has started this rehearsal, root for instance."""
    try:
        yield
    except psutil.AccessDenied:
        raise RehearsalError(
            f"the rehearsal that runs here, process {pid}, is of another user, {psutil.Process(pid).username()}. As that user:"
            f" {STOP}"
        ) from None


def url(state: Path) -> str:
    """The address of the rehearsal's HTTP server."""
    return f"http://127.0.0.1:{Ports(state / 'addresses.json').get('http')}"


def request(state: Path, path: str, method: str = "GET", body: object = None) -> Any:
    """Send a request to the running rehearsal; returns its answer, or raises `RehearsalError` with its refusal."""
    if resident_pid(state) is None:
        raise RehearsalError(f"the rehearsal is not running. Start it with {START}")
    message = urllib.request.Request(
        url(state) + path,
        data=None if method == "GET" else json.dumps(body).encode(),
        headers={
            "content-type": "application/json",
            "authorization": f"Bearer {control_token.known(state)}",
        },
        method=method,
    )
    # Never through a proxy of this machine: this is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(message, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as refused:
        raise RehearsalError(_refusal(refused)) from None
    except (OSError, http.client.HTTPException, ValueError) as failure:
        raise RehearsalError(
            f"the rehearsal does not answer at {url(state)}: {str(failure).strip() or type(failure).__name__}. Its log is"
            f" {state / LOG}. To start it again: {STOP}, {START}"
        ) from None


def _refusal(answer: urllib.error.HTTPError) -> str:
    """The reason in a refusal. Only those of the control API are JSON."""
    text = answer.read().decode(errors="replace")
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(text)["error"])
    return (
        f"the rehearsal refuses {answer.url}: {answer.code} {text[:300].strip() or answer.reason}"
    )


def start(state: Path, say: Callable[[str], None], *, new_ports: bool = False) -> None:
    """Start the rehearsal and wait until it is ready; no effect if it runs already."""
    prepare(state)
    if not installed_sdks():
        raise RehearsalError(
            "none of the clouds' SDKs is installed here, and resource types are read from them: install"
            " the ones that the program uses (pulumi-aws, pulumi-gcp, pulumi-azure-native) into"
            f" {sys.prefix}"
        )
    profile = _profile()
    if resident_pid(state) and not _stops_outdated(state, profile, say):
        return
    began = time.monotonic()
    ports = Ports(state / "addresses.json")
    if new_ports:
        for part in PARTS:
            ports.release(part)
    kept = {part: ports.get(part) for part in PARTS}
    for part in PARTS:
        port = ports.port_of(part)
        if kept[part] and not _becomes_free(port):
            raise RehearsalError(
                f"port {port} (of {part}) is taken by another program. The stacks' state contains URLs"
                " with this port, so it is not changed automatically: stop that program, or choose new"
                " ports with `python -m rehearsal start --new-ports` and run `pulumi up` again"
            )
    say(f"starting the rehearsal ({profile}) …")
    with (state / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rehearsal", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=PACKAGE.parent,
            env={
                **isolated(os.environ),
                STATE_VARIABLE: str(state),
                PROJECT_VARIABLE: str(project_folder()),
            },
            start_new_session=True,
        )
    _wait(state, process)
    say(
        f"the rehearsal is ready after {time.monotonic() - began:.1f} s: {url(state)}. It stays until {STOP}"
    )


def runs_as_wanted(state: Path) -> str | None:
    """What `start` would report of a rehearsal that it would leave as it is; None if there is none, or not such a one.

    `start` has a process of its own, because the rehearsal stays. Without it a command that changes nothing is faster.
    """
    try:
        profile = _profile()
        running = request(state, "/_api/status")
    except RehearsalError:
        return None  # `start` says why
    return _left_as_it_is(state, running, profile)


def _left_as_it_is(state: Path, running: dict[str, Any], profile: str) -> str | None:
    if running.get("profile") != profile or _digest_of_running(state) != code_digest():
        return None
    return f"the rehearsal ({profile}) runs already: {url(state)}"


def _stops_outdated(state: Path, profile: str, say: Callable[[str], None]) -> bool:
    """Whether the running rehearsal is stopped, because its code or its profile is not the one wanted now."""
    _wait(state, None)
    running = request(state, "/_api/status")
    if text := _left_as_it_is(state, running, profile):
        say(text)
        return False
    pid = resident_pid(state)
    in_use = pid is not None and _is_in_use(state, pid)
    if running.get("profile") != profile:  # one of an earlier version has none
        change = f"has the profile {running.get('profile')}, and {profile} is wanted"
        if in_use:
            raise RehearsalError(
                f"the rehearsal {change}, but an update is using it. Wait until it has ended, or choose"
                f" {PROFILE_VARIABLE}={running.get('profile')}"
            )
        say(f"the rehearsal {change}: it is restarted; its resources are kept")
    else:
        if in_use:
            say("the rehearsal's code was changed, but an update is using it: it is not restarted")
            return False
        say("the rehearsal's code was changed: it is restarted; its resources are kept")
    stop(state, say)
    return True


def _becomes_free(port: int) -> bool:
    """Whether no process listens there; a process that was just killed releases it after a moment."""
    deadline = time.monotonic() + 2
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _wait(state: Path, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if resident_pid(state):
            try:
                request(state, "/_api/status")
                return
            except RehearsalError:
                pass
        if process and process.poll() is not None and not resident_pid(state):
            break
        time.sleep(0.05)
    log = state / LOG
    tail = processes.last_lines(log, 15)
    raise RehearsalError(f"the rehearsal did not become ready; the end of {log}:\n{tail}")


def stop(state: Path, say: Callable[[str], None]) -> None:
    """Stop the rehearsal and everything that it started, also if it was killed before."""
    if not (state / MARKER).exists():
        say("there is no rehearsal to stop")
        return
    pid = resident_pid(state)
    if pid:
        # The processes that it started are in sessions of their own; it stops them, and then ends.
        with _own(pid):
            processes.end_sessions([(pid, processes.start_time(pid) or 0)], grace=20)
    left = _stop_orphans(state)
    (state / "resident.json").unlink(missing_ok=True)
    if pid or left:
        say(
            "the rehearsal is stopped"
            + (f", and {left} processes that it had started" if left else "")
        )
    else:
        say("the rehearsal was not running")


def _stop_orphans(state: Path) -> int:
    """Stop the processes that a killed rehearsal left; returns their number."""
    if not (state / "rehearsal.sqlite").exists():
        return 0
    from rehearsal.core.credentials import storage_key
    from rehearsal.core.store import Store, Unreadable

    try:
        store = Store(state / "rehearsal.sqlite", storage_key(state))
    except Unreadable:
        return 0  # their ids cannot be read; `start` reports what is wrong
    try:
        return processes.Processes(store).stop_all()
    finally:
        store.close()


def wipe(state: Path, say: Callable[[str], None], *, stacks_are_gone: bool = False) -> None:
    """Stop, and delete the state. ``stacks_are_gone``: whoever calls has deleted the stacks that were rehearsed here."""
    if not state.exists():
        say("there is no state to delete")
        return
    if not (state / MARKER).exists():
        raise RehearsalError(
            f"{state} is not a rehearsal's directory (no {MARKER} in it): nothing was deleted"
        )
    stop(state, say)
    shutil.rmtree(state)
    say(f"deleted: {state}")
    if not stacks_are_gone:
        say(
            "The stacks that were rehearsed here still list their resources: `pulumi refresh` corrects one, and `make wipe`"
            " in Triplane's clone deletes its stacks"
        )


def environment(state: Path) -> dict[str, str]:
    """What clients need to reach the rehearsal."""
    if resident_pid(state) is None:
        raise RehearsalError(f"the rehearsal is not running. Start it with {START}")
    settings: dict[str, str] = json.loads((state / "environment.json").read_text())
    return settings


def shell_script(state: Path, own: Mapping[str, str] | None = None) -> str:
    """What a shell evaluates so that everything in it reaches the rehearsal and nothing else; ``own`` wins."""
    lines = shell_lines(os.environ, {**environment(state), **(own or {})})
    return "\n".join(lines)


def _take_lock(lock: IO[str]) -> bool:
    """Take the lock, unless another rehearsal has it; `resident_pid` takes it for a moment only."""
    deadline = time.monotonic() + 1
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def serve(state: Path) -> None:
    """Be the resident process. The kernel releases the lock when the process ends, in any way."""
    from rehearsal import server
    from rehearsal.core.store import Unreadable

    prepare(state)
    with (state / "lock").open("w") as lock:
        if not _take_lock(lock):
            raise RehearsalError("another rehearsal is starting or running here")
        logging.basicConfig(
            level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
        )
        (state / "resident.json").unlink(missing_ok=True)  # a killed one's
        write_whole(state / "code", code_digest())
        identity = [os.getpid(), processes.start_time(os.getpid())]
        write_whole(state / "resident.json", json.dumps(identity))
        ports = Ports(state / "addresses.json")
        try:
            asyncio.run(server.run(state, {part: ports.port_of(part) for part in PARTS}))
        except Unreadable as unreadable:
            raise RehearsalError(str(unreadable)) from None
