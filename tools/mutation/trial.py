"""One mutant and its tests, in a process of their own.

The process is forked from one that has imported the libraries, but nothing of this project: the SDKs take seconds, and the
mutant must be imported in place of its module. The mutant is written into a copy of the repository, where processes that a
test starts find it, too.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import operator
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tools.mutation.mutants import Mutant

KILLED, SURVIVED, TIMEOUT = "killed", "survived", "timeout"
_SECONDS = itertools.count(1_000_000_000)
LAZY = ("pulumi_aws.", "pulumi_gcp.", "pulumi_azure_native.")
"""The SDKs, whose modules are loaded when they are first used, and break if their parts are imported before."""
NOT_BEFORE_A_FORK = ("gevent", "locust", "pytest", "_hypothesis_pytestplugin", "xdist")
"""Libraries that change others when they are imported, and plugins, which pytest imports itself."""


def import_libraries(names: Sequence[str], bytecode: Path) -> None:
    """Import what a mutant's process would. Bytecode of the project is kept apart, whatever the environment says."""
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(bytecode.resolve())
    for name in names:
        if name.split(".")[0] in NOT_BEFORE_A_FORK:
            continue
        with contextlib.suppress(Exception):
            if name.startswith(LAZY):
                package, _, module = name.partition(".")
                operator.attrgetter(f"{module}.__doc__")(sys.modules[package])
            else:
                importlib.import_module(name)
    gc.freeze()  # or the garbage collection of each process would copy all of it


class Chosen:
    """A pytest plugin: runs these tests, in this order. Cases that only the mutant has are run, too."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.order = {each: number for number, each in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        known = [each for each in items if each.nodeid in self.order]
        items[:] = sorted(known, key=lambda each: self.order[each.nodeid]) or items


def outcome(mutant: Mutant, tests: Sequence[str], seconds: float, copy: Path) -> str:
    """Whether one of these tests failed, none did, or they did not end in time."""
    file = copy / mutant.file
    source, times = file.read_bytes(), file.stat()
    file.write_bytes(mutant.applied_to(source))
    # Bytecode belongs to a file by its size and its seconds, and mutants follow each other in less than one.
    os.utime(file, (0, next(_SECONDS)))
    try:
        return unchanged_outcome(tests, seconds, copy)
    finally:
        file.write_bytes(source)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def unchanged_outcome(tests: Sequence[str], seconds: float, copy: Path) -> str:
    """The outcome of tests in the copy as it is."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            _run(tests, output.fileno(), copy)
        code = _exit_code(child, seconds)
    if code is None:
        return TIMEOUT
    return KILLED if code else SURVIVED


def _run(tests: Sequence[str], output: int, copy: Path) -> None:
    code = 3
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(copy)
        sys.path[:] = [each for each in sys.path if each not in ("", os.environ.get("PYTHONPATH"))]
        os.environ["PYTHONPATH"] = str(copy)
        functions = dict.fromkeys(each.partition("[")[0] for each in tests)
        # Without the plugin that collects garbage at the end: 0.5 s, as much as the imports.
        plugins = ["-p", "no:cacheprovider", "-p", "no:unraisableexception"]
        options = ["-x", "-q", *plugins, "--hypothesis-seed=0", "--tb=short"]
        code = pytest.main([*options, *functions], plugins=[Chosen(tests)])
    finally:
        sys.stdout.flush()
        os._exit(code)


def _exit_code(child: int, seconds: float) -> int | None:
    """The exit code of a process, or none if it had to be stopped. What it has started is stopped with it."""
    process = psutil.Process(child)
    code = None
    try:
        with contextlib.suppress(psutil.TimeoutExpired):
            code = process.wait(seconds)
    finally:  # also after Ctrl-C, which the process, in a session of its own, does not get
        started = process.children(recursive=True) if process.is_running() else []
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        for each in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()
    return code
