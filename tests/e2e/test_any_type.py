"""The real engine on types without rules: everything that it does to a resource, with faults in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.harness import Rehearsal, Stack

PROGRAM = Path(__file__).with_name("any_type")
WORD = "hunter2-hunter2"


@pytest.fixture
def program(rehearsal: Rehearsal, tmp_path: Path) -> Iterator[Stack]:
    settings = {"aws:region": "eu-west-1", "gcp:project": "some-project"}
    folder = tmp_path / "Träume, 100%25 #1?"  # a backend's URL has its own use for these
    folder.mkdir()
    stack = Stack(rehearsal, "any", folder, settings, PROGRAM)
    stack.init()
    yield stack
    rehearsal.command("fault", "clear")
    stack.pulumi("destroy", "--yes", "--skip-preview")


def ledger(rehearsal: Rehearsal, name: str) -> list[str]:
    return [e["verb"] for e in rehearsal.get("/_api/ledger?limit=500") if e["name"] == name]


def test_a_type_without_rules_is_created_updated_replaced_and_found_lost(
    rehearsal: Rehearsal, program: Stack
) -> None:
    program.up()
    made = program.outputs()
    assert made["queue"].startswith("https://")
    assert made["far"].startswith("arn:aws:sqs:ap-south-1:"), "a provider of another region"
    assert made["topic"].startswith("projects/some-project/topics/events-")
    assert "/resourceGroups/group" in made["account"]
    program.pulumi("preview", "--expect-no-changes")
    program.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    program.configure(**{"any-type:delay": 7})
    assert "1 updated" in program.up()
    assert program.outputs()["queue"] == made["queue"]

    program.configure(**{"any-type:place": "eu-west-3"})
    assert "1 replaced" in program.up()
    # The name is fixed, so the old topic is deleted before the new one is created.
    assert ledger(rehearsal, "fixed")[:2] == ["created", "deleted"]
    assert program.outputs()["fixed"].startswith("arn:aws:sns:eu-west-3:")

    rehearsal.command("fault", "lose", "--on", "gcp:pubsub/*")
    assert "1 created" in program.pulumi("up", "--yes", "--skip-preview", "--refresh")


def test_a_secret_is_in_no_file_in_clear(rehearsal: Rehearsal, program: Stack) -> None:
    program.up()
    assert program.outputs()["secret"] == WORD
    for folder in (rehearsal.folder, program.folder / ".pulumi"):
        for file in (each for each in folder.rglob("*") if each.is_file()):
            assert WORD.encode() not in file.read_bytes(), file


def test_a_program_survives_throttling_an_outage_and_a_crash(
    rehearsal: Rehearsal, program: Stack
) -> None:
    rehearsal.command(
        "fault", "throttle", "--on", "aws:sqs/*", "--method", "create", "--times", "3"
    )
    program.up()
    program.configure(**{"any-type:delay": 8})
    rehearsal.command("fault", "unavailable", "--on", "aws:*", "--method", "update", "--times", "0")
    assert "ServiceUnavailable" in program.up(code=1)
    rehearsal.command("fault", "clear")

    rehearsal.command("fault", "crash", "--after", "--on", "aws:*", "--method", "update")
    program.up(code=1)
    rehearsal.start()
    assert "1 updated" in program.up(), "the engine does not know that the step was done"
    program.pulumi("preview", "--expect-no-changes")
