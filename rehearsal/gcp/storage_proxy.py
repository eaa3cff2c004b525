"""Cloud Storage's data plane: the emulator, which knows no permissions, behind a check of them."""

from __future__ import annotations

import json
import re
import ssl
from urllib.parse import unquote

import anyio.to_thread
import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.core.headers import DECODED_BODY, WHOLE_BODY
from rehearsal.core.records import Refusal
from rehearsal.gcp import errors, permissions, storage
from rehearsal.gcp.calls import Call
from rehearsal.provider.context import Context

METHODS = ["DELETE", "GET", "PATCH", "POST", "PUT"]
COPY = "\n"
"""What no address has."""
RESUMABLE = "upload/resumable/"
"""https://cloud.google.com/storage/docs/resumable-uploads#session-uris"""


class StorageProxy:
    """Forwards to the emulator what the service account in the address is allowed to do."""

    def __init__(self, context: Context) -> None:
        self._context = context
        trust = ssl.create_default_context(cafile=str(context.authority.bundle))
        self._client = httpx.AsyncClient(verify=trust, trust_env=False, timeout=60)

    async def answer(self, request: Request) -> Response:
        """One request to Cloud Storage."""
        email = request.path_params["email"]
        path = request.url.path.partition(f"/as/{email}/")[2]
        body = await request.body()
        try:
            self._require_permission(email, request, path, body)
        except Refusal as refused:
            return errors.response(refused)
        except (KeyError, RecursionError, ValueError):
            return errors.response(Refusal("INVALID_ARGUMENT", "Required: the object's name."))
        if request.method == "GET" and path == "storage/v1/b":
            call = Call(self._context, request.path_params, request.query_params)
            return JSONResponse(storage.list_buckets(call))
        base = await anyio.to_thread.run_sync(self._context.object_stores.gcs)
        raw = request.scope["raw_path"].decode().partition("/as/")[2].partition("/")[2]
        answer = await self._client.request(
            request.method,
            f"{base}/{raw}?{request.url.query}",
            content=body,
            # As bytes: a value may have characters that are not ASCII.
            headers=[(k, v) for k, v in request.headers.raw if k.decode() not in WHOLE_BODY],
        )
        if answer.status_code == 500 and "content-encoding" in request.headers:
            # The emulator cannot decode the body. That the service refuses it so is believed.
            return errors.response(Refusal("INVALID_ARGUMENT", answer.text.strip()))
        headers = {k: v for k, v in answer.headers.items() if k not in DECODED_BODY}
        if "location" in headers:  # of a resumable upload: its other requests come here, too
            here = f"{self._context.base_url}/gcp/as/{email}"
            headers["location"] = headers["location"].replace(base, here)
        return Response(answer.content, answer.status_code, headers)

    def _require_permission(self, email: str, request: Request, path: str, body: bytes) -> None:
        if path.startswith(RESUMABLE):
            return  # whoever knows the address may go on: the permission was checked at its start
        source, _, target = re.sub("/(rewrite|copy)To/b/", COPY, path).partition(COPY)
        if (
            target
        ):  # https://cloud.google.com/storage/docs/access-control/iam-json: a copy reads and writes
            self._require(email, "storage.objects.get", _named(source))
            self._require(email, "storage.objects.create", _named(f"/b/{target}"))
            return
        bucket, name, rest = _named(path)
        if path.startswith("upload/"):
            permission = "storage.objects.create"
            name = request.query_params.get("name") or _uploaded_name(body)
        elif name:
            verb = {"GET": "get", "DELETE": "delete"}.get(request.method, "update")
            permission = f"storage.objects.{verb}"
        elif rest == "o" or not bucket:
            permission = "storage.objects.list"
        else:
            permission = _bucket_permission(request.method, rest)
        prefix = request.query_params.get("prefix", "")
        self._require(email, permission, (bucket, name, rest), prefix)

    def _require(
        self, email: str, permission: str, named: tuple[str, str, str], prefix: str = ""
    ) -> None:
        bucket, name, _ = named
        on = storage.resource(bucket, name, prefix)
        if not permissions.allowed(self._context, email, permission, on):
            raise Refusal(
                "PERMISSION_DENIED",
                f"{email} does not have {permission} access to the Google Cloud Storage"
                f" {'object' if name else 'bucket'}. Permission '{permission}' denied on resource"
                f" '{on.full_name}' (or it may not exist).",
            )


def _named(path: str) -> tuple[str, str, str]:
    """The bucket and the object that an address names, and what is in it after the bucket."""
    bucket, _, rest = path.partition("/b/")[2].partition("/")
    name = unquote(rest.removeprefix("o/")) if rest.startswith("o/") else ""
    return bucket, name, rest.strip("/")


def _bucket_permission(method: str, rest: str) -> str:
    """What a request for a bucket itself, or for its policy, needs.

    https://cloud.google.com/storage/docs/access-control/iam-json
    """
    if rest.startswith("iam"):
        return f"storage.buckets.{'getIamPolicy' if method == 'GET' else 'setIamPolicy'}"
    verb = {"GET": "get", "DELETE": "delete"}.get(method, "update")
    return f"storage.buckets.{verb}"


def _uploaded_name(body: bytes) -> str:
    """The object's name, in the JSON at the beginning of a multipart or resumable upload.

    https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects
    """
    metadata, _ = json.JSONDecoder().raw_decode(body.decode("latin-1"), body.index(b"{"))
    return str(metadata["name"])
