"""Backups of a lake, with folders in place of lakes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from operations.data import backup
from operations.data.backup import Copied
from operations.data.folder_lake import FolderLake
from operations.data.lake import StoredObject


def folder(path: Path, **objects: bytes) -> FolderLake:
    new = FolderLake(path)
    for name, data in objects.items():
        new.write(name.replace("__", "/"), data)
    return new


def test_a_backup_has_the_data_and_not_what_a_run_creates_again(tmp_path: Path) -> None:
    source = folder(
        tmp_path / "lake",
        raw__a=b"1",
        captures__b=b"2",
        models__c=b"3",
        builds__d=b"4",
        state__e=b"5",
    )
    target = FolderLake(tmp_path / "backup")
    assert backup.copy(source, target) == Copied(3, 3, 3)
    assert list(target.names()) == ["captures/b", "models/c", "raw/a"]


def test_a_second_backup_copies_only_new_objects(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "lake", raw__a=b"1"), FolderLake(tmp_path / "backup")
    backup.copy(source, target)
    source.write("raw/b", b"22")
    assert backup.copy(source, target) == Copied(2, 1, 2)
    assert target.read("raw/b") == b"22"


def test_an_interrupted_write_leaves_no_object_in_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder(tmp_path, raw__whole=b"1")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            target.write("raw/half", b"22")
    assert list(target.names()) == ["raw/whole"]
    target.write("raw/half", b"22")
    files = [file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()]
    assert sorted(map(str, files)) == ["raw/half", "raw/whole"], (
        "nothing is left of the interrupted write"
    )


class Bucket:
    """A lake in memory that takes any name, as the clouds' do."""

    def __init__(self, **objects: bytes) -> None:
        self.contents: dict[str, tuple[bytes, datetime]] = {}
        self.originals: dict[str, datetime | None] = {}
        self.now = datetime(2026, 11, 1, tzinfo=UTC)
        for name, data in objects.items():
            self.write(name, data)

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        for name, (data, written) in list(self.contents.items()):
            if name.startswith(prefix):
                yield StoredObject(name, len(data), written)

    def names(self, prefix: str = "") -> Iterator[str]:
        return (each.name for each in self.objects(prefix))

    def read(self, name: str) -> bytes | None:
        return self.contents.get(name, (None,))[0]

    def write(self, name: str, data: bytes, written: datetime | None = None) -> None:
        self.contents[name] = data, self.now
        self.originals[name] = written
        self.now += timedelta(seconds=1)

    def original_written(self, name: str) -> datetime | None:
        return self.originals[name]


@pytest.mark.parametrize(
    "names",
    [
        ("raw/x/", "raw/x/data.csv"),  # what the console's "Create folder" makes
        ("raw/x", "raw/x/data.csv"),
        ("raw/x/data.csv", "raw/x/", "raw/x"),
        ("raw/x", "raw/x/y", "raw/x/y/z"),
        ("raw/x/y/z", "raw/x/y", "raw/x"),
        ("raw/", "raw//", "raw//a", "raw/a"),
        ("raw/a.csv.part", "raw/a.csv"),
        ("raw/.parts", "raw/.parts/a"),
        ("raw/100%.csv", "raw/%41", "raw/A", "raw/a%", "raw/%25", "raw/%", "raw/%%"),
        ("raw/dt=2026-11-01/hh=09/a b+c~ü.json",),
        ("raw/../../outside", "raw/./a", "raw/..", "raw/.", "raw/..."),
    ],
)
def test_a_backup_in_a_folder_takes_objects_with_any_name(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    source = Bucket(**{name: name.encode() for name in names})
    target, again = FolderLake(tmp_path / "backup"), Bucket()
    copied = backup.copy(source, target, overwrite="all")
    assert (copied.found, copied.copied) == (len(names), len(names))
    assert sorted(target.names()) == sorted(names)
    assert backup.copy(source, target, overwrite="all").copied == 0, "nothing is copied twice"
    backup.copy(target, again)
    assert {name: again.read(name) for name in again.names()} == {n: n.encode() for n in names}
    assert [each.name for each in tmp_path.iterdir()] == ["backup"], "nor anything written outside"


def test_an_object_with_a_plain_name_is_a_file_of_that_name(tmp_path: Path) -> None:
    folder(tmp_path).write("captures/dt=2026-11-01/hh=09/a b.json", b"1")
    assert (tmp_path / "captures/dt=2026-11-01/hh=09/a b.json").read_bytes() == b"1"


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_an_object_that_was_written_again_is_copied_again(tmp_path: Path, kind: str) -> None:
    source = Bucket(**{"raw/a": b"old", "raw/b": b"b"})
    target = FolderLake(tmp_path) if kind == "folder" else Bucket()
    if isinstance(target, Bucket):
        target.now = source.now + timedelta(days=1)
    backup.copy(source, target, overwrite="all")
    source.now += timedelta(days=2)
    source.write("raw/a", b"new")  # of the same size
    assert backup.copy(source, target, overwrite="all") == Copied(2, 1, 3)
    assert target.read("raw/a") == b"new"


def test_an_object_written_during_its_copy_is_copied_again(tmp_path: Path) -> None:
    class Busy(Bucket):
        def read(self, name: str) -> bytes | None:
            data = super().read(name)
            self.write(name, b"new")
            return data

    for target in (FolderLake(tmp_path), late := Bucket()):
        source = Busy(**{"raw/a": b"old"})
        late.now = source.now + timedelta(minutes=5)
        backup.copy(source, target, overwrite="all")
        assert target.read("raw/a") == b"old"
        source.__class__ = Bucket  # type: ignore[assignment]  # from here on nobody writes to it
        backup.copy(source, target, overwrite="all")
        assert target.read("raw/a") == b"new"


def test_an_existing_lake_keeps_objects_newer_than_the_backup(tmp_path: Path) -> None:
    source, target = folder(tmp_path, raw__a=b"old"), Bucket(**{"raw/a": b"newer"})
    assert backup.copy(source, target) == Copied(1, 0, 0)
    assert target.read("raw/a") == b"newer"


EARLY = datetime(2026, 11, 1, tzinfo=UTC)
LATE = EARLY + timedelta(days=1)


@pytest.mark.parametrize(
    ("original", "copy", "copied", "expected"),
    [
        (StoredObject("n", 1, EARLY), StoredObject("n", 1, LATE), None, False),
        (StoredObject("n", 1, EARLY), StoredObject("n", 2, LATE), None, True),
        (StoredObject("n", 1, LATE), StoredObject("n", 1, EARLY), None, True),
        # One of the hashes is KMS's.
        (StoredObject("n", 1, EARLY, "a"), StoredObject("n", 1, LATE, "b"), None, False),
        (
            StoredObject("n", 1, EARLY),
            StoredObject("n", 1, EARLY + timedelta(minutes=9)),
            None,
            True,
        ),
        (StoredObject("n", 1, EARLY), StoredObject("n", 1, LATE), EARLY, False),
        (StoredObject("n", 1, EARLY), StoredObject("n", 1, LATE), LATE, True),
        # S3 has whole seconds: written twice in one.
        (StoredObject("n", 1, EARLY), StoredObject("n", 2, LATE), EARLY, True),
    ],
)
def test_times_show_whether_an_object_was_written_again(
    original: StoredObject, copy: StoredObject, copied: datetime | None, expected: bool
) -> None:
    assert backup.may_differ(original, copy, copied) is expected


def test_equal_hashes_prove_that_nothing_was_written_again() -> None:
    assert backup.is_same(StoredObject("n", 1, LATE, "a"), StoredObject("n", 1, EARLY, "a"))
    assert not backup.is_same(StoredObject("n", 1, LATE), StoredObject("n", 1, LATE))


def test_a_lake_in_use_keeps_what_it_has_written_itself_and_gets_what_was_copied_again() -> None:
    source = Bucket(**{"raw/both": b"old", "raw/copied": b"old"})
    target = Bucket(**{"raw/both": b"its own"})
    assert backup.copy(source, target, overwrite="copies") == Copied(2, 1, 3, kept=1)
    target.now = source.now + timedelta(days=9)
    for name in ("raw/both", "raw/copied"):
        source.write(name, b"newer")
    assert backup.copy(source, target, overwrite="copies") == Copied(2, 1, 5, kept=1)
    assert target.read("raw/both") == b"its own"
    assert target.read("raw/copied") == b"newer"
    assert backup.copy(source, target, overwrite="copies") == Copied(2, 0, 0, kept=1)


def test_a_full_disk_leaves_the_previous_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder(tmp_path, state__s=b"former")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        target.write("state/s", b"newer")
    assert target.read("state/s") == b"former"
