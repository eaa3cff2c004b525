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


BELIEVED = [row for row in ROWS if row[1] == "believed"]
CODE = ("components", "config", "operations", "policy", "rehearsal")
PLACE = re.compile(r"`([\w/*]+\.py)`")


def test_rows_are_read_whole() -> None:
    assert len(ROWS) > 60
    assert len(BELIEVED) > 20
    assert {row for row in ROWS if len(row) != 4} == set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_an_assumption_has_a_kind_and_what_it_rests_on(row: tuple[str, ...]) -> None:
    _, kind, source, step = row
    assert kind in KINDS
    if kind != "believed":
        assert "](" in source, "no link"
    if step and not step.startswith("none: "):
        assert re.search(rf"^## {step}\. ", RUN.read_text(), re.MULTILINE), f"no step {step}"


@pytest.mark.parametrize("row", BELIEVED, ids=lambda row: row[0][:60])
def test_what_is_only_believed_names_its_place_in_the_code_and_the_step_that_shows_it(
    row: tuple[str, ...],
) -> None:
    *_, source, step = row
    assert re.fullmatch(r"\d+|none: .+", step), "neither a step nor why there is none"
    patterns = PLACE.findall(source)
    assert patterns or "no place in the code: " in source, "no place, and not why"
    for pattern in patterns:
        files = list(ROOT.glob(pattern))
        assert files, f"there is no {pattern}"
        assert any(says_believed(file) for file in files), f"{pattern} does not say so"


def test_each_place_in_the_code_that_says_believed_is_named_by_a_row() -> None:
    named = {file for row in BELIEVED for each in PLACE.findall(row[2]) for file in ROOT.glob(each)}
    found = {
        file for folder in CODE for file in (ROOT / folder).rglob("*.py") if says_believed(file)
    }
    assert len(found) > 15
    assert found - named == set()


def says_believed(file: Path) -> bool:
    return re.search(r"\bbelieved\b", file.read_text(), re.IGNORECASE) is not None


def test_every_kind_of_the_issue_has_an_assumption() -> None:
    headings = " ".join(re.findall(r"^## (.*)", PAGE.read_text(), re.MULTILINE))
    for number in range(1, 12):
        assert re.search(rf"\bA{number}\b", headings), f"A{number} is missing"


def test_the_first_real_run_says_of_each_step_which_assumptions_it_proves() -> None:
    steps = re.split(r"^## \d+\. ", RUN.read_text(), flags=re.MULTILINE)[1:]
    assert len(steps) >= 8
    # Not from the introduction, which names the first and the last.
    proved = {
        number
        for step in steps
        for paragraph in re.findall(r"\*\*Proves:\*\*(.*?)(?:\n\n|\Z)", step, re.DOTALL)
        for number in re.findall(r"\bA(\d+)\b", paragraph)
    }
    assert proved == {str(number) for number in range(1, 12)}
    for step in steps:
        assert "**Proves:**" in step, step.splitlines()[0]
        assert "**Look at:**" in step, step.splitlines()[0]
