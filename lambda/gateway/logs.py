"""Logs: one line of JSON an event, which CloudWatch, Cloud Logging and Log Analytics can all parse.

A line never has the body of a request, its headers or a key: only captures have requests.
"""

from __future__ import annotations

import json


def log(severity: str, message: str, **fields: object) -> None:
    """Write one line. ``severity`` and ``message`` are names that Cloud Logging knows."""
    print(json.dumps({"severity": severity, "message": message, **fields}), flush=True)
