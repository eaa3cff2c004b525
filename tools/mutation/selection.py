"""The tests that may notice a mutant, in the order in which they notice it soonest."""

from __future__ import annotations

import ast
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tools.mutation.mutants import Mutant

BUDGET = 40.0
"""Seconds of processor time of the tests for one mutant. Whoever survives so long counts as a survivor, though a later test may kill it."""


@dataclass
class Record:
    """What `covering_tests` wrote."""

    lines: dict[str, dict[str, list[str]]]
    seconds: dict[str, float]
    work: dict[str, float]
    """Seconds of processor time."""
    fixtures: dict[str, list[str]]
    left_out: list[str]
    processes: list[str]
    """Contexts that start Python processes."""
    libraries: list[str]
    importers: dict[str, list[str]] = field(default_factory=dict)
    """Of each file, those that import it."""

    @classmethod
    def read(cls, file: Path, sources: list[str]) -> Record:
        record = cls(**json.loads(file.read_text()))
        files = {each.partition("::")[0] for each in record.seconds}
        record.importers = importers(sources, files)
        return record

    @property
    def passed(self) -> set[str]:
        return self.seconds.keys() - set(self.left_out)

    def seconds_of(self, tests: list[str]) -> float:
        return sum(self.seconds[each] for each in tests)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Node ids; none if no test runs the line."""
        lines = self.lines.get(mutant.file, {})
        contexts = set(lines.get(str(mutant.line), [])) | set(lines.get(str(mutant.statement), []))
        tests = self._tests(contexts)
        if mutant.imported or "" in contexts:
            tests |= self._tests_of_users(mutant.file)
        if not tests and mutant.file.startswith("lambda/"):
            # What only runs in a process of its own is not recorded: any test that starts one may notice.
            tests = self._tests(set(self.processes))
        return self._soonest_first(tests & self.passed)

    def _tests(self, contexts: set[str]) -> set[str]:
        tests: set[str] = set()
        for context in contexts:
            tests |= set(self.fixtures.get(context, [])) if " " in context[:8] else {context}
        return tests

    def _tests_of_users(self, file: str) -> set[str]:
        """The tests that run the file, or files that import it. A file that no test runs only passes on what it imports."""
        seen, files = {file}, [file]
        tests = self._tests_of_file(file)
        while files:
            users = {user for each in files for user in self.importers.get(each, [])} - seen
            seen |= users
            found = {user: self._tests_of_file(user) for user in users}
            tests |= set().union(*found.values())
            files = [user for user in users if not found[user]]
        return tests

    def _tests_of_file(self, file: str) -> set[str]:
        """The tests that run the file; of a file of tests, all of its tests."""
        return self._tests(
            {c for contexts in self.lines.get(file, {}).values() for c in contexts if c}
        ) | {each for each in self.seconds if each.partition("::")[0] == file}

    def _soonest_first(self, tests: set[str]) -> list[str]:
        """One case of each test function before the other cases, quick ones first, within the budget."""
        quick_first = sorted(tests, key=lambda each: (self.work[each], each))
        functions: dict[str, int] = {}
        rank = {}
        for each in quick_first:
            function = each.partition("[")[0]
            rank[each] = functions.setdefault(function, 0)
            functions[function] += 1
        chosen: list[str] = []
        left = BUDGET
        for each in sorted(quick_first, key=lambda each: rank[each]):
            left -= self.work[each]
            if chosen and left < 0:
                break
            chosen.append(each)
        return chosen


def module_of(file: str) -> str:
    return (
        file.removeprefix("lambda/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    )


def importers(sources: list[str], tests: Collection[str] = ()) -> dict[str, list[str]]:
    """Of each file of these folders, those that import it, and those of these tests that do."""
    files = {str(f) for source in sources for f in Path(source).rglob("*.py")} | {*tests}
    named = {module_of(each): each for each in files}
    found: dict[str, list[str]] = {}
    for file in sorted(files):
        for node in ast.walk(ast.parse(Path(file).read_bytes())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
            for name in names:
                if name in named and file not in found.setdefault(named[name], []):
                    found[named[name]].append(file)
    return found
