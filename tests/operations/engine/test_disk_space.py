"""Free disk space before a run."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from operations.engine.disk_space import MIB, disk_shortages, written_folders

Usage = namedtuple("Usage", "total used free")


def free_space(monkeypatch: pytest.MonkeyPatch, mib: float) -> None:
    usage = Usage(1, 1, int(mib * MIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_too_little_space_is_reported_once_for_each_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    free_space(monkeypatch, 63.9)
    reasons = disk_shortages()
    disks = {
        next(each for each in (folder, *folder.parents) if each.exists()).stat().st_dev
        for folder in written_folders()
    }
    assert len(reasons) == len(disks)
    assert "63.9 MiB free" in reasons[0]
    assert str(written_folders()[0]) in reasons[0]
    free_space(monkeypatch, 64)
    assert disk_shortages() == []
