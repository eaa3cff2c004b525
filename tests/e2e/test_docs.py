"""The documentation's commands, run: in a checkout of their own, on the real engine, as a reader would type them.

tests/docs/test_commands.py holds that every command exists, and tests/docs/test_hints.py the same of those in messages. Here
those run that the rehearsal can run, page by page and block by block; for the others the reason is in `NOT_RUN`.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from operations.crash.checkout import Checkout
from operations.engine import environment
from tests.docs.hints import hints
from tests.docs.pages import ROOT, Command, blocks, commands

GUIDE = ("docs/guides/first-hour.md", "docs/how-to/use-plain-pulumi.md", "docs/how-to/recover.md")
"""Pages whose blocks run one after the other in one checkout, in this order but for what takes all down."""
LAST = ("make destroy", "make down")
NOT_RUN = {
    "make drill": "five disasters take minutes; tests/e2e/test_platform.py, test_recovery_ids.py and test_move.py play theirs",
    "make restore CLOUD=gcp BACKUP=.backups/dev KEY=keep": "make drill restores on each other cloud; test_move.py keeps the key",
    "make move FROM=aws TO=gcp KEY=keep": "tests/e2e/test_move.py moves",
    "make deliver TESTS=none": "tests/e2e/test_pipelines.py delivers, and stops a delivery",
    "make deliver TESTS=none P95_MS=1": "tests/e2e/test_pipelines.py delivers, and stops a delivery",
    "make train MODEL=flight-delay MONTHS=1-6": "tests/unit/models trains; the store is shared",
    "make model NAME=mine": "tests/unit/training/test_new_folder.py makes one",
    "make train MODEL=mine": "tests/unit/training/test_new_folder.py trains it; the store is shared",
}


# Not in the environment: `make env` unsets Pulumi's variables.
ASKS_NOTHING = 'pulumi() { PULUMI_SKIP_CONFIRMATIONS=true command pulumi --non-interactive "$@"; }'


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, models: list[str]) -> Iterator[Checkout]:
    created = Checkout("aws", tmp_path_factory.mktemp("reader"))
    created.create()
    yield created
    created.run("rehearsal", "stop")


def run(checkout: Checkout, block: str) -> str:
    """What a block of commands prints; each command of it must succeed."""
    inherited = {name: value for name, value in checkout.environment.items() if name != "DATA"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f'{ASKS_NOTHING}\n{block}'],
        cwd=checkout.folder,
        env=inherited,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def runnable() -> list[str]:
    """The blocks of the guide in the order in which they run, without the lines that are not run."""
    found, last = [], []
    for page in GUIDE:
        for block in blocks(ROOT / page):
            lines = [
                line for line in block.splitlines() if re.sub(r"\s+#.*", "", line) not in NOT_RUN
            ]
            if any(line.startswith(LAST) for line in lines):
                last.append("\n".join(lines))
            elif any(line.strip() for line in lines):
                found.append("\n".join(lines))
    return [*found, *last]


def test_a_reader_can_run_the_guide_from_its_first_command_to_its_last(checkout: Checkout) -> None:
    printed = [run(checkout, block) for block in runnable()]
    assert "no change" in printed[1], "the second `make up` of the guide changes nothing"


def test_no_reason_is_given_for_a_command_that_is_not_in_the_docs() -> None:
    written = {command.text for command in commands()}
    assert set(NOT_RUN) <= written


@functools.cache
def helped(*words: str) -> str:
    """What ``pulumi WORDS --help`` prints."""
    done = subprocess.run(
        ["pulumi", *words, "--help"],
        env={
            **os.environ,
            "PATH": environment.pulumi_environment()["PATH"],
            "PULUMI_DEBUG_COMMANDS": "true",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


PULUMI = sorted(
    {
        each
        for command in (*commands(), *hints())
        for each in re.split(r" \| | && |\$\(|\)|; ", command.text)
        if each.startswith("pulumi ")
    }
)


@pytest.mark.parametrize("command", PULUMI)
def test_every_pulumi_command_in_the_docs_and_in_messages_has_its_options(command: str) -> None:
    words = Command("", command).words[1:]
    verbs: list[str] = []
    for word in words:
        # Help for a word that is no command is that of the words before it. (Aliases are in no list.)
        if word.startswith("-") or helped(*verbs, word) in ("", helped(*verbs)):
            break
        verbs.append(word)
    assert verbs, f"pulumi has no {words[0]}"
    known = helped(*verbs)
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        assert option in known, f"`pulumi {' '.join(verbs)}` has no {option}"
