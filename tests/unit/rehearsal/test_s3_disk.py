"""The file in which the rehearsal keeps its buckets on AWS runs nothing when it is read."""

from __future__ import annotations

import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ministack.services import s3  # type: ignore[import-untyped]

from rehearsal.runtime import s3_server


class Witness:
    """Writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("table", ["buckets", "objects"])
def test_an_altered_file_of_buckets_is_refused_and_not_run(table: str, tmp_path: Path) -> None:
    disk = s3_server.Disk(tmp_path / "s3.sqlite")
    altered = pickle.dumps({"bucket": Witness(tmp_path / "witness"), "settings": {}})
    values = ("a", "b", altered) if table == "buckets" else ("a", "b", "k", altered)
    with sqlite3.connect(tmp_path / "s3.sqlite") as file:
        file.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
    with pytest.raises(pickle.UnpicklingError, match="make wipe"):
        disk.load()
    assert not (tmp_path / "witness").exists()


def test_a_file_of_a_former_version_is_still_read(tmp_path: Path) -> None:
    disk = s3_server.Disk(tmp_path / "s3.sqlite")
    version = {"body": b"\xff", "size": 1, "tags": {"k": "v"}, "deleted": False, "parts": (1, 2.5)}
    bucket = pickle.dumps({"bucket": {"region": None}, "settings": {}})
    stored = pickle.dumps({"object": version, "versions": [version], "facts": {"tags": {}}})
    with sqlite3.connect(tmp_path / "s3.sqlite") as file:
        file.execute("INSERT INTO buckets VALUES ('1', 'former', ?)", (bucket,))
        file.execute("INSERT INTO objects VALUES ('1', 'former', 'k', ?)", (stored,))
    try:
        disk.load()
        kept = s3._buckets._data[("1", "former")]
        assert kept["objects"] == {"k": version}
        assert s3._object_versions._data[("1", ("former", "k"))] == [version]
    finally:
        s3._buckets._data.pop(("1", "former"), None)
        s3._object_versions._data.pop(("1", ("former", "k")), None)
