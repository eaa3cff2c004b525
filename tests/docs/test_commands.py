"""Every command in the documentation exists: its target and variables, its module, its options.

tests/e2e/test_docs.py runs those that the rehearsal can run. The two together cover every command: one that
is in neither list fails here.
"""

from __future__ import annotations

import importlib.util
import re

import pytest

from tests.docs.pages import ROOT, Command, commands

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
STACKS = {"of_stack": {"CLOUD", "STACK"}, "named_stack": {"STACK"}}
"""What the Makefile's own variables read."""
REHEARSED = {"rehearsal", "test", "e2e", "unit"}
"""Targets without CLOUD that start a rehearsal, whose profile PROFILE chooses."""


def recipes() -> dict[str, str]:
    """The recipe of each target."""
    found = re.findall(r"^([a-z0-9-]+):(?!=)[^\n]*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE)
    return dict(found)


def variables(target: str) -> set[str]:
    """The variables that a target reads, by its recipe."""
    recipe = recipes()[target]
    found = set(re.findall(r"\$\(([A-Z][A-Z0-9_]*)\)|\$\$([A-Z][A-Z0-9_]*)", recipe))
    read = {name for pair in found for name in pair if name} - {"CURDIR", "PATH"}
    for words in re.findall(r"\$\(call not_left,([A-Z ]+)\)", recipe):
        read |= set(words.split())
    for name, of_it in STACKS.items():
        if f"$({name})" in recipe:
            read |= of_it
    if target == "release":
        read -= {"CLOUD"}  # it gets it to refuse it
    return read | ({"PROFILE"} if "CLOUD" in read or target in REHEARSED else set())


OF_SOMEBODY_ELSE = {
    "$EDITOR": "opens an editor",
    "aws": "AWS's own client, on a real account",
    "azcopy": "Azure's own client, on a real account",
    "az": "Azure's own client, on a real account",
    "cp": "copies a file",
    "curl": "asks a gateway; tests/e2e/test_platform.py does so",
    "eval": "evaluates `make env`, which tests/e2e/test_docs.py does",
    "for": "a loop over Azure's client, on a real account",
    "gcloud": "Google Cloud's own client, on a real account",
    "gh": "GitHub's own client",
    "git": "git itself",
    "grep": "copies the stack file for a real stack",
    "mkdir": "makes a folder",
    "pip": "installs into somebody's own environment",
    "pytest": "this very test run",
    ".": "activates the environment",
    "export": "sets a variable of a real account",
    "uv": "installs into somebody's own environment",
    "zizmor": "asks GitHub, which no test does",
}
"""Programs that are not ours: nothing of the repository can make them wrong."""


def programs(command: Command) -> list[list[str]]:
    """The words of each program of a command: pipes and sequences taken apart, assignments left out."""
    found: list[list[str]] = [[]]
    for word in command.words:
        if word in ("|", "&&", ";", "||"):
            found.append([])
        elif found[-1] or not re.match(r"[A-Z_]+=", word):
            found[-1].append(word.rstrip(";"))
    return [words for words in found if words]


EVERY = [pytest.param(each, id=f"{each.page}: {each.text}") for each in commands()]


def test_the_commands_of_the_documentation_are_found() -> None:
    assert len(EVERY) > 80


@pytest.mark.parametrize("command", EVERY)
def test_every_command_in_the_docs_exists(command: Command) -> None:
    for program, *words in programs(command):
        match program:
            case "make":
                targets = [word for word in words if not word.startswith("-") and "=" not in word]
                named = [each for target in targets for each in target.split("|")]
                for target in named:
                    assert target in TARGETS, f"{command.text}: the Makefile has no {target}"
                    for variable in (word.partition("=")[0] for word in words if "=" in word):
                        assert variable in variables(target), f"{target} does not read {variable}"
            case "pulumi":
                pass  # its options are held against the CLI itself: tests/e2e/test_docs.py
            case "python" | "python3" | ".venv/bin/python":
                if "-m" in words:
                    module = words[words.index("-m") + 1]
                    assert importlib.util.find_spec(module), f"{command.text}: no {module}"
            case _:
                assert program in OF_SOMEBODY_ELSE, f"{command.text}: what is {program}?"


def test_a_target_reads_what_its_recipe_has_and_nothing_else() -> None:
    assert variables("up") == {"CLOUD", "STACK", "PROFILE", "ALLOW"}
    assert variables("guard") == {"STACK", "ALLOW"}
    assert variables("move") == {"FROM", "TO", "KEY", "ALLOW"}
    assert "STACK" not in variables("review")
    assert variables("train") == {"MODEL", "MONTHS", "PROMOTE", "SET"}


@pytest.mark.parametrize(
    "variable",
    sorted(
        {w for words in re.findall(r"call not_left,([A-Z ]+)", MAKEFILE) for w in words.split()}
    ),
)
def test_variables_of_the_environment_are_read(variable: str) -> None:
    sources = "".join(file.read_text() for file in (ROOT / "operations").rglob("*.py"))
    assert f'"{variable}"' in sources or f"$${variable}" in MAKEFILE or f"$({variable})" in MAKEFILE


ROWS = [
    (targets, set(re.findall(r"`([A-Z][A-Z0-9_]*)[`=]", cells[1].replace("(default `HEAD`)", ""))))
    for line in (ROOT / "docs/reference/commands.md").read_text().splitlines()
    if len(cells := re.split(r" \|(?= |$)", line.removeprefix("|"))) == 4
    if (targets := re.findall(r"`make ([a-z0-9-]+)", cells[0]))
]


@pytest.mark.parametrize(("targets", "documented"), ROWS, ids=lambda each: " ".join(sorted(each)))
def test_the_variables_in_the_table_of_commands_are_those_of_the_makefile(
    targets: list[str], documented: set[str]
) -> None:
    read = {name for each in targets for name in variables(each)} - {"PROFILE"}
    assert documented == read


def test_every_target_of_the_makefile_is_documented() -> None:
    page = (ROOT / "docs/reference/commands.md").read_text()
    documented = set(re.findall(r"`make ([a-z0-9-]+)", page))
    assert TARGETS - {"bootstrap", "help"} <= documented
