"""Every set that the program makes, iterated in a known order: forwards, or backwards.

A render must not depend on the order of a set. Different hash seeds alone would not show it: of two
strings, two seeds often give the same order. So the program's modules are loaded with each set replaced
by a class with an order. Sets that only a library makes are left to the hash seeds.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (ROOT / "components", ROOT / "config")
"""The program: these folders with what is below them, and `__main__.py` in the root."""
SET_OPERATORS = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)
"""Operators whose result may be a set."""


class Ordered:
    """Iterates a set in the order of its elements' texts."""

    backwards = False

    def __iter__(self) -> Iterator[Any]:
        elements = super().__iter__()  # type: ignore[misc]  # the set's
        return iter(sorted(elements, key=repr, reverse=self.backwards))


class OrderedSet(Ordered, set[Any]):
    pass


class OrderedFrozenSet(Ordered, frozenset[Any]):
    pass


NAME = "ordered_in_renders"
"""What the program's modules call `ordered`: a name that no class of the program has."""


def ordered(value: Any) -> Any:
    """The same set with an order; anything else unchanged."""
    if type(value) is set:
        return OrderedSet(value)
    return OrderedFrozenSet(value) if type(value) is frozenset else value


class OrderingTransformer(ast.NodeTransformer):
    """Makes ``{a, b}``, ``{… for …}``, ``set(…)``, ``frozenset(…)`` and ``a | b`` ordered sets."""

    def visit_Set(self, node: ast.Set) -> ast.AST:  # ast's own names
        return self._ordered(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        return self._ordered(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        # Any call: methods of sets, such as `union`, return sets too.
        return self._ordered(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        is_set = isinstance(node.op, SET_OPERATORS)
        return self._ordered(node) if is_set else self.generic_visit(node)

    def _ordered(self, node: ast.expr) -> ast.AST:
        self.generic_visit(node)
        name = ast.Name(NAME, ast.Load())
        return ast.copy_location(ast.Call(name, [node], []), node)


class ProgramLoader(SourceFileLoader):
    """Loads a module of the program from its source with ordered sets, even if there is byte code of it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = OrderingTransformer().visit(ast.parse(self.get_data(path), path))
        code: CodeType = compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
        return code


def order_sets(backwards: bool) -> None:
    """Modules of the program that are imported from now on have ordered sets."""

    def finder(folder: str) -> FileFinder:
        of_program = any(Path(folder).is_relative_to(each) for each in PROGRAM)
        if folder != str(ROOT) and not of_program:
            raise ImportError(folder)
        return FileFinder(folder, (ProgramLoader, [".py"]))

    Ordered.backwards = backwards
    setattr(builtins, NAME, ordered)
    sys.path_hooks.insert(0, finder)
    sys.path_importer_cache.clear()
