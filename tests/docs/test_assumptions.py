"""Every assumption says what it rests on: a link, or a place in the code that says that it is only believed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "design" / "assumptions.md"
RUN = ROOT / "docs" / "first-real-run.md"
KINDS = ("documented", "provider's code", "believed")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| assumption")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_an_assumption_has_a_kind_and_what_it_rests_on(row: tuple[str, ...]) -> None:
    _, kind, source, step = row
    assert kind in KINDS
    if kind != "believed":
        assert "](" in source, "no link"
    else:
        for place in re.findall(r"`([\w/]+\.py)`", source):
            assert "believed" in (ROOT / place).read_text().lower(), f"{place} does not say so"
    if step:
        assert re.search(rf"^## {step}\. ", RUN.read_text(), re.MULTILINE), f"no step {step}"


def test_every_kind_of_the_issue_has_an_assumption() -> None:
    headings = " ".join(re.findall(r"^## (.*)", PAGE.read_text(), re.MULTILINE))
    for number in range(1, 12):
        assert re.search(rf"\bA{number}\b", headings), f"A{number} is missing"


def test_the_first_real_run_says_of_each_step_which_assumptions_it_proves() -> None:
    steps = re.split(r"^## \d+\. ", RUN.read_text(), flags=re.MULTILINE)[1:]
    assert len(steps) >= 8
    proved = set(re.findall(r"\bA(\d+)\b", RUN.read_text()))
    assert proved == {str(number) for number in range(1, 12)}
    for step in steps:
        assert "**Proves:**" in step, step.splitlines()[0]
        assert "**Look at:**" in step, step.splitlines()[0]
