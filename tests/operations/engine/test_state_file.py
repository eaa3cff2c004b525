"""The file of a stack's state: when it is intact, which copy is the newest, and the machine's clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from operations.engine.state_file import (
    clock_behind_state,
    intact_copies,
    state_in_file,
    state_problem,
    time_of,
)
from operations.recovery import copy_search

NOW = datetime.now(UTC)


def checkpoint(stack: str = "dev", time: datetime = NOW, **latest: Any) -> str:
    """A state's file as Pulumi writes it."""
    state = {"manifest": {"time": time.isoformat()}, **latest}
    whole = {
        "version": 3,
        "checkpoint": {"stack": f"organization/triplane/{stack}", "latest": state},
    }
    return json.dumps(whole)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "stacks" / "triplane" / "dev.json"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "half-written"),
        (checkpoint()[:-20], "half-written"),
        ('{"a": [1]}', "not a state of Pulumi"),
        ("[]", "not a state of Pulumi"),
        ('{"checkpoint": {"latest": []}}', "not a state of Pulumi"),
        (checkpoint("prod"), "of another stack, prod"),
    ],
)
def test_a_file_that_is_not_the_stacks_state_is_reported_with_its_path(
    state: Path, text: str, problem: str
) -> None:
    state.write_text(text)
    found = state_problem(state, "dev")
    assert found
    assert problem in found
    assert str(state) in found


def test_an_intact_state_and_a_missing_one_are_no_problem(state: Path) -> None:
    assert state_problem(state, "dev") is None
    state.write_text(checkpoint())
    assert state_problem(state, "dev") is None


def test_the_newest_intact_copy_is_taken_from_the_lake_or_from_pulumi(
    state: Path, tmp_path: Path
) -> None:
    resources = [
        {"urn": "urn:pulumi:dev::triplane::pulumi:pulumi:Stack::s", "type": "pulumi:pulumi:Stack"}
    ]

    def hours(number: int) -> datetime:
        # Written in another time zone: as text they would sort otherwise.
        return (NOW + timedelta(hours=number)).astimezone(timezone(timedelta(hours=-9)))

    backup = tmp_path / "backups" / "triplane" / "dev" / "dev.1.json"
    backup.parent.mkdir(parents=True)
    bak = state.with_name("dev.json.bak")
    in_lake = copy_search.StateCopy(
        "s3://lake", {"deployment": {"manifest": {"time": f"{NOW:%Y-%m-%dT%H:%M:%S}Z"}}}
    )

    def newest() -> str | Path | None:
        found = copy_search.newest_copy(in_lake, intact_copies(state, "dev"))
        return found and found.place

    assert newest() == "s3://lake"
    backup.write_text(checkpoint(time=hours(1), resources=resources))
    assert newest() == backup
    bak.write_text(checkpoint(time=hours(2), resources=resources))
    assert newest() == bak
    bak.write_text(checkpoint(time=hours(2), resources=resources)[:-9])
    assert newest() == backup, "an incomplete copy does not count"
    backup.write_text(checkpoint(time=hours(3), resources=[]))
    assert newest() == "s3://lake", "a copy without resources does not count"
    assert copy_search.newest_copy(None, ()) is None


def test_a_clock_behind_the_state_is_refused_without_allow_clock(state: Path) -> None:
    assert clock_behind_state("dev", None, ()) == [], "there is no state"
    state.write_text(checkpoint(time=NOW + timedelta(minutes=3)))
    assert clock_behind_state("dev", time_of(state_in_file(state)), ()) == [], (
        "two machines' clocks may differ by this"
    )
    written = NOW + timedelta(hours=3)
    [reason] = clock_behind_state("dev", written, ())
    assert f"{NOW + timedelta(hours=3):%H:%M}" in reason
    assert "ALLOW=clock" in reason
    assert clock_behind_state("dev", written, {"clock"}) == []


def test_a_stack_without_an_update_has_no_time_to_compare(state: Path) -> None:
    state.write_text('{"version": 3, "checkpoint": {"stack": "organization/triplane/dev"}}')
    assert time_of(state_in_file(state)) is None
