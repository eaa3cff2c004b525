"""The documentation as the tests read it: its pages, their links, and every command in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
PROGRAMS = ("make", "pulumi", "python", ".venv/bin/python")
"""What an inline piece of code must begin with to be a command."""


def pages() -> list[Path]:
    """All pages in Markdown that a reader finds."""
    return sorted(
        [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "rehearsal").glob("*.md")]
    )


@dataclass(frozen=True)
class Command:
    """One command of a page, without its comment."""

    page: str
    """Relative to the repository."""
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell splits them, without assignments before the program."""
        words = shlex.split(self.text.replace("…", "X"))
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        return words


def blocks(page: Path) -> list[str]:
    """The text of each fenced block of shell commands, in the order of the page."""
    found = FENCE.findall(page.read_text())
    return [
        re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
        for indent, language, text in found
        if language == "sh"
    ]


def _lines(block: str) -> Iterator[str]:
    """The commands of a block: continued lines joined, comments and empty lines left out."""
    for line in block.replace("\\\n", " ").splitlines():
        plain = re.sub(r"(^|\s+)# .*$", "", line).strip()
        if plain and not plain.startswith("#"):
            yield re.sub(r"\s+", " ", plain)


def commands() -> list[Command]:
    """Every command of every page: all of the fenced blocks, and inline code that begins with a program."""
    found: dict[Command, None] = {}
    for page in pages():
        name = page.relative_to(ROOT).as_posix()
        for block in blocks(page):
            found.update(dict.fromkeys(Command(name, line) for line in _lines(block)))
        prose = FENCE.sub("", page.read_text())
        for code in INLINE.findall(prose):
            text = code.replace("\\|", "|")
            if text.split(" ")[0] in PROGRAMS and " " in text:
                found[Command(name, text)] = None
    return list(found)
