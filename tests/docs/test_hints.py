"""Each command that a message tells a person to type exists, and reads the variables that it is given.

tests/e2e/test_docs.py holds the options of Pulumi's commands against Pulumi itself.
"""

from __future__ import annotations

import importlib.util
import re

import pytest

from tests.docs.hints import PROGRAM, Hint, hints, texts
from tests.docs.pages import ROOT
from tests.docs.test_commands import TARGETS, variables

SENTENCES = {"it", "or", "room", "something", "the", "this", "would"}
"""What comes after the verb, or after make's own name, in a sentence: `make room`."""
EVERY = [
    pytest.param(each, id=f"{each.place} {each.text}"[:120])
    for each in hints()
    if not each.text.startswith("pulumi ")
]


def test_the_hints_of_every_kind_are_found() -> None:
    texts = [each.text for each in hints()]
    for expected in (
        "make up",
        "make destroy DATA=destroy",
        "make train MODEL=…",
        "pulumi login",
    ):
        assert any(text.startswith(expected) for text in texts), expected
    assert len(texts) > 100


def test_the_variables_of_a_printed_command_are_inside_of_it() -> None:
    """A command for a shell of its own ends with a parenthesis: `(…; make destroy STACK=x) DATA=destroy` is no command."""
    outside = [
        f"{file.relative_to(ROOT)}: {found}"
        for folder in PROGRAM
        for file in sorted((ROOT / folder).rglob("*.py"))
        for found in re.findall(r"\bmake\(['\"][^)]*\)\}[ `]*[A-Z]+=", file.read_text())
    ]
    assert outside == []


def test_no_message_has_a_placeholder_that_nothing_fills() -> None:
    """A text without its `f` was printed as it is written: {self.pulumi_line('stack history')}."""
    unfilled = [
        f"{each.place}: {each.text[:60]}"
        for each in texts()
        if re.search(r"\{[a-z_]+(\.[a-z_]+|\()", each.text)
    ]
    assert unfilled == []


@pytest.mark.parametrize("hint", EVERY)
def test_every_command_in_a_message_exists_and_reads_its_variables(hint: Hint) -> None:
    program, first, *words = hint.text.split()
    if program == "python":
        module = words[0] if words else ""
        assert importlib.util.find_spec(module), f"{hint.place}: there is no module {module}"
        return
    if first == "-s":
        first, *words = words
    if first in SENTENCES:
        return
    assert first in TARGETS, f"{hint.place}: the Makefile has no {first}"
    for word in words:
        if not (given := re.match(r"([A-Z][A-Z0-9_]+)=", word)):
            break  # the sentence goes on
        assert given[1] in variables(first), f"{hint.place}: make {first} does not read {given[1]}"
