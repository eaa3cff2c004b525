"""Paths that two servers may read differently."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes


def has_dot_segment(path: bytes) -> bool:
    """Whether a path, decoded or not, has a segment ``.`` or ``..``: clients and servers may take it away.

    A front that checks the path as it was sent would then check another one than the server behind it is asked for.
    https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.3 https://url.spec.whatwg.org/#double-dot-path-segment
    """
    segments = re.split(rb"[/\\]", unquote_to_bytes(path))
    return any(each in (b".", b"..") for each in segments)
