"""The documentation's Python: a reader can copy it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import FENCE, ROOT, pages

GIVEN = {"docs/reference/container.md": {"contract", "image"}}
"""Names that the text around a block explains."""
BLOCKS = [
    pytest.param(page, text, id=page.relative_to(ROOT).as_posix())
    for page in pages()
    for _, language, text in FENCE.findall(page.read_text())
    if language == "python"
]


@pytest.mark.parametrize(("page", "text"), BLOCKS)
def test_every_name_in_the_docs_python_is_imported_defined_or_explained(
    page: Path, text: str
) -> None:
    given = GIVEN.get(page.relative_to(ROOT).as_posix(), set())
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F821,E9", "-"],
        input="".join(f"{name} = None\n" for name in sorted(given)) + text,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
