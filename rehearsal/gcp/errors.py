"""A refusal as Google's HTTP answer."""

from __future__ import annotations

from starlette.responses import JSONResponse

from rehearsal.core.records import Refusal

INTERNAL = (500, 13)
STATUS = {
    "INVALID_ARGUMENT": (400, 3),
    "FAILED_PRECONDITION": (400, 9),
    "UNAUTHENTICATED": (401, 16),
    "PERMISSION_DENIED": (403, 7),
    "NOT_FOUND": (404, 5),
    "ALREADY_EXISTS": (409, 6),
    "ABORTED": (409, 10),
    "RESOURCE_EXHAUSTED": (429, 8),
    "INTERNAL": INTERNAL,
    "UNIMPLEMENTED": (501, 12),
    "UNAVAILABLE": (503, 14),
}
"""HTTP status and gRPC code of each canonical error.

https://cloud.google.com/apis/design/errors#handling_errors
"""


def too_large(limit: int) -> Refusal:
    """Of a request's body. The words are those of clients' reports: https://github.com/starlake-ai/starflow/pull/1321"""
    return Refusal("INVALID_ARGUMENT", f"Request payload size exceeds the limit: {limit} bytes.")


def response(refused: Refusal) -> JSONResponse:
    """Google's error JSON. https://cloud.google.com/apis/design/errors#http_mapping"""
    status, _ = STATUS.get(refused.code, INTERNAL)
    error = {"code": status, "message": refused.message, "status": refused.code}
    return JSONResponse({"error": error}, status)
