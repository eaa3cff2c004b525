"""The object stores, used through the clouds' own clients, and killed meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable

import psutil
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from botocore.exceptions import ClientError

from rehearsal.provider.context import Context
from rehearsal.runtime.object_stores import StoreFailed
from tests.unit.rehearsal.object_store_clients import Token, blobs, gcs, s3


def kill(context: Context, store: str) -> None:
    """kill -9, and wait until the process has ended."""
    (pid,) = [pid for pid, _, key in context.store.processes() if key == f"objects/{store}"]
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=5)


def test_s3_keeps_versions_settings_and_empty_buckets_over_a_kill(live_context: Context) -> None:
    client = s3(live_context)
    place = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket="lake", CreateBucketConfiguration=place)
    client.create_bucket(Bucket="empty-bucket", CreateBucketConfiguration=place)
    versioned = {"Status": "Enabled"}
    client.put_bucket_versioning(Bucket="lake", VersioningConfiguration=versioned)
    client.put_bucket_tagging(Bucket="lake", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    first = client.put_object(Bucket="lake", Key="a", Body=b"one", Tagging="x=y")["VersionId"]
    client.put_object(Bucket="lake", Key="a", Body=b"two")
    client.put_object(Bucket="lake", Key="a/below", Body=b"a key below another key")
    client.delete_object(Bucket="lake", Key="a/below")

    kill(live_context, "s3")
    client = s3(live_context)

    names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    assert sorted(names) == ["empty-bucket", "lake"]
    assert client.get_bucket_versioning(Bucket="lake")["Status"] == "Enabled"
    assert client.get_bucket_tagging(Bucket="lake")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert client.get_object(Bucket="lake", Key="a")["Body"].read() == b"two"
    assert client.get_object(Bucket="lake", Key="a", VersionId=first)["Body"].read() == b"one"
    tags = client.get_object_tagging(Bucket="lake", Key="a", VersionId=first)["TagSet"]
    assert tags == [{"Key": "x", "Value": "y"}]
    markers = client.list_object_versions(Bucket="lake")["DeleteMarkers"]
    assert [marker["Key"] for marker in markers] == ["a/below"]


def test_s3_refuses_to_delete_a_bucket_that_has_only_old_versions(live_context: Context) -> None:
    client = s3(live_context)
    client.create_bucket(
        Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    client.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket="lake", Key="a", Body=b"one")
    client.delete_objects(Bucket="lake", Delete={"Objects": [{"Key": "a"}]})
    assert "Contents" not in client.list_objects_v2(Bucket="lake")

    with pytest.raises(ClientError, match=r"BucketNotEmpty.*delete all versions"):
        client.delete_bucket(Bucket="lake")

    listed = client.list_object_versions(Bucket="lake")
    for version in [*listed["Versions"], *listed["DeleteMarkers"]]:
        client.delete_object(Bucket="lake", Key=version["Key"], VersionId=version["VersionId"])
    client.delete_bucket(Bucket="lake")
    kill(live_context, "s3")
    assert s3(live_context).list_buckets()["Buckets"] == []


def test_a_deleted_object_stays_deleted_over_a_kill(live_context: Context) -> None:
    client = s3(live_context)
    client.create_bucket(
        Bucket="b" * 5, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    for key in ("one", "two", "three"):
        client.put_object(Bucket="bbbbb", Key=key, Body=b"x")
    client.delete_object(Bucket="bbbbb", Key="one")
    client.delete_objects(Bucket="bbbbb", Delete={"Objects": [{"Key": "two"}]})
    kill(live_context, "s3")
    listed = s3(live_context).list_objects_v2(Bucket="bbbbb")["Contents"]
    assert [item["Key"] for item in listed] == ["three"]


def test_a_store_that_dies_is_started_again_automatically(live_context: Context) -> None:
    client = gcs(live_context)
    time.sleep(1.2)  # one that dies within its first second is left to its next use
    kill(live_context, "gcs")
    client.create_bucket("again", timeout=10)  # retries until a server listens
    assert [bucket.name for bucket in client.list_buckets()] == ["again"]


def test_gcs_keeps_buckets_and_objects_over_a_kill_and_honours_preconditions(
    live_context: Context,
) -> None:
    bucket = gcs(live_context).create_bucket("lake")
    blob = bucket.blob("captures/a.json")
    blob.upload_from_string(b"one", if_generation_match=0)
    kill(live_context, "gcs")
    found = gcs(live_context).bucket("lake").blob("captures/a.json")
    assert found.download_as_bytes() == b"one"
    with pytest.raises(Exception, match="412"):
        found.upload_from_string(b"two", if_generation_match=0)


def test_blobs_are_written_with_a_bearer_token_and_survive_a_kill(live_context: Context) -> None:
    client = blobs(live_context, "lakeone")
    container = client.create_container("models")
    for number in range(20):
        container.upload_blob("a", str(number).encode(), overwrite=True)
    kill(live_context, "blob")  # right after the answer: Azurite itself would lose the last writes
    container = blobs(live_context, "lakeone").get_container_client("models")
    assert container.download_blob("a").readall() == b"19"


def test_accounts_do_not_share_blobs(live_context: Context) -> None:
    blobs(live_context, "lakeone").create_container("models").upload_blob("a", b"1")
    other = blobs(live_context, "laketwo")
    assert list(other.list_containers()) == []
    live_context.object_stores.drop_blob_account("lakeone")
    with pytest.raises(HttpResponseError):
        next(BlobServiceClient(
            other.url.replace("laketwo", "lakeone"), credential=Token(),
            connection_verify=str(live_context.authority.bundle), retry_total=0,
        ).list_containers(), None)  # fmt: skip
    assert list(blobs(live_context, "lakeone").list_containers()) == []


def test_blob_versions_are_not_executed(live_context: Context) -> None:
    """A fact that the docstring of `rehearsal.runtime.object_stores` and the lake's kind state."""
    container = blobs(live_context, "lakeone").create_container("models")
    for content in (b"1", b"2"):
        container.upload_blob("a", content, overwrite=True)
    listed = list(container.list_blobs(include=["versions"]))
    assert [(blob.name, blob.version_id) for blob in listed] == [("a", None)]


def test_blob_storage_refuses_a_caller_without_a_token(live_context: Context) -> None:
    url = live_context.object_stores.blob("lakeone")
    anonymous = BlobServiceClient(
        url, connection_verify=str(live_context.authority.bundle), retry_total=0
    )
    with pytest.raises((HttpResponseError, ResourceNotFoundError)):
        anonymous.create_container("models")


def test_stores_keep_their_ports_after_a_kill_of_the_rehearsal(
    contexts: Callable[[], Context],
) -> None:
    before = contexts()
    urls = (
        before.object_stores.s3(),
        before.object_stores.gcs(),
        before.object_stores.blob("lakeone"),
    )
    after = contexts()
    assert (
        after.object_stores.s3(),
        after.object_stores.gcs(),
        after.object_stores.blob("lakeone"),
    ) == urls


def test_a_taken_port_is_reported_and_the_port_stays_the_same(live_context: Context) -> None:
    port = live_context.object_stores.port("s3")
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StoreFailed, match=str(port)):
        live_context.object_stores.s3()


def test_the_three_stores_together_fit_in_300_mb_and_listen_on_loopback_only(
    live_context: Context,
) -> None:
    s3(live_context).list_buckets()
    list(gcs(live_context).list_buckets())
    blobs(live_context, "lakeone").create_container("models").upload_blob("a", b"x" * 100_000)
    processes = [psutil.Process(pid) for pid, _, _ in live_context.store.processes()]
    memory = {" ".join(p.cmdline()[:3]): p.memory_info().rss >> 20 for p in processes}
    assert len(processes) == 3
    assert sum(memory.values()) < 300, memory
    listening = [c.laddr.ip for p in processes for c in p.net_connections() if c.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}
    print(memory)
