"""The messages and the words of ALLOW= in docs/reference/refusals.md are those of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import INLINE, ROOT

PAGE = (ROOT / "docs/reference/refusals.md").read_text()
OF_PULUMI_AND_THE_CLOUDS = {
    "incorrect passphrase", "passphrase must be set", "RequestTimeTooSkewed", "not yet valid", "expired",
}  # fmt: skip
"""Messages that are not ours."""


def texts() -> Iterator[str]:
    """Every text in the code that may be shown, with … in the place of what is filled in."""
    for folder in ("operations", "config", "rehearsal", "components"):
        for file in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(file.read_text())
            # A text that is a statement of its own is a docstring: nobody sees it.
            described = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
            for node in ast.walk(tree):
                if id(node) in described:
                    continue
                if isinstance(node, ast.JoinedStr):
                    parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                    yield "".join(str(part) for part in parts)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.sub(r"\{\w*\}", "…", node.value)


TEXTS = "\n".join([*texts(), (ROOT / "Makefile").read_text()])


def messages() -> list[str]:
    """What the column "what you see" quotes."""
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    seen = (row[1] for row in rows if len(row) == 3)
    return [code for cell in seen for code in INLINE.findall(cell) if not code.startswith("make ")]


@pytest.mark.parametrize("message", messages())
def test_a_message_on_the_page_is_a_message_of_the_code(message: str) -> None:
    if message in OF_PULUMI_AND_THE_CLOUDS:
        return
    # The page shows examples for what is filled in: numbers, names, folders.
    for part in re.split(
        r"…|\d[\d.]*|\.json|s3://|dev\.json|Pulumi\.dev\.yaml|rehearsal\.sqlite|\b(?:dev|prod)\b|ada on laptop|triplane-\S+",
        message,
    ):
        words = part.strip(" ():,;")
        if len(words) > 6:
            assert words in TEXTS, f"no message of the code has: {words}"


def words_of_allow() -> Iterator[str]:
    """What the constants ALLOW_… are; the code compares with them, and writes them into its messages."""
    for file in (ROOT / "operations").rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)], value=ast.Constant(value=str(word))
                ) if name.startswith("ALLOW_"):
                    yield word


def test_the_words_of_allow_on_the_page_are_those_of_the_code() -> None:
    table = PAGE.partition("## The words of `ALLOW=`")[2].partition("\n## ")[0]
    on_the_page = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    written_out = {word for text in texts() for word in re.findall(r"ALLOW=([a-z-]+)\b", text)}
    assert len(on_the_page) > 5
    assert on_the_page == set(words_of_allow()) | written_out
