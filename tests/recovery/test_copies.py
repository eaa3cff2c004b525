"""Backups and copies of the state, on folders that stand for lakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools import adopt, backup, lake


def folder(path: Path, **objects: bytes) -> lake.Folder:
    made = lake.Folder(path)
    for name, data in objects.items():
        made.write(name.replace("__", "/"), data)
    return made


def test_a_backup_has_the_data_and_leaves_what_is_made_anew(tmp_path: Path) -> None:
    source = folder(
        tmp_path / "lake",
        raw__a=b"1",
        captures__b=b"2",
        models__c=b"3",
        builds__d=b"4",
        state__e=b"5",
    )
    target = lake.Folder(tmp_path / "backup")
    assert backup.copy(source, target) == (3, 3, 3)
    assert list(target.names()) == ["captures/b", "models/c", "raw/a"]


def test_a_second_backup_copies_only_what_is_new(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "lake", raw__a=b"1"), lake.Folder(tmp_path / "backup")
    backup.copy(source, target)
    source.write("raw/b", b"22")
    assert backup.copy(source, target) == (2, 1, 2)
    assert target.read("raw/b") == b"22"


def test_a_file_that_was_cut_short_is_no_backup(tmp_path: Path) -> None:
    target = folder(tmp_path, raw__whole=b"1")
    (tmp_path / "raw" / "half.part").write_bytes(b"")
    assert list(target.names("raw/")) == ["raw/whole"]


def test_a_full_disk_leaves_the_former_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder(tmp_path, state__s=b"former")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        target.write("state/s", b"newer")
    assert target.read("state/s") == b"former"


def state(time: str, resources: int) -> dict[str, Any]:
    return {"deployment": {"manifest": {"time": time}, "resources": [{}] * resources}}


@pytest.fixture
def lakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[lake.Folder]:
    made = [lake.Folder(tmp_path / name) for name in ("one", "two", "three")]
    monkeypatch.setattr(lake, "standing", lambda _: [str(each.path) for each in made])
    return made


def test_the_newest_copy_of_the_stacks_own_state_is_adopted(lakes: list[lake.Folder]) -> None:
    backup.keep_state(lakes[0], "dev", state("2026-01-01T00:00:00Z", 5))
    backup.keep_state(lakes[1], "dev", state("2026-02-01T00:00:00Z", 6))
    backup.keep_state(lakes[2], "prod", state("2026-03-01T00:00:00Z", 7))
    found = adopt.find(None, "dev")  # type: ignore[arg-type]  # the lakes are given
    assert found
    assert found[0] == str(lakes[1].path)
    assert len(found[1]["deployment"]["resources"]) == 6


def test_a_stack_is_not_built_beside_its_own_platform_unless_that_is_meant(
    lakes: list[lake.Folder],
) -> None:
    assert adopt.unclaimed(None, "dev", ()) == []  # type: ignore[arg-type]
    backup.keep_state(lakes[0], "dev", state("2026-01-01T00:00:00Z", 5))
    [reason] = adopt.unclaimed(None, "dev", ())  # type: ignore[arg-type]
    assert "make adopt" in reason
    assert adopt.unclaimed(None, "dev", {adopt.SECOND}) == []  # type: ignore[arg-type]


def test_a_copy_of_an_empty_stack_claims_nothing(lakes: list[lake.Folder]) -> None:
    backup.keep_state(lakes[0], "dev", state("2026-01-01T00:00:00Z", 0))
    assert adopt.find(None, "dev") is None  # type: ignore[arg-type]
