"""Google's long-running operations: work on a thread, its outcome stored on disk."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable

from rehearsal.core.records import Json, Refusal
from rehearsal.gcp.calls import Call
from rehearsal.gcp.errors import INTERNAL, STATUS
from rehearsal.provider.context import Context

log = logging.getLogger(__name__)
OPERATIONS = "gcp/operations"
"""The namespace of the operations."""

_running: set[str] = set()


def start(context: Context, parent: str, work: Callable[[], Json]) -> Json:
    """Begin ``work`` on a new thread; returns the operation as it is now.

    It belongs to ``parent``, below which it is listed.
    """
    operation: Json = {"name": f"{parent}/operations/{secrets.randbelow(10**18) + 10**18}"}
    name: str = operation["name"]
    context.kv.put(OPERATIONS, name, operation)

    def run() -> None:
        try:
            outcome: Json = {"response": work()}
        except Refusal as refused:
            code = STATUS.get(refused.code, INTERNAL)[1]
            outcome = {"error": {"code": code, "message": refused.message}}
        except Exception as failure:
            log.exception("operation %s", name)
            outcome = {"error": {"code": 13, "message": f"the rehearsal failed: {failure!r}"}}
        context.kv.put(OPERATIONS, name, {**operation, "done": True, **outcome})
        _running.discard(name)

    _running.add(name)
    threading.Thread(target=run, name=name, daemon=True).start()
    return operation


def get(context: Context, name: str) -> Json:
    """An operation. One that was under way when the rehearsal was stopped has failed."""
    operation: Json | None = context.kv.get(OPERATIONS, name)
    if operation is None:
        raise Refusal("NOT_FOUND", f"Operation {name} is not found.")
    if not operation.get("done") and name not in _running:
        # Read again: it may have ended between the two checks.
        operation = context.kv.get(OPERATIONS, name)
        if not operation.get("done"):
            message = "The rehearsal was stopped in the middle of this."
            return {**operation, "done": True, "error": {"code": 10, "message": message}}
    return operation


def running(name: str | None) -> bool:
    """Whether the operation with this name is under way, in this process."""
    return name in _running


def list_operations(call: Call) -> Json:
    """``operations.list`` of one resource, with the finished ones.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints.operations/list
    """
    within = f"{call.parent}/{call.path['owner']}/operations/"
    names = call.context.kv.items(OPERATIONS)
    listed = sorted(name for name in names if name.startswith(within))
    return call.page("operations", [get(call.context, name) for name in listed])


def get_operation(call: Call) -> Json:
    """``operations.get``, whatever the operation is about."""
    return get(call.context, call.path["name"])
