"""The expressions of IAM conditions and of a pool's provider: the part of CEL that they are usually made of.

``&&``, ``||``, ``!``, ``==``, ``!=``, ``in``, ``startsWith``, ``endsWith``, ``contains``, ``hasOnly`` and ``api.getAttribute``.
https://cloud.google.com/iam/docs/conditions-overview#cel
https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

# A text, or one of the operators that Python writes otherwise.
TOKEN = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(&&|\|\||!(?!=))""")
WORDS = {"&&": " and ", "||": " or ", "!": "~"}
"""Python's ``not`` would negate a whole comparison; ``~`` binds as ``!`` does in CEL."""
METHODS: dict[str, Callable[[Any, Any], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": operator.contains,
    "hasOnly": lambda values, allowed: set(values) <= set(allowed),
}
COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
}


class Unsupported(ValueError):
    """CEL that this module does not evaluate."""


class Missing(LookupError):
    """An attribute that the request does not have: an error in CEL, which makes a condition false."""


def check(expression: str) -> None:
    """Raise `Unsupported` for an expression that `holds` cannot evaluate."""
    _value(_parsed(expression), None)


def holds(expression: str, attributes: Mapping[str, Any]) -> bool:
    """Whether the expression is true. ``attributes``: by their dotted names, those of ``api.getAttribute`` among them."""
    try:
        return _value(_parsed(expression), attributes) is True
    except (Missing, TypeError):  # CEL has no value for it either
        return False


def _parsed(expression: str) -> ast.expr:
    """CEL as Python's syntax tree: the two differ in three operators."""
    python = TOKEN.sub(lambda token: token[1] or WORDS[token[2]], expression)
    try:
        return ast.parse(f"({python}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
        raise Unsupported(f"{expression!r} is not an expression: {wrong}") from None


def _value(node: ast.expr, attributes: Mapping[str, Any] | None) -> Any:
    """The value of a part; without attributes every part is only checked."""
    match node:
        case ast.BoolOp(op=op, values=parts):
            return _junction(parts, attributes, decisive=isinstance(op, ast.Or))
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return not _value(operand, attributes)
        case ast.Compare(left=left, ops=[comparison], comparators=[right]):
            compare = COMPARISONS.get(type(comparison))
            if compare is None:
                raise Unsupported(f"the comparison in {ast.unparse(node)!r}")
            sides = _value(left, attributes), _value(right, attributes)
            return compare(*sides) if attributes is not None else None
        case ast.Call(
            func=ast.Attribute(value=ast.Name("api"), attr="getAttribute"),
            args=[ast.Constant(value=str() as name), default],
        ):
            return (attributes or {}).get(name, _value(default, attributes))
        case ast.Call(func=ast.Attribute(value=subject, attr=method), args=[argument], keywords=[]):
            if method not in METHODS:
                raise Unsupported(f"the function {method!r}")
            operands = _value(subject, attributes), _value(argument, attributes)
            return METHODS[method](*operands) if attributes is not None else None
        case ast.Attribute() | ast.Name():
            name = ast.unparse(node)
            if attributes is not None and name not in attributes:
                raise Missing(name)
            return attributes[name] if attributes is not None else None
        case ast.List(elts=items):
            return [_value(each, attributes) for each in items]
        case ast.Constant(value=str() as text):
            return text
        case _:
            raise Unsupported(ast.unparse(node))


def _junction(
    parts: list[ast.expr], attributes: Mapping[str, Any] | None, *, decisive: bool
) -> bool:
    """``a || b`` or ``a && b``: a part that decides wins over another part's error.

    https://github.com/google/cel-spec/blob/master/doc/langdef.md#logical-operators
    """
    missing: Missing | None = None
    for part in parts:
        try:
            found: object = _value(part, attributes)
            if found is decisive and attributes is not None:
                return decisive
        except (Missing, TypeError) as error:
            missing = Missing(str(error))
    if missing:
        raise missing
    return not decisive
