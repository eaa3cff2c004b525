"""Each cloud's own storage client writes a capture under its name, once, also after a retry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
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
            case "gcs":
                monkeypatch.setenv("STORAGE_EMULATOR_HOST", plain.url)
                monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
                found.write = lakes.writer("gs://lake/captures")
            case _:
                authority = Authority(tmp_path)
                monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
                monkeypatch.setenv("IDENTITY_ENDPOINT", f"{plain.url}/token")
                monkeypatch.setenv("IDENTITY_HEADER", "header")
                safe = stack.enter_context(
                    fake_cloud(found.answer, authority.certificate("127.0.0.1"))
                )
                found.write = lakes.writer(f"{safe.url}/account/captures", "client-id")
        yield found


def test_a_capture_is_written_under_its_name(lake: Lake) -> None:
    lake.write("dt=2013-12-08/hh=09/a.json", b'{"a":1}\n')
    assert b'{"a":1}\n' in lake.requests[-1].body
    where = "captures/" if lake.kind == "azure" else "lake/captures/"
    assert lake.object() == where + "dt=2013-12-08/hh=09/a.json"


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
