"""Logs: one line of JSON an event, as CloudWatch, Cloud Logging and Log Analytics all read it.

Never the body of a request, its headers or a key: captures are where requests are kept.
"""

from __future__ import annotations

import json


def log(severity: str, message: str, **fields: object) -> None:
    """Write one line. ``severity`` and ``message`` are the names that Cloud Logging looks for."""
    print(json.dumps({"severity": severity, "message": message, **fields}), flush=True)
