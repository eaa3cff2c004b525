"""A read changes nothing: what a store does not show is not forgotten, and a bad answer is no answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rehearsal.azure.storage import ACCOUNT, CONTAINER
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle
from tests.unit.rehearsal import aws_account, azure_subscription, gcp_project
from tests.unit.rehearsal.object_store_clients import gcs, s3

S3_BUCKET = "aws:s3/bucket:Bucket"

Made = tuple[Lifecycle, Record]


def aws_bucket(context: Context) -> Made:
    account = aws_account.Account(context)
    return account.lifecycle, account.create(S3_BUCKET, "lake")


def gcp_bucket(context: Context) -> Made:
    project = gcp_project.Project(context)
    return project.lifecycle, project.create(gcp_project.BUCKET, "lake", location="europe-west1")


def azure_container(context: Context) -> Made:
    azure = azure_subscription.Subscription(context)
    azure.create(ACCOUNT, accountName="triplanelake1")
    made = azure.create(CONTAINER, accountName="triplanelake1", containerName="lake")
    return azure.lifecycle, made


MAKERS = {"s3": aws_bucket, "gcs": gcp_bucket, "blob": azure_container}


@pytest.fixture
def foreign_server() -> Iterator[Callable[[int], str]]:
    """A server that is no object store, and gives every request the same status; its address."""
    servers = []

    def start(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_HEAD = answer  # noqa: N815 - names of the base class

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [403, 404, 500, 503])
@pytest.mark.parametrize("store", MAKERS)
def test_an_answer_that_no_healthy_store_gives_is_a_refusal_and_forgets_nothing(
    live_context: Context,
    foreign_server: Callable[[int], str],
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    status: int,
) -> None:
    lifecycle, made = MAKERS[store](live_context)
    address = foreign_server(status)
    with monkeypatch.context() as patched:
        patched.setattr(live_context.object_stores, store, lambda *_: address)
        with pytest.raises(Refusal):
            lifecycle.read(made.token, made.id)
    assert lifecycle.read(made.token, made.id)


def empty(context: Context, store: str) -> None:
    """Take away what a store holds, behind the rehearsal's back."""
    if store == "s3":
        for bucket in s3(context).list_buckets()["Buckets"]:
            s3(context).delete_bucket(Bucket=bucket["Name"])
    elif store == "gcs":
        for bucket in gcs(context).list_buckets():
            bucket.delete()
    else:
        context.object_stores.drop_blob_account("triplanelake1")


@pytest.mark.parametrize("store", MAKERS)
def test_what_a_read_does_not_find_is_not_forgotten_and_can_be_created_again(
    live_context: Context, store: str
) -> None:
    lifecycle, made = MAKERS[store](live_context)
    empty(live_context, store)
    assert lifecycle.read(made.token, made.id) is None
    assert live_context.get(made.token, made.id) is not None
    again = lifecycle.create(made.token, made.urn, made.inputs, [], made.config)
    assert again.id == made.id
    assert lifecycle.read(made.token, made.id)
