"""The changes that could be mistakes: one comparison, constant, option or statement of a file is another.

Nothing is changed that no test should pin: annotations, docstrings, sentences for a reader (any text with a space, and
all that goes into a log or a terminal), `__main__` and `TYPE_CHECKING` blocks.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Pow: ast.Mult,
}  # fmt: skip
FOR_A_READER = frozenset(("say", "fail", "print", "warn", "log", "debug", "info", "warning", "error", "exception"))  # fmt: skip
"""Functions whose texts are for a reader."""
TYPES = frozenset(("cast", "TypeVar", "NewType", "Literal", "Annotated", "dataclass"))
"""What they are given is for the type checker, or holds a reader back, as `frozen`."""
DESCRIPTIONS = frozenset(("description", "help", "source", "executes", "rule", "reason"))
"""Arguments and attributes that are documentation."""


@dataclass(frozen=True)
class Mutant:
    """A change of one place in a file. The place is named without line numbers, which change with each edit."""

    file: str
    within: str
    """The function or class around it, as `Role.delete`; empty for the module."""
    before: str
    after: str
    nth: int
    """Which one it is among the same changes within the same function."""
    line: int
    imported: bool
    """Whether an import of the module runs it: no function is around it."""
    statement: int
    """The first line of the statement around it: coverage does not know each line of a long one."""
    start: int
    """Offsets in the file's bytes."""
    end: int

    @property
    def name(self) -> str:
        place = f"{self.file} {self.within or '(module)'}"
        return f"{place}: {shortened(self.before)} => {shortened(self.after)} #{self.nth}"

    def applied_to(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]


def shortened(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 90 else f"{text[:60]} … {text[-27:]}"


def mutants_of(file: Path, name: str) -> list[Mutant]:
    """Every change of a file, in the order of the file, without those that leave it as it is."""
    source = file.read_bytes()
    counts: Counter[tuple[str, str, str]] = Counter()
    found = []
    for each in _Changes(source, name).found():
        key = (each.within, each.before, each.after)
        counts[key] += 1
        found.append(replace(each, nth=counts[key]))
    return found


class _Changes:
    def __init__(self, source: bytes, name: str) -> None:
        self.source = source
        self.name = name
        self.tree = ast.parse(source)
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.parents = {c: p for p in ast.walk(self.tree) for c in ast.iter_child_nodes(p)}

    def found(self) -> list[Mutant]:
        changes = [each for node in self._walked(self.tree) for each in self._of(node)]
        return sorted(changes, key=lambda each: (each.start, each.end, each.after))

    def _walked(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes whose change a test should notice."""
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_comment", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _for_a_reader(child):
                    yield from self._walked(child)

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
                changed = ast.Compare(node.left, [COMPARISONS[type(operator)]()], node.comparators)
                yield self._replaced(node, f"({ast.unparse(changed)})")
            case ast.BoolOp():
                other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
                yield self._replaced(node, f"({ast.unparse(ast.BoolOp(other, node.values))})")
            case ast.UnaryOp(op=ast.Not()):
                yield self._replaced(node, f"({ast.unparse(node.operand)})")
            case ast.BinOp() if type(node.op) in OPERATORS and not _is_text(node):
                changed_operator = OPERATORS[type(node.op)]()
                changed_sum = ast.BinOp(node.left, changed_operator, node.right)
                yield self._replaced(node, f"({ast.unparse(changed_sum)})")
            case ast.Constant():
                yield from self._constant(node)
            case ast.If() | ast.While() | ast.IfExp():
                yield from self._condition(node.test)
            case ast.comprehension():
                for condition in node.ifs:
                    yield from self._condition(condition)
            case ast.Return(value=ast.expr() as value) if not _is_plain(value):
                yield self._replaced(value, "None")
            case ast.Expr(value=value) if _calls(value, FOR_A_READER - {"fail"}):
                return  # fail leaves the program, the others only say something
            case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.AugAssign():
                yield self._replaced(node, "pass")
            case ast.Break() | ast.Continue():
                yield self._replaced(node, "continue" if isinstance(node, ast.Break) else "break")
            case ast.Call():
                yield from self._without_keywords(node)

    def _constant(self, node: ast.Constant) -> Iterator[Mutant]:
        value = node.value
        parent = self.parents.get(node)
        if isinstance(parent, ast.Expr | ast.JoinedStr | ast.FormattedValue):
            return  # a docstring, or a part of an f-string, whose place Python 3.11 does not know
        if isinstance(value, bool):
            yield self._replaced(node, str(not value))
        elif isinstance(value, int | float):
            yield self._replaced(node, repr(value + 1))
        elif isinstance(value, str) and not re.search(r"\s", value):
            yield self._replaced(node, repr(f"XX{value}"))
        elif isinstance(value, bytes):
            yield self._replaced(node, repr(b"XX" + value))

    def _condition(self, test: ast.expr) -> Iterator[Mutant]:
        """The opposite of a condition that is no comparison: those are changed anyway."""
        if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.NamedExpr):
            yield self._replaced(test, f"(not ({ast.unparse(test)}))")

    def _without_keywords(self, node: ast.Call) -> Iterator[Mutant]:
        """The call without one of its options: what is left out is the most usual mistake of a resource."""
        for left_out in node.keywords:
            if left_out.arg in (None, *DESCRIPTIONS):
                continue
            kept = [each for each in node.keywords if each is not left_out]
            call = ast.unparse(ast.Call(node.func, node.args, kept))
            written = f"{left_out.arg}={self._text(left_out.value)}"
            yield replace(self._replaced(node, call), before=written, line=left_out.lineno)

    def _replaced(self, node: ast.expr | ast.stmt, after: str) -> Mutant:
        start, end = self._span(node)
        before = self.source[start:end].decode()
        around = self._around(node)
        imported = not any(
            isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) for each in around
        )
        within = ".".join(each.name for each in around)
        place = (node.lineno, imported, self._statement(node), start, end)
        return Mutant(self.name, within, before, after, 0, *place)

    def _statement(self, node: ast.AST) -> int:
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node.lineno

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None  # noqa: S101  # ast.parse sets both
        assert node.end_col_offset is not None  # noqa: S101
        start = self.lines[node.lineno - 1] + node.col_offset
        return start, self.lines[node.end_lineno - 1] + node.end_col_offset

    def _around(self, node: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
        """The functions and classes around it, the outermost first."""
        found: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
        while parent := self.parents.get(node):
            if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.insert(0, parent)
            node = parent
        return found


def _for_a_reader(node: ast.AST) -> bool:
    """Whether it is documentation, a message, or for the type checker alone."""
    match node:
        case ast.JoinedStr() | ast.Raise(exc=None) | ast.Assert() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Call():
            return _calls(node, FOR_A_READER | TYPES)
        case ast.Subscript(value=ast.Name(id=name)):
            return name in TYPES
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name == "__all__" or name in DESCRIPTIONS
        case ast.keyword(arg=name):
            return name in DESCRIPTIONS
        case ast.Expr(value=ast.Constant()):
            return True
    return False


def _calls(node: ast.expr, names: frozenset[str]) -> bool:
    """Whether it is a call of one of these functions or methods."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in names
    return False


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(each, ast.JoinedStr) for each in (node.left, node.right))


def _is_plain(node: ast.expr) -> bool:
    """Whether it is a constant, which is changed itself, or empty, which callers rarely tell from None."""
    match node:
        case ast.Constant() | ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]):
            return True
    return False
