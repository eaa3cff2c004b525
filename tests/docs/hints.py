"""The commands in the program's own messages: what a person is asked to type."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.docs.pages import ROOT

PROGRAM = ("bench", "components", "config", "lambda", "operations", "policy", "rehearsal", "tools")
OF_A_STACK = {"make": "make", "pulumi_line": "pulumi"}
"""The methods of a stack that give a command for it (`operations.engine.stack`)."""


@dataclass(frozen=True)
class Hint:
    """A command in a message, or a whole text."""

    place: str
    text: str


def hints() -> list[Hint]:
    """Every command in the texts of the program and the errors of the Makefile, in the order of the files."""
    found = [Hint(each.place, command) for each in texts() for command in _commands(each.text)]
    for error in re.findall(r"\$\(error ((?:[^()]|\([^()]*\))*)", (ROOT / "Makefile").read_text()):
        found += [Hint("Makefile", command) for command in _commands(error)]
    return found


def texts() -> Iterator[Hint]:
    """Every text of the program that a person may read, with its place."""
    for folder in PROGRAM:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for line, text in _texts(ast.parse(file.read_text())):
                yield Hint(f"{file.relative_to(ROOT)}:{line}", text)


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each text with its line, but for docstrings. A value in it is …; a stack's own command is that command."""
    described = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # docstrings, and the texts below a name
    inside: set[int] = set()
    for node in ast.walk(tree):
        if id(node) in described or id(node) in inside:
            continue
        match node:
            case ast.JoinedStr(values=values):
                inside |= {id(inner) for inner in ast.walk(node)} - {id(node)}
                yield node.lineno, "".join(map(_part, values))
            case ast.Constant(value=str(text)):
                yield node.lineno, text
            case ast.Call() if command := _command_of_stack(node):
                yield node.lineno, command


def _part(value: ast.expr) -> str:
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.Call() as call):
            return _command_of_stack(call) or "…"
    return "…"


def _command_of_stack(call: ast.Call) -> str | None:
    match call:
        case ast.Call(func=ast.Attribute(attr=method), args=[ast.Constant(value=str(words))]) if (
            method in OF_A_STACK
        ):
            return (
                f"{OF_A_STACK[method]} {words} --stack …"
                if method == "pulumi_line"
                else f"make {words}"
            )
    return None


def _commands(text: str) -> list[str]:
    found = re.findall(r"(?:^|(?<=[\s`(:;]))(?:make|pulumi|python -m) [a-z-][^`;,()\n]*", text)
    return [re.sub(r"(\.( .*)?|: .*)$", "", command).strip() for command in found]
