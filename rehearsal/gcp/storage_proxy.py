"""Cloud Storage's data plane: the emulator, which knows no permissions, behind a check of them."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any
from urllib.parse import unquote, urlencode

import anyio.to_thread
import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.core.headers import DECODED_BODY, WHOLE_BODY
from rehearsal.core.records import Refusal
from rehearsal.core.request_bodies import BodyTooLarge, limited, stored
from rehearsal.core.request_paths import has_dot_segment
from rehearsal.gcp import credentials, errors, permissions, storage
from rehearsal.gcp.calls import Call
from rehearsal.provider.context import Context

METHODS = ["DELETE", "GET", "PATCH", "POST", "PUT"]
API = "storage/v1/"
BUCKET = r"b/([a-z0-9][a-z0-9._-]*)"
OBJECT = BUCKET + r"/o/([^/]+)"
CREATE = "storage.objects.create"
VERBS = {"GET": "get", "DELETE": "delete"}
"""Of the permission that a method needs; the others change something."""
NOT_MET = "At least one of the pre-conditions you specified did not hold."
PART_BYTES = 2**16
HEAD_BYTES = 2**20
"""So much of an upload is searched for the object's name, which is in front."""
OBJECT_BYTES = 5 * 2**40
"""https://cloud.google.com/storage/quotas#objects"""
NAME_BYTES = 1024
"""https://cloud.google.com/storage/docs/objects#naming"""


@dataclass(frozen=True)
class Needed:
    """A permission on an object, or on a bucket if there is no name."""

    permission: str
    bucket: str = ""
    name: str = ""
    prefix: str = ""


class StorageProxy:
    """Forwards to the emulator what the caller is allowed to do.

    The caller is the service account of the address, or of the token for clients that send one.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        trust = ssl.create_default_context(cafile=str(context.authority.bundle))
        self._client = httpx.AsyncClient(verify=trust, trust_env=False, timeout=60)

    async def answer(self, request: Request) -> Response:
        """One request to Cloud Storage."""
        front, path = _split(request)
        try:
            email = self._caller(request)
            body = await stored(limited(request, OBJECT_BYTES))
            query = _single(request)
            needed = needed_permissions(request.method, path, query, body[:HEAD_BYTES])
            await anyio.to_thread.run_sync(self._require, email, needed, query)
        except Refusal as refused:
            return errors.response(refused)
        except BodyTooLarge:
            return errors.response(errors.too_large(OBJECT_BYTES))
        if request.method == "GET" and path == "storage/v1/b":
            call = Call(self._context, request.path_params, request.query_params)
            return JSONResponse(storage.list_buckets(call))
        if needed and needed[-1].permission == CREATE:
            # What is checked is what is written. The name in the query counts more than one in the body.
            query = {**query, "name": needed[-1].name} if path.startswith("upload/") else query
            if query.get("ifGenerationMatch") == "0" and await self._exists(needed[-1]):
                return JSONResponse({"error": {"code": 412, "message": NOT_MET}}, 412)
        return await self._forward(request, f"/{front}", path, query, body)

    async def _forward(
        self, request: Request, front: str, path: str, query: Mapping[str, str], body: bytes | mmap
    ) -> Response:
        base = await anyio.to_thread.run_sync(self._context.object_stores.gcs)
        answer = await self._client.request(
            request.method,
            f"{base}/{path}?{urlencode(query)}",
            content=_parts(body),
            # As bytes: a value may have characters that are not ASCII.
            headers=[
                *((k, v) for k, v in request.headers.raw if k.decode() not in WHOLE_BODY),
                (b"content-length", str(len(body)).encode()),
            ],
        )
        if answer.status_code == 500 and "content-encoding" in request.headers:
            # The emulator cannot decode the body. That the service refuses it so is believed.
            return errors.response(Refusal("INVALID_ARGUMENT", answer.text.strip()))
        headers = {k: v for k, v in answer.headers.items() if k not in DECODED_BODY}
        if "location" in headers:  # of a resumable upload: its other requests come here, too
            here = f"{self._context.base_url}{front}"
            headers["location"] = headers["location"].replace(base, here)
        return Response(answer.content, answer.status_code, headers)

    def _caller(self, request: Request) -> str:
        if secret := request.path_params.get("secret"):
            return credentials.account_at(self._context, request.path_params["email"], secret)
        return credentials.caller(self._context, request.headers.get("authorization", ""))

    async def _exists(self, needed: Needed) -> bool:
        return await anyio.to_thread.run_sync(
            storage.object_exists, self._context, needed.bucket, needed.name
        )

    def _require(self, email: str, needed: list[Needed], query: Mapping[str, str]) -> None:
        for each in needed:
            self._require_one(email, each)
            # https://cloud.google.com/storage/docs/access-control/iam-json: who overwrites an object deletes it.
            # That a precondition of a new object is looked at first is believed.
            overwriting = Needed("storage.objects.delete", each.bucket, each.name)
            if (
                each.permission == CREATE
                and query.get("ifGenerationMatch") != "0"
                and not self._allowed(email, overwriting)
                and storage.object_exists(self._context, each.bucket, each.name)
            ):
                self._require_one(email, overwriting)

    def _allowed(self, email: str, needed: Needed) -> bool:
        on = storage.resource(needed.bucket, needed.name, needed.prefix)
        return permissions.allowed(self._context, email, needed.permission, on)

    def _require_one(self, email: str, needed: Needed) -> None:
        if not self._allowed(email, needed):
            on = storage.resource(needed.bucket, needed.name, needed.prefix)
            raise Refusal(
                "PERMISSION_DENIED",
                f"{email} does not have {needed.permission} access to the Google Cloud Storage"
                f" {'object' if needed.name else 'bucket'}. Permission '{needed.permission}' denied"
                f" on resource '{on.full_name}' (or it may not exist).",
            )


def needed_permissions(
    method: str, path: str, query: Mapping[str, str], body: bytes
) -> list[Needed]:
    """The permissions that a request needs, by the table of the JSON API's methods.

    ``path`` is as it was sent: the emulator decodes it, too. Raises `Refusal` for an address that is none of the
    methods', because what the emulator would make of it is not known.
    https://cloud.google.com/storage/docs/access-control/iam-json
    """
    if path == "storage/v1/b" and method in ("GET", "POST"):
        # `storage.objects.list` takes the place of `storage.buckets.list`, which no role here has.
        return [Needed("storage.objects.list" if method == "GET" else "storage.buckets.create")]
    if found := re.fullmatch(API + BUCKET, path):
        return [Needed(f"storage.buckets.{VERBS.get(method, 'update')}", found[1])]
    if found := re.fullmatch(API + BUCKET + "/iam", path):
        verb = "getIamPolicy" if method == "GET" else "setIamPolicy"
        return [Needed(f"storage.buckets.{verb}", found[1])]
    if (found := re.fullmatch(API + BUCKET + "/o", path)) and method == "GET":
        return [Needed("storage.objects.list", found[1], prefix=query.get("prefix", ""))]
    if found := re.fullmatch(f"(?:download/)?{API}{OBJECT}", path):
        permission = f"storage.objects.{VERBS.get(method, 'update')}"
        return [Needed(permission, found[1], _name(unquote(found[2])))]
    if (found := re.fullmatch(f"{API}{OBJECT}/(?:rewrite|copy)To/{OBJECT}", path)) and (
        method == "POST"
    ):  # a copy reads and writes
        return [
            Needed("storage.objects.get", found[1], _name(unquote(found[2]))),
            Needed(CREATE, found[3], _name(unquote(found[4]))),
        ]
    if _is_session(path, query):
        return []  # whoever knows the address may go on: the permission was checked at its start
    if (found := re.fullmatch(f"upload/{API}{BUCKET}/o", path)) and method == "POST":
        return [Needed(CREATE, found[1], _name(query.get("name") or _uploaded_name(body)))]
    raise Refusal("NOT_FOUND", "Not Found")


def _is_session(path: str, query: Mapping[str, str]) -> bool:
    """Whether an address is one of a resumable upload that has begun.

    https://cloud.google.com/storage/docs/resumable-uploads#session-uris
    """
    if re.fullmatch("upload/resumable/[0-9a-f]+", path):  # the emulator's
        return True
    resumable = query.get("uploadType") == "resumable" and bool(query.get("upload_id"))
    return resumable and re.fullmatch(f"upload/{API}{BUCKET}/o", path) is not None


def _split(request: Request) -> tuple[str, str]:
    """The part of the address that names the caller, and what follows, as it was sent."""
    raw = request.scope["raw_path"].decode("latin-1").partition("?")[0].lstrip("/")
    segments = raw.split("/")
    count = 4 if "secret" in request.path_params else 2  # gcp/as/EMAIL/SECRET, gcp/storage
    return "/".join(segments[:count]), "/".join(segments[count:])


def _single(request: Request) -> dict[str, str]:
    """The query's parameters. Of two with one name, the emulator could take another than the check has seen."""
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise Refusal("INVALID_ARGUMENT", f"The parameter {name} is given twice.")
        found[name] = value
    return found


def _name(name: str) -> str:
    """An object's name. Raises `Refusal` for one that has a segment of a path in it, or is none.

    Google takes ``a/../b`` as a name and warns of it. The emulator would write another object.
    https://cloud.google.com/storage/docs/objects#naming
    """
    if not name or len(name.encode(errors="replace")) > NAME_BYTES or re.search(r"[\0\r\n]", name):
        raise Refusal("INVALID_ARGUMENT", "Invalid object name.")
    if has_dot_segment(name.encode(errors="replace")):
        raise Refusal("INVALID_ARGUMENT", "The rehearsal takes no object name with . or .. in it.")
    return name


def _uploaded_name(body: bytes) -> str:
    """The object's name, in the JSON at the beginning of a multipart or resumable upload.

    https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects
    """
    _, brace, rest = body.partition(b"{")
    try:
        metadata, _ = json.JSONDecoder().raw_decode((brace + rest).decode(errors="replace"))
        return str(metadata["name"])
    except (KeyError, RecursionError, ValueError):
        raise Refusal("INVALID_ARGUMENT", "Required: the object's name.") from None


async def _parts(body: bytes | mmap) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PART_BYTES):
        yield body[start : start + PART_BYTES]
