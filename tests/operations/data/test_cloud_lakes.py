"""The lakes of the three clouds, in the rehearsal's object stores."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path

from operations.data import backup
from operations.data.backup import Copied
from operations.data.cloud_lakes import BlobLake, GcsLake, S3Lake
from operations.data.folder_lake import FolderLake
from operations.data.lake import Lake
from rehearsal.provider.context import Context
from tests.unit.rehearsal.object_store_clients import blobs, gcs, s3


def lakes(context: Context, name: str) -> list[Lake]:
    """One of each cloud, with clients that find the context's."""
    s3(context).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    made = S3Lake(name), GcsLake(name), BlobLake("https://is-not-used")
    vars(made[0])["_client"] = s3(context)
    vars(made[1])["_bucket"] = gcs(context).create_bucket(name)
    vars(made[2])["_service"] = service = blobs(context, name)
    for zone in backup.ZONES:
        service.create_container(zone)
    return list(made)


def test_a_backup_of_any_cloud_has_what_was_written_again_and_folders_of_its_console(
    live_context: Context, tmp_path: Path
) -> None:
    for source, other in zip(
        lakes(live_context, "first"), lakes(live_context, "second"), strict=True
    ):
        for name in ("raw/x/", "raw/x/data.csv", "raw/a.csv.part"):
            source.write(name, b"" if name.endswith("/") else b"old")
        listed = {each.name: each for each in source.objects("raw/")}
        # fake-gcs-server keeps objects as files, and none for a folder.
        assert ("raw/x/" in listed) is not isinstance(source, GcsLake)
        count = len(listed)
        assert listed["raw/x/data.csv"].md5 == hashlib.md5(b"old").hexdigest()
        for target in (FolderLake(tmp_path / type(source).__name__), other):
            source.write("raw/x/data.csv", b"old")
            assert backup.copy(source, target, overwrite="all") == Copied(
                count, count, len(b"old") * 2
            ), source
            assert sorted(target.names("raw/")) == sorted(listed)
            assert backup.copy(source, target, overwrite="all") == Copied(count), source
            time.sleep(1.1)  # S3 and Azure tell whole seconds
            source.write("raw/x/data.csv", b"new")
            assert backup.copy(source, target, overwrite="all") == Copied(count, 1, 3), source
            assert target.read("raw/x/data.csv") == b"new"


def test_a_copy_on_any_cloud_keeps_when_its_original_was_written(live_context: Context) -> None:
    written = datetime(2026, 11, 28, 1, 2, 3, 456789, tzinfo=UTC)
    for lake in lakes(live_context, "times"):
        lake.write("raw/copy", b"1", written)
        lake.write("raw/own", b"1")
        assert lake.original_written("raw/copy") == written, lake
        assert lake.original_written("raw/own") is None, lake


def test_a_zone_that_an_older_lake_on_azure_does_not_have_is_empty(live_context: Context) -> None:
    blob_lake = lakes(live_context, "older")[2]
    assert list(blob_lake.objects("nozone/")) == []


def test_a_backup_on_azure_makes_the_containers_that_its_account_does_not_have(
    live_context: Context,
) -> None:
    blob_lake = lakes(live_context, "backup")[2]
    blob_lake.write("state/triplane/dev.json", b"1", datetime(2026, 11, 28, tzinfo=UTC))
    assert blob_lake.read("state/triplane/dev.json") == b"1"
