"""Which copy of a lost state is taken, and which stacks may be created, with folders in place of lakes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations.data import lake_locations
from operations.data.folder_lake import FolderLake
from operations.data.state_copy import write_state_copy
from operations.engine.rehearsed_stack import SETTINGS, RehearsedStack
from operations.recovery import copy_search

CONFIG: Any = None
"""No settings are needed: the lakes are given."""
DEV, UNCOPIED = (RehearsedStack(name, SETTINGS) for name in ("dev", "uncopied"))


def state(time: str, resources: int) -> dict[str, Any]:
    return {"deployment": {"manifest": {"time": time}, "resources": [{}] * resources}}


@pytest.fixture
def lakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[FolderLake]:
    folders = [FolderLake(tmp_path / name) for name in ("one", "two", "three")]
    paths = [str(each.path) for each in folders]
    # The last one carries the tags of a stack that has no copy of its state anywhere.
    tagged = {None: paths, "uncopied": paths[2:]}
    monkeypatch.setattr(lake_locations, "find_lakes", lambda _, stack=None: tagged.get(stack, []))
    return folders


def test_the_newest_copy_of_the_stacks_own_state_is_taken(lakes: list[FolderLake]) -> None:
    write_state_copy(lakes[0], "dev", state("2026-01-01T00:00:00Z", 5))
    write_state_copy(lakes[1], "dev", state("2026-02-01T00:00:00Z", 6))
    write_state_copy(lakes[2], "prod", state("2026-03-01T00:00:00Z", 7))
    found = copy_search.newest_lake_copy(CONFIG, "dev")
    assert found
    assert found.place == str(lakes[1].path)
    assert len(found.resources) == 6


def test_a_second_platform_of_a_stack_is_refused_without_allow(
    lakes: list[FolderLake],
) -> None:
    assert copy_search.reasons_not_to_create(CONFIG, DEV, ()) == []
    write_state_copy(lakes[0], "dev", state("2026-01-01T00:00:00Z", 5))
    [reason] = copy_search.reasons_not_to_create(CONFIG, DEV, ())
    assert "make adopt" in reason
    assert copy_search.reasons_not_to_create(CONFIG, DEV, {copy_search.ALLOW_SECOND_PLATFORM}) == []


def test_a_lake_with_the_stacks_tags_counts_even_without_a_copy(
    lakes: list[FolderLake],
) -> None:
    [reason] = copy_search.reasons_not_to_create(CONFIG, UNCOPIED, ())
    assert str(lakes[2].path) in reason
    assert "without a copy of its state" in reason
    assert "make adopt" in reason
    assert (
        copy_search.reasons_not_to_create(CONFIG, UNCOPIED, {copy_search.ALLOW_SECOND_PLATFORM})
        == []
    )


def test_a_copy_that_cannot_be_read_still_shows_that_the_platform_exists(
    lakes: list[FolderLake],
) -> None:
    lakes[0].write("state/triplane/dev.json", b'{"deployment": {')
    [reason] = copy_search.reasons_not_to_create(CONFIG, DEV, ())
    assert "with a copy of its state that cannot be read" in reason
    assert "make adopt" in reason


def test_a_copy_without_resources_is_no_copy(lakes: list[FolderLake]) -> None:
    write_state_copy(lakes[0], "dev", state("2026-01-01T00:00:00Z", 0))
    assert copy_search.newest_lake_copy(CONFIG, "dev") is None


@pytest.mark.parametrize(
    ("cloud", "permission"),
    [("aws", "tag:GetResources"), ("gcp", "storage.buckets.list"), ("azure", "Reader")],
)
def test_lakes_that_may_not_be_listed_are_not_taken_for_none(
    cloud: str, permission: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> list[str]:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(lake_locations, "find_lakes", refused)
    config: Any = SimpleNamespace(cloud=cloud)
    with pytest.raises(SystemExit, match=f"AccessDenied.*Nothing was changed.*{permission}"):
        copy_search.reasons_not_to_create(config, DEV, ())
