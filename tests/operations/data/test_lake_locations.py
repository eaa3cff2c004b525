"""A lake's URI: what opens which lake, and that nothing else becomes a folder on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from operations.commands.registry import COMMANDS
from operations.data.cloud_lakes import BlobLake, GcsLake, S3Lake
from operations.data.folder_lake import FolderLake
from operations.data.lake import Lake
from operations.data.lake_locations import open_lake
from operations.engine.shell_stack import ShellStack


@pytest.mark.parametrize(
    ("uri", "lake"),
    [
        ("s3://backups", S3Lake("backups")),
        ("gs://backups/", GcsLake("backups")),
        ("https://acc.blob.core.windows.net/", BlobLake("https://acc.blob.core.windows.net")),
        (
            "https://acc.blob.core.usgovcloudapi.net",
            BlobLake("https://acc.blob.core.usgovcloudapi.net"),
        ),
        ("https://127.0.0.1:10000/account", BlobLake("https://127.0.0.1:10000/account")),
        (".backups/dev", FolderLake(Path(".backups/dev"))),
        ("/mnt/backups", FolderLake(Path("/mnt/backups"))),
        ("~/backups", FolderLake(Path("~/backups").expanduser())),
        ("./2026:11", FolderLake(Path("2026:11"))),
    ],
)
def test_a_lake_is_opened_by_its_uri_and_a_folder_by_its_path(uri: str, lake: Lake) -> None:
    assert open_lake(uri) == lake


@pytest.mark.parametrize(
    ("uri", "advice"),
    [
        ("gcs://backups", "Did you mean gs?"),
        ("S3://backups", "Did you mean s3?"),
        ("http://acc.blob.core.windows.net", "Did you mean https?"),
        ("file:///mnt/backups", "or the path of a folder"),
        ("s3:backups", "Did you mean s3?"),
        ("s3:/backups", "Did you mean s3?"),
        ("azblob://backups?storage_account=acc", "https://acc.blob.core.windows.net"),
        ("azblob://backups", "https://<account>.blob.core.windows.net"),
        ("s3://backups/2026", "a whole bucket"),
        ("gs://backups/2026", "a whole bucket"),
        ("s3://backups?region=eu-west-1", "a whole bucket"),
        ("s3://", "a whole bucket"),
        ("https://acc.blob.core.windows.net/backups", "a whole storage account"),
        ("https://portal.azure.com/a/b", "a whole storage account"),
    ],
)
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_place_that_is_no_lake_is_refused_with_the_allowed_forms_and_never_a_folder(
    command: str, uri: str, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKUP", uri)
    stack = ShellStack("prod", tmp_path / "Pulumi.prod.yaml")
    with pytest.raises(SystemExit) as left:
        COMMANDS[command](stack)
    message = cast(str, left.value.code)
    assert message.startswith(f"BACKUP={uri}: ")
    assert advice in message
    assert message.endswith("Nothing was changed.")
    assert not list(tmp_path.iterdir())
