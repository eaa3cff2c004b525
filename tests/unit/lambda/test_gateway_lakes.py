"""Each cloud's own storage client writes a capture under its name, once, also after a retry."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from gateway import lakes

from rehearsal.core.credentials import Authority

from .fake_cloud import ReceivedRequest, Reply, fake_cloud


@dataclass
class Lake:
    """One cloud's writer and its fake lake, which returns the ``replies`` first, and then good answers."""

    kind: str
    replies: list[Reply] = field(default_factory=list)
    requests: list[ReceivedRequest] = field(default_factory=list)
    write: lakes.Write = lambda name, data: None
    read: lakes.Read = lambda name: b""

    def answer(self, request: ReceivedRequest) -> Reply:
        if "token" in request.path:
            expires = str(int(time.time()) + 3600)
            return Reply(body={"access_token": "t", "expires_on": expires, "token_type": "Bearer"})
        self.requests.append(request)
        if self.replies:
            return self.replies.pop(0)
        good = {"s3": Reply(200, b""), "azure": Reply(201, b"")}
        return good.get(self.kind, Reply(200, {"name": "x", "generation": "1"}))

    def object(self) -> str:
        """The bucket or container, and the name, of the object in the last request."""
        path = unquote(urlsplit(self.requests[-1].path).path)
        if self.kind == "gcs":
            return (
                "lake/"
                + self.requests[-1].body.decode().partition('"name": "')[2].partition('"')[0]
            )
        return path.removeprefix("/account").lstrip("/")


@pytest.fixture(autouse=True)
def one_client_a_process() -> None:
    lakes._s3_client.cache_clear()


@pytest.fixture(params=["s3", "gcs", "azure"])
def lake(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Lake]:
    found = Lake(request.param)
    with ExitStack() as stack:
        plain = stack.enter_context(fake_cloud(found.answer))
        match request.param:
            case "s3":
                for name, value in {
                    "AWS_ENDPOINT_URL": plain.url,
                    "AWS_DEFAULT_REGION": "eu-west-1",
                    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
                    "AWS_SECRET_ACCESS_KEY": "example",
                }.items():
                    monkeypatch.setenv(name, value)
                found.write = lakes.writer("s3://lake/captures")
                found.read = lakes.reader("s3://lake/models")
            case "gcs":
                monkeypatch.setenv("STORAGE_EMULATOR_HOST", plain.url)
                monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
                found.write = lakes.writer("gs://lake/captures")
                found.read = lakes.reader("gs://lake/models")
            case _:
                authority = Authority(tmp_path)
                monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
                monkeypatch.setenv("IDENTITY_ENDPOINT", f"{plain.url}/token")
                monkeypatch.setenv("IDENTITY_HEADER", "header")
                safe = stack.enter_context(
                    fake_cloud(found.answer, authority.certificate("127.0.0.1"))
                )
                found.write = lakes.writer(f"{safe.url}/account/captures", "client-id")
                found.read = lakes.reader(f"{safe.url}/account/models", "client-id")
        yield found


def test_a_capture_is_written_under_its_name(lake: Lake) -> None:
    lake.write("dt=2013-12-08/hh=09/a.json", b'{"a":1}\n')
    assert b'{"a":1}\n' in lake.requests[-1].body
    where = "captures/" if lake.kind == "azure" else "lake/captures/"
    assert lake.object() == where + "dt=2013-12-08/hh=09/a.json"
    sent = lake.requests[-1]
    kinds = [sent.headers.get("content-type", ""), sent.headers.get("x-ms-blob-content-type", "")]
    assert "application/x-ndjson" in kinds or b"content-type: application/x-ndjson" in sent.body


def test_an_artifact_is_read_by_its_name(lake: Lake) -> None:
    etag = {"etag": '"1"', "x-ms-blob-type": "BlockBlob", "content-range": "bytes 0-1/2"}
    lake.replies = [Reply(206 if lake.kind == "azure" else 200, b"{}", etag)]
    assert lake.read("digits/v/contract.json") == b"{}"
    (request,) = lake.requests
    assert request.method == "GET"
    wanted = {"s3": "/lake/models/", "gcs": "/b/lake/o/models/", "azure": "/account/models/"}
    path = unquote(urlsplit(request.path).path)
    assert path.endswith(wanted[lake.kind] + "digits/v/contract.json")


def test_an_artifact_that_may_not_be_read_is_an_error(lake: Lake) -> None:
    lake.replies = [Reply(403, b"")] * 5
    with pytest.raises(Exception, match=r"(?i)forbidden|403|denied"):
        lake.read("digits/v/contract.json")
    assert len(lake.requests) == 1


def test_a_temporary_failure_of_the_lake_is_retried(lake: Lake) -> None:
    lake.replies = [Reply(503)]
    lake.write("a.json", b"{}\n")
    assert len(lake.requests) == 2


def test_no_object_is_overwritten_and_an_earlier_attempt_is_no_error(lake: Lake) -> None:
    if lake.kind == "s3":
        pytest.skip("the name is unique, and put_object is idempotent")
    exists: Any = {"x-ms-error-code": "BlobAlreadyExists"}
    lake.replies = [Reply(412) if lake.kind == "gcs" else Reply(409, b"", exists)]
    lake.write("a.json", b"{}\n")
    (request,) = lake.requests
    if lake.kind == "gcs":
        assert parse_qs(urlsplit(request.path).query)["ifGenerationMatch"] == ["0"]
    else:
        assert request.headers["if-none-match"] == "*"


def test_a_refusal_of_the_lake_is_an_error_that_captures_can_count(lake: Lake) -> None:
    lake.replies = [Reply(403, b"")] * 5
    with pytest.raises(Exception, match=r"(?i)forbidden|403|denied"):
        lake.write("a.json", b"{}\n")
    assert len(lake.requests) == 1


def test_a_client_of_s3_waits_and_retries_as_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("boto3.client", lambda service, config: made.append((service, config)))
    lakes.s3("lake", "captures")
    ((service, config),) = made
    assert service == "s3"
    assert (config.connect_timeout, config.read_timeout) == (2, 10)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}


def test_a_client_of_cloud_storage_waits_and_retries_as_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[Any] = []
    blob = SimpleNamespace(upload_from_string=lambda data, **options: written.append(options))
    bucket = SimpleNamespace(blob=lambda name: blob)
    client = SimpleNamespace(bucket=lambda name: bucket)
    monkeypatch.setattr("google.cloud.storage.Client", lambda: client)
    name = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
    monkeypatch.setenv(name, "")
    lakes.gcs("lake", "captures")("a.json", b"{}\n")
    assert os.environ[name] == "true", "or the client reads the bucket, which the gateway may not"
    ((options),) = written
    assert options["timeout"] == (2, 10)
    assert options["retry"]._timeout == 30


@pytest.mark.parametrize(("client_id", "asked"), [("client", "client"), ("", None)])
def test_a_client_of_a_blob_container_waits_and_retries_as_the_others(
    client_id: str, asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    identities: list[object] = []
    monkeypatch.setattr(
        "azure.identity.ManagedIdentityCredential", lambda **options: identities.append(options)
    )
    monkeypatch.setattr(
        "azure.storage.blob.ContainerClient.from_container_url",
        lambda url, **options: made.append(options),
    )
    lakes.azure_blob("https://account/captures", client_id)
    (options,) = made
    assert identities == [{"client_id": asked, "retry_total": 1}]
    assert (options["connection_timeout"], options["read_timeout"]) == (2, 10)
    retries = options["retry_policy"]
    assert (retries.initial_backoff, retries.increment_base, retries.total_retries) == (0, 1, 2)
