"""What the guides do with stacks of a real account: their files say nothing false, and nothing is left that costs money."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.docs.pages import ROOT, Command, commands

COPIES = [each for each in commands() if each.text.startswith("grep -v '^encryptionsalt'")]


@pytest.mark.parametrize("command", COPIES, ids=lambda each: each.page)
def test_nothing_in_a_copy_of_the_stack_file_speaks_of_the_rehearsal(command: Command) -> None:
    program = command.text.partition(">")[0]
    copy = subprocess.run(program, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "triplane:cloud" in copy.stdout
    for word in ("rehears", "passphrase", "salt", "`dev`"):
        assert word not in copy.stdout.lower()


def test_both_guides_copy_the_stack_file() -> None:
    assert {each.page for each in COPIES} == {"docs/first-real-run.md", "docs/guides/real-cloud.md"}


def test_the_first_real_run_destroys_each_stack_that_it_names() -> None:
    page = (ROOT / "docs" / "first-real-run.md").read_text()
    stacks = set(re.findall(r"\b(?:STACK|FROM|TO)=(\w+)", page))
    assert {"trial", "trial2"} <= stacks
    for name in stacks:
        removal = page.find(f"make destroy STACK={name} DATA=destroy")
        assert removal > 0, f"{name} is left"
        assert not re.search(rf"make (up|move|drift|repair) .*\b{name}\b", page[removal:])
        assert f"pulumi stack rm {name} --yes" in page[removal:]
