"""Every link, and every file that a page or a message names, leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from operations.engine.source_files import files_not_ignored
from tests.docs.pages import INLINE, ROOT, pages

LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
CLOUDS = ("aws", "gcp", "azure")
MADE = (".pulumi/", ".rehearsal/", ".models/", ".delivery/", ".drill/", ".backups/")
"""Folders that commands make."""


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith("http"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor[1:] in anchors(file), f"{page.name} links to {target}{anchor}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_in_code_font_exists(page: Path) -> None:
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} - {".git", ".venv"}
    for code in INLINE.findall(page.read_text()):
        if not re.fullmatch(r"[\w.<>-]+(/[\w.<>*-]+)+/?", code) or code.startswith(MADE):
            continue
        if code.split("/")[0] in tops:
            for cloud in CLOUDS if "<cloud>" in code else ("",):
                name = re.sub("<[a-z]+>", "*", code.replace("<cloud>", cloud))
                assert list(ROOT.glob(name)), f"{page.name} names {name}"


def test_every_page_that_code_names_exists() -> None:
    for name in files_not_ignored(ROOT):
        file = ROOT / name
        if file.suffix in (".py", ".toml", ".yaml", ".yml", ".in") or name == "Makefile":
            text = file.read_text()
            for page in re.findall(r"(?<![\w./-])docs/[\w/-]+\.md", text):
                assert (ROOT / page).exists(), f"{name} names {page}"


def test_the_map_of_the_documentation_links_to_every_page() -> None:
    linked = {
        (ROOT / "docs" / target).resolve()
        for target, _ in LINK.findall((ROOT / "docs/README.md").read_text())
    }
    for page in (ROOT / "docs").rglob("*.md"):
        if page.parent.name != "decisions" and page.name != "README.md":
            assert page.resolve() in linked, f"docs/README.md does not link to {page.name}"


def test_the_readme_can_be_read_in_five_minutes() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 1200
    assert len(text.splitlines()) <= 130
