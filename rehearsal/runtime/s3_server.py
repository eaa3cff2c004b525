"""The S3 endpoint: ministack's S3 protocol over a SQLite file, for requests that the deployer has signed.

``python -m rehearsal.runtime.s3_server PORT FILE STATE``

ministack (MIT) speaks S3 well, but keeps bucket settings and object versions in memory until it is
stopped gracefully, and loses the versions even then. Here every write is in the file before it is
answered, so that a kill -9 loses no acknowledged write.

Not executed: lifecycle rules, default encryption, access policies and public access blocks are stored and
returned only. An unfinished multipart upload is lost by a restart. Objects are also kept in memory, so it is
not made for gigabytes.
"""

from __future__ import annotations

import hmac
import io
import os
import pickle
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import defusedxml.ElementTree  # type: ignore[import-untyped]
import uvicorn
from ministack import app  # type: ignore[import-untyped]
from ministack.core.responses import get_account_id  # type: ignore[import-untyped]
from ministack.services import s3  # type: ignore[import-untyped]
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rehearsal.core.access_keys import SERVER_HEADER, AccessKeys
from rehearsal.core.credentials import storage_key
from rehearsal.core.http_protocol import HttpProtocol
from rehearsal.core.request_guard import RequestGuard
from rehearsal.runtime import sigv4

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[..., Awaitable[Answer]]

# What ministack knows of one object beside the object itself; keys start with (bucket, key).
OBJECT_FACTS = {
    "tags": s3._object_tags,
    "acl": s3._object_acl,
    "retention": s3._object_retention,
    "legal_hold": s3._object_legal_hold,
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (account TEXT, bucket TEXT, state BLOB,
                                    PRIMARY KEY (account, bucket));
CREATE TABLE IF NOT EXISTS objects (account TEXT, bucket TEXT, key TEXT, state BLOB,
                                    PRIMARY KEY (account, bucket, key));
"""


class _Plain(pickle.Unpickler):
    """Reads texts, numbers, bytes and their collections, which is all that is saved. A class, or a function, is not
    looked up, so a file that somebody has altered runs nothing.

    https://docs.python.org/3/library/pickle.html#restricting-globals
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(
            f"the file of the rehearsal's buckets names {module}.{name}, which it never writes: somebody has altered it."
            " Nothing of it was run. `make wipe` forgets the rehearsal's state, and the stacks in it"
        )


class Disk:
    """Brings ministack's in-memory S3 state to a SQLite file and back."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        # A killed process loses nothing in either mode; only a power cut would (sqlite.org/pragma).
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {SCHEMA}")

    def load(self) -> None:
        """Load everything that was saved into ministack."""
        for account, bucket, state in self._db.execute("SELECT * FROM buckets"):
            saved = _Plain(io.BytesIO(state)).load()
            s3._buckets._data[(account, bucket)] = {**saved["bucket"], "objects": {}}
            for name, value in saved["settings"].items():
                s3._PERSISTED_BUCKET_DICTS[name]._data[(account, bucket)] = value
        for account, bucket, key, state in self._db.execute("SELECT * FROM objects"):
            saved = _Plain(io.BytesIO(state)).load()
            if saved["object"] is not None:
                s3._buckets._data[(account, bucket)]["objects"][key] = saved["object"]
            if saved["versions"]:
                s3._object_versions._data[(account, (bucket, key))] = saved["versions"]
            for name, facts in saved["facts"].items():
                for fact, value in facts.items():
                    OBJECT_FACTS[name]._data[(account, fact)] = value

    def save_bucket(self, bucket: str) -> None:
        """Save a bucket's settings, or forget a bucket that does not exist any more."""
        account = get_account_id()
        if bucket not in s3._buckets:
            self._db.execute(
                "DELETE FROM buckets WHERE account = ? AND bucket = ?", (account, bucket)
            )
            return
        state = {
            "bucket": {k: v for k, v in s3._buckets[bucket].items() if k != "objects"},
            "settings": {
                name: values[bucket]
                for name, values in s3._PERSISTED_BUCKET_DICTS.items()
                if bucket in values
            },
        }
        self._db.execute(
            "INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)",
            (account, bucket, pickle.dumps(state)),
        )

    def save_object(self, bucket: str, key: str) -> None:
        """Save an object with its versions, or forget it if no version exists."""
        account = get_account_id()
        state: dict[str, Any] = {
            "object": s3._buckets[bucket]["objects"].get(key),
            "versions": s3._object_versions.get((bucket, key)),
            "facts": {
                name: {fact: value for fact, value in values.items() if fact[:2] == (bucket, key)}
                for name, values in OBJECT_FACTS.items()
            },
        }
        if state["object"] is None and not state["versions"]:
            self._db.execute(
                "DELETE FROM objects WHERE account = ? AND bucket = ? AND key = ?",
                (account, bucket, key),
            )
            return
        self._db.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
            (account, bucket, key, pickle.dumps(state)),
        )


PART_BYTES = 5 * 2**20


def unlike_s3(
    method: str, bucket: str, key: str, headers: dict[str, str], body: bytes, query: Any
) -> Answer | None:
    """S3's refusal of what ministack answers otherwise."""
    version = query.get("versionId")
    if method in ("GET", "HEAD") and key and version:
        return _delete_marker(bucket, key, version[0] if isinstance(version, list) else version)
    if method == "POST" and not key and "delete" in query and not _texts(body, "Key"):
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
        words = "The XML you provided was not well-formed or did not validate against our published schema"
        return _refusal("MalformedXML", words, 400, bucket)
    if method == "PUT" and key and _is_copy_onto_itself(bucket, key, headers):
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
        # The rule itself is believed: AWS states it in the error's words only.
        words = (
            "This copy request is illegal because it is trying to copy an object to itself without changing the"
            " object's metadata, storage class, website redirect location or encryption attributes."
        )
        return _refusal("InvalidRequest", words, 400, f"{bucket}/{key}")
    upload = query.get("uploadId")
    if method == "POST" and key and upload:
        known = s3._multipart_uploads.get(upload[0] if isinstance(upload, list) else upload)
        return _wrong_parts(known, body, f"{bucket}/{key}") if known else None
    return None


CHANGING = (
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-website-redirect-location",
)


def _is_copy_onto_itself(bucket: str, key: str, headers: dict[str, str]) -> bool:
    """Whether nothing would change. A source with a version is a former one, which is brought back."""
    source = unquote(headers.get("x-amz-copy-source", "")).removeprefix("/")
    replaces = headers.get("x-amz-metadata-directive", "").upper() == "REPLACE"
    return source == f"{bucket}/{key}" and not replaces and not headers.keys() & set(CHANGING)


def _wrong_parts(upload: Any, body: bytes, place: str) -> Answer | None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""
    numbers = [int(each) for each in _texts(body, "PartNumber")]
    if numbers != sorted(set(numbers)):
        words = (
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        )
        return _refusal("InvalidPartOrder", words, 400, place)
    parts = [upload["parts"][each] for each in numbers if each in upload["parts"]]
    etags = [each.strip('"') for each in _texts(body, "ETag")]
    if [each["etag"].strip('"') for each in parts] != etags:
        return None  # ministack's own refusal
    if any(each["size"] < PART_BYTES for each in parts[:-1]):
        words = "Your proposed upload is smaller than the minimum allowed size"
        return _refusal("EntityTooSmall", words, 400, place)
    return None


def _delete_marker(bucket: str, key: str, version: str) -> Answer | None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html"""
    for each in s3._object_versions.get((bucket, key)) or []:
        if each["version_id"] == version and each.get("is_delete_marker"):
            words = "The specified method is not allowed against this resource."
            status, headers, text = _refusal("MethodNotAllowed", words, 405, f"{bucket}/{key}")
            return status, {**headers, "x-amz-delete-marker": "true", "allow": "DELETE"}, text
    return None


def _texts(body: bytes, name: str) -> list[str]:
    """The texts of the elements with a name; none if it is no XML."""
    try:
        elements = defusedxml.ElementTree.fromstring(body).iter()
    except defusedxml.ElementTree.ParseError:
        return []
    return [each.text or "" for each in elements if each.tag.rpartition("}")[2] == name]


def _refusal(code: str, words: str, status: int, place: str) -> Answer:
    refusal: Answer = s3._error(code, words, status, f"/{place}")
    return refusal


def durable(handle: Handler, disk: Disk) -> Handler:
    """ministack's request handler, answering a write only once it is on disk."""

    async def handler(
        method: str, path: str, headers: dict[str, str], body: bytes, query: Any, *rest: Any
    ) -> Answer:
        bucket, key = s3._parse_bucket_key(path, headers)
        if method == "DELETE" and bucket and not key and not query and _has_versions(bucket):
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/delete-bucket.html
            words = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            refusal: Answer = s3._error("BucketNotEmpty", words, 409, f"/{bucket}")
            return refusal
        if refused := unlike_s3(method, bucket, key, headers, body, query):
            return refused
        if key and method in ("PUT", "POST") and "content-type" not in headers:
            # S3's own default, which ministack does not know.
            headers = {**headers, "content-type": "binary/octet-stream"}
        answer = await handle(method, path, headers, body, query, *rest)
        if method in ("GET", "HEAD") or answer[0] >= 400 or not bucket:
            return answer
        if key and not (method == "PUT" and "uploadId" in query):
            disk.save_object(bucket, key)
        elif "delete" in query:
            for element in defusedxml.ElementTree.fromstring(body).iter():
                if element.tag.rpartition("}")[2] == "Key":
                    disk.save_object(bucket, element.text or "")
        elif not key:
            disk.save_bucket(bucket)
        return answer

    return handler


def _has_versions(bucket: str) -> bool:
    return any(values == bucket for values, _ in s3._object_versions)


class SignatureCheck:
    """Answers only what the deployer has signed, and what the rehearsal itself sends.

    A workload's requests come through the rehearsal, which knows its permissions.
    """

    def __init__(self, app: ASGIApp, keys: AccessKeys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        request = sigv4.SignedRequest.of(scope, body)
        own = request.header(SERVER_HEADER)
        if not hmac.compare_digest(own.encode(), self._keys.server_token.encode()):
            try:
                request = self._verified(request)
            except sigv4.SignatureRefused as refused:
                words = (refused.code, refused.message, refused.status, scope["path"])
                status, headers, text = s3._error(*words)
                answer = Response(b"" if request.method == "HEAD" else text, status, headers)
                await answer(scope, receive, send)
                return
        await self._app({**scope, **request.for_server()}, _reader(request.content), send)

    def _verified(self, request: sigv4.SignedRequest) -> sigv4.SignedRequest:
        signed = sigv4.signature(request, sigv4.S3)
        if signed.key != self._keys.deployer.id:
            raise sigv4.SignatureRefused(*sigv4.S3.unknown_key)
        return sigv4.verified(request, signed, self._keys.deployer, sigv4.S3, "s3")


def _reader(body: bytes) -> Receive:
    """What an application reads a body from that was read before."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def main(port: int, path: Path, state_dir: Path) -> None:
    """Serve until stopped."""
    disk = Disk(path)
    disk.load()
    s3.handle_request = durable(s3.handle_request, disk)
    # Without lifespan events ministack starts neither its schedulers nor its container clean-up.
    uvicorn.run(
        RequestGuard(SignatureCheck(app.app, AccessKeys(storage_key(state_dir)))),
        host="127.0.0.1",
        port=port,
        lifespan="off",
        http=HttpProtocol,
        ws="none",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    os.umask(0o077)
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
