"""An archive is unpacked inside its folder, on a Python with `tarfile.data_filter` and on an older one."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from rehearsal.core.tar_archives import unpack

WAYS = ["of this Python", "of Python 3.11.2"]


@pytest.fixture(params=WAYS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian 12's Python has neither the filter nor the argument."""
    if request.param == WAYS[0]:
        return

    def extractall(*_: object, **given: object) -> None:
        raise TypeError(f"got an unexpected keyword argument {', '.join(given)}")

    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)


def archive(*members: tarfile.TarInfo) -> tarfile.TarFile:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for each in members:
            each.size = 5 if each.isfile() else 0
            opened.addfile(each, io.BytesIO(b"model"))
    return tarfile.open(fileobj=io.BytesIO(buffer.getvalue()))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:  # fmt: skip
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode, found.uid, found.gid = kind, link, mode, 12345, 12345
    return found


def test_files_keep_their_content_and_whether_they_can_be_run_and_belong_to_who_unpacks(
    tmp_path: Path,
) -> None:
    folder = member("code", tarfile.DIRTYPE, mode=0o700)
    unpack(archive(folder, member("code/run", mode=0o6755), member("model.onnx")), tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == b"model"
    assert (tmp_path / "code/run").stat().st_mode & 0o7777 == 0o755
    assert not (tmp_path / "model.onnx").stat().st_mode & 0o111
    assert (tmp_path / "code/run").stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("code/../../outside"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("device", tarfile.CHRTYPE),
    ],
    ids=["above", "above by a folder", "link", "device"],
)
def test_a_member_that_leads_out_of_the_folder_is_refused(
    bad: tarfile.TarInfo, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(tarfile.TarError):
        unpack(archive(bad), tmp_path / "in")
    assert not (tmp_path / "outside").exists()


def test_nothing_is_written_through_a_link_of_the_same_archive(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    link = member("link", tarfile.SYMTYPE, str(tmp_path))
    with pytest.raises(tarfile.TarError):
        unpack(archive(link, member("link/outside")), tmp_path / "in")
    assert not (tmp_path / "outside").exists()
