"""Which tests run which line: all tests, once, under coverage, each with a context of its own.

Run by pytest as a plugin (`-p tools.mutation.covering_tests`). A fixture that several tests share has its own context, or
only the first of them would seem to run its lines. What functions remember (`functools.cache`) is forgotten before each
test, for the same reason.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import coverage
import pytest

RECORD = "TRIPLANE_MUTATION_RECORD"
"""The variable with the file into which the record is written."""
SOURCES = "TRIPLANE_MUTATION_SOURCES"


class Recorder:
    """Follows pytest from test to test, and writes the record at the end."""

    def __init__(self, file: Path, sources: list[str]) -> None:
        self.file = file
        self.sources = sources
        self.coverage = coverage.Coverage(data_file=None, source=sources, config_file=False)
        self.context = ""
        self.seconds: dict[str, float] = {}
        self.work: dict[str, float] = {}
        """Seconds of processor time, which another program's work does not make longer."""
        self.fixtures: dict[str, set[str]] = {}
        """Of each shared fixture, the tests that use it."""
        self.failed: set[str] = set()
        self.processes: set[str] = set()
        """Contexts that start Python processes, whose lines are not recorded."""
        self.caches: list[Any] = []
        self.coverage.start()
        sys.addaudithook(self.watch)

    def _switch(self, context: str) -> str:
        previous, self.context = self.context, context
        self.coverage.switch_context(context)
        return previous

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and self.context and "python" in str(arguments[1]):
            self.processes.add(self.context)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        packages = tuple("gateway" if each == "lambda" else each for each in self.sources)
        for each in gc.get_objects():
            if isinstance(each, functools._lru_cache_wrapper) and each.__module__.startswith(
                packages
            ):
                self.caches.append(each)
        for item in session.items:
            for definitions in item._fixtureinfo.name2fixturedefs.values():  # type: ignore[attr-defined]
                for each in definitions:
                    if each.scope != "function":
                        self.fixtures.setdefault(_fixture(each), set()).add(item.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        for cache in self.caches:
            cache.cache_clear()
        previous, started, worked = self._switch(item.nodeid), time.monotonic(), sum(os.times()[:4])
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.monotonic() - started
            self.work[item.nodeid] = sum(os.times()[:4]) - worked
            self._switch(previous)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            return (yield)
        previous = self._switch(_fixture(fixturedef))
        try:
            return (yield)
        finally:
            self._switch(previous)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        lines: dict[str, dict[str, list[str]]] = {}
        for file in data.measured_files():
            lines[os.path.relpath(file)] = {
                str(line): sorted(contexts)
                for line, contexts in data.contexts_by_lineno(file).items()
            }
        libraries = [
            name
            for name, module in sys.modules.items()
            if "site-packages" in (getattr(module, "__file__", None) or "")
        ]
        record = {
            "lines": lines,
            "seconds": self.seconds,
            "work": self.work,
            "fixtures": {name: sorted(tests) for name, tests in self.fixtures.items()},
            "left_out": sorted(self.failed),
            "processes": sorted(self.processes),
            "libraries": libraries,
        }
        self.file.write_text(json.dumps(record))


def _fixture(definition: Any) -> str:
    return f"fixture {definition.baseid}::{definition.argname}"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any of the project's modules is imported."""
    sources = os.environ[SOURCES].split(os.pathsep)
    early_config.pluginmanager.register(Recorder(Path(os.environ[RECORD]), sources))
