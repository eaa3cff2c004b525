"""The blob service's data plane: the emulator, which knows no roles, behind a check of them.

https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
"""

from __future__ import annotations

import re
import ssl
from urllib.parse import unquote_to_bytes, urlsplit

import anyio.to_thread
import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rehearsal.azure import conditions, credentials, permissions
from rehearsal.core.headers import PER_CONNECTION
from rehearsal.core.request_paths import has_dot_segment
from rehearsal.provider.context import Context

AUDIENCE = "https://storage.azure.com"
CONTAINERS = "Microsoft.Storage/storageAccounts/blobServices/containers"


def url(context: Context, account: str) -> str:
    """The blob endpoint of an account, without trailing slash; opens the proxy if it is not open."""
    return f"{context.endpoints.open('azure/blob', StorageProxy(context).app, tls=True)}/{account}"


class StorageProxy:
    """Forwards to Azurite what the caller's roles allow."""

    def __init__(self, context: Context) -> None:
        self._context = context
        methods = ["DELETE", "GET", "HEAD", "POST", "PUT"]
        self.app = Starlette(
            routes=[
                Route("/{account}", self.answer, methods=methods),
                Route("/{account}/{container}", self.answer, methods=methods),
                Route("/{account}/{container}/{blob:path}", self.answer, methods=methods),
            ]
        )
        self._client: httpx.AsyncClient | None = None

    async def answer(self, request: Request) -> Response:
        """One request to the blob service."""
        name = request.path_params["account"]
        path = request.scope["raw_path"].partition(b"?")[0]
        # Azurite resolves dot segments: it would answer for another blob than the one that is checked.
        if not _is_decodable(path) or has_dot_segment(path):
            # https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
            message = "The requested URI does not represent any resource on the server."
            return _error(400, "InvalidUri", message)
        if len(request.query_params.multi_items()) > len(request.query_params):
            # Of two parameters with one name, Azurite could take another than the check has seen.
            message = "A query parameter is given twice."
            return _error(400, "InvalidQueryParameterValue", message)
        if request.query_params.get("comp") == "batch":  # which has requests of its own
            return _error(501, "NotImplemented", "The rehearsal does not have batches.")
        authorization = request.headers.get("authorization", "")
        if authorization.startswith("SharedKey") or "sig" in request.query_params:
            return _error(
                403,
                "KeyBasedAuthenticationNotPermitted",
                "Key based authentication is not permitted on this storage account.",
            )
        principal = credentials.principal_of(self._context, authorization, AUDIENCE)
        if principal is None:
            return _error(
                401,
                "NoAuthenticationInformation",
                "Server failed to authenticate the request. Please refer to the information in the"
                " www-authenticate header.",
            )
        account = self._context.find("azure-native:storage:StorageAccount", name=name)
        if account is None:
            # On Azure the host does not exist.
            return _error(404, "ResourceNotFound", "The specified resource does not exist.")
        blocks = request.method == "PUT" and request.query_params.get("comp") == "blocklist"
        if blocks and request.headers.get("content-length") == "0":
            # Azurite answers 500. https://learn.microsoft.com/rest/api/storageservices/put-block-list
            return _error(400, "InvalidXmlDocument", "The specified XML is not valid.")
        # Starting Azurite takes a moment, and must not block other requests.
        azurite = await anyio.to_thread.run_sync(self._context.object_stores.blob, name)
        if not self._may_read_source(principal, request) or not await self._allowed(
            principal, account.id, request, azurite
        ):
            return _error(
                403,
                "AuthorizationPermissionMismatch",
                "This request is not authorized to perform this operation using this permission.",
            )
        return await self._forward(request, azurite)

    async def _allowed(self, principal: str, account: str, request: Request, azurite: str) -> bool:
        """Whether a principal's roles allow a request to an account, given by its id."""
        container, blob = (request.path_params.get(key) for key in ("container", "blob"))
        scope = account
        if container:
            scope = f"{account}/blobServices/default/containers/{container}"
        reads = request.method in ("GET", "HEAD")
        listing = request.query_params.get("comp") == "list"
        if not blob and not (container and listing):
            verb = "read" if reads else "delete" if request.method == "DELETE" else "write"
            return permissions.allowed(self._context, principal, f"{CONTAINERS}/{verb}", scope)

        attributes = {conditions.CONTAINER_NAME: container or ""}
        if blob:
            attributes[conditions.BLOB_PATH] = blob
        elif (prefix := request.query_params.get("prefix")) is not None:
            attributes[conditions.LIST_PREFIX] = prefix

        def allowed(verb: str) -> bool:
            return permissions.allowed(
                self._context,
                principal,
                f"{permissions.BLOBS}/{verb}",
                scope,
                data=True,
                suboperation="" if blob else conditions.LISTING,
                attributes=attributes,
            )

        if reads or request.method == "POST":  # a query of a blob's content
            return allowed("read")
        if request.method == "DELETE":
            return allowed("delete")
        if allowed("write"):
            return True
        # The right to add allows writing a blob that does not exist yet, in one request.
        if "comp" in request.query_params or not allowed("add/action"):
            return False
        return request.headers.get("if-none-match") == "*" or not await self._exists(
            request, azurite
        )

    def _may_read_source(self, principal: str, request: Request) -> bool:
        """Whether the caller may read the blob that the request copies, if it does: a whole one, or as a block.

        The source is one of this rehearsal. Believed: a refused one is refused as a destination is.
        https://learn.microsoft.com/rest/api/storageservices/copy-blob#authorization
        https://learn.microsoft.com/rest/api/storageservices/put-block-from-url#request-headers
        """
        headers = dict(request.headers.raw)  # as `_headers` sends them
        source = headers.get(b"x-ms-copy-source")
        if source is None:
            return True
        parts = urlsplit(source)
        account_name, _, rest = unquote_to_bytes(parts.path).decode().lstrip("/").partition("/")
        container, _, blob = rest.partition("/")
        account = self._context.find("azure-native:storage:StorageAccount", name=account_name)
        here = parts.scheme == b"https" and parts.netloc == headers.get(b"host")
        if not (here and account and container and blob) or has_dot_segment(parts.path):
            return False
        if given := headers.get(b"x-ms-copy-source-authorization"):
            of_source = credentials.principal_of(self._context, given.decode(), AUDIENCE)
            if of_source is None:
                return False
            principal = of_source
        scope = f"{account.id}/blobServices/default/containers/{container}"
        read = f"{permissions.BLOBS}/read"
        return permissions.allowed(
            self._context,
            principal,
            read,
            scope,
            data=True,
            attributes={conditions.CONTAINER_NAME: container, conditions.BLOB_PATH: blob},
        )

    async def _exists(self, request: Request, azurite: str) -> bool:
        # Only these headers: others, as the length, belong to the body of the other request.
        kept = (b"authorization", b"x-ms-version")
        headers = {k: v for k, v in self._headers(request).items() if k in kept}
        head = await self._http().head(self._address(request, azurite), headers=headers)
        return head.status_code == 200

    async def _forward(self, request: Request, azurite: str) -> Response:
        sends_body = request.method in ("PUT", "POST")
        outgoing = self._http().build_request(
            request.method,
            self._address(request, azurite)
            + (f"?{request.url.query}" if request.url.query else ""),
            headers=self._headers(request),
            content=request.stream() if sends_body else None,
        )
        answer = await self._http().send(outgoing, stream=True)
        response = StreamingResponse(
            answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose)
        )
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.decode().lower() not in PER_CONNECTION
        ]
        return response

    def _address(self, request: Request, azurite: str) -> str:
        path = request.scope["raw_path"].decode().partition("?")[0]
        return f"{azurite.rpartition('/')[0]}{path}"

    def _headers(self, request: Request) -> dict[bytes, bytes]:
        account = self._context.account
        token, _ = credentials.token(
            self._context, account.azure_object, account.azure_client, AUDIENCE
        )
        # As bytes: a value may have characters that are not ASCII.
        kept = {k: v for k, v in request.headers.raw if k.decode() not in PER_CONNECTION}
        return {**kept, b"authorization": f"Bearer {token}".encode()}

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            trust = ssl.create_default_context(cafile=str(self._context.authority.bundle))
            # Idle connections are closed before Azurite's server closes them (5 s): none is reused too late.
            limits = httpx.Limits(max_connections=None, keepalive_expiry=2)
            self._client = httpx.AsyncClient(
                verify=trust, limits=limits, timeout=60, trust_env=False
            )
        return self._client


def _is_decodable(path: bytes) -> bool:
    """Whether a path's percent signs stand for UTF-8: Azurite answers 500 to others."""
    try:
        return b"%" not in re.sub(rb"%[0-9A-Fa-f]{2}", b"", path) and bool(
            unquote_to_bytes(path).decode()
        )
    except UnicodeDecodeError:
        return False


def _error(status: int, code: str, message: str) -> Response:
    """An error as the blob service writes it."""
    headers = {"x-ms-error-code": code}
    if status == 401:
        headers["www-authenticate"] = f"Bearer resource_id={AUDIENCE}"
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(text, status, headers, "application/xml")
