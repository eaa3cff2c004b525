"""Google's long-running operations: work on a thread, its outcome kept on disk."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rehearsal.core.records import Json, Refusal

if TYPE_CHECKING:
    from rehearsal.provider.context import Context

log = logging.getLogger(__name__)

# https://cloud.google.com/apis/design/errors#handling_errors
STATUS = {
    "INVALID_ARGUMENT": (400, 3),
    "FAILED_PRECONDITION": (400, 9),
    "UNAUTHENTICATED": (401, 16),
    "PERMISSION_DENIED": (403, 7),
    "NOT_FOUND": (404, 5),
    "ALREADY_EXISTS": (409, 6),
    "ABORTED": (409, 10),
    "INTERNAL": (500, 13),
    "UNAVAILABLE": (503, 14),
}
"""HTTP status and gRPC code of each canonical error."""

_running: set[str] = set()


def start(context: Context, parent: str, work: Callable[[], Json]) -> Json:
    """Begin ``work`` on a thread of its own; the operation as it is now."""
    operation: Json = {"name": f"{parent}/operations/{secrets.randbelow(10**18) + 10**18}"}
    name: str = operation["name"]
    context.kv.put("gcp/operations", name, operation)

    def run() -> None:
        try:
            outcome: Json = {"response": work()}
        except Refusal as refused:
            code = STATUS.get(refused.code, (500, 13))[1]
            outcome = {"error": {"code": code, "message": refused.message}}
        except Exception as failure:
            log.exception("operation %s", name)
            outcome = {"error": {"code": 13, "message": f"the rehearsal failed: {failure!r}"}}
        context.kv.put("gcp/operations", name, {**operation, "done": True, **outcome})
        _running.discard(name)

    _running.add(name)
    threading.Thread(target=run, name=name, daemon=True).start()
    return operation


def get(context: Context, name: str) -> Json:
    """An operation. One that was under way when the rehearsal was stopped has failed."""
    operation: Json | None = context.kv.get("gcp/operations", name)
    if operation is None:
        raise Refusal("NOT_FOUND", f"Operation {name} is not found.")
    if not operation.get("done") and name not in _running:
        # Looked at again: it may have ended between the two questions.
        operation = context.kv.get("gcp/operations", name)
        if not operation.get("done"):
            message = "The rehearsal was stopped in the middle of this."
            return {**operation, "done": True, "error": {"code": 10, "message": message}}
    return operation
