"""Names of resources: pure functions of their arguments, never of the time."""

from __future__ import annotations

import hashlib
import re


def short(name: str, limit: int, alphabet: str = "a-z0-9-") -> str:
    """``name`` in at most ``limit`` characters of ``alphabet`` (the inside of a ``[…]`` pattern).

    A name that fits is unchanged. Any other is cut, and gets a suffix that is made of the whole name, so that two
    names that are alike afterwards are still different.
    """
    if len(name) <= limit and re.fullmatch(f"[{alphabet}]*", name):
        return name
    separator = "-" if re.fullmatch(f"[{alphabet}]", "-") else ""
    suffix = separator + hashlib.sha256(name.encode()).hexdigest()[:6]
    if limit <= len(suffix):
        raise ValueError(f"{limit} characters cannot hold a unique suffix of {len(suffix)}")
    readable = re.sub(f"[^{alphabet}]", "", name if "A-Z" in alphabet else name.lower())
    return readable[: limit - len(suffix)].rstrip("-") + suffix


def numeric_id(*parts: str) -> str:
    """Nine digits, the first not 0, that depend on ``parts`` alone.

    Vertex AI requires it of an endpoint's name. (The provider's documentation has ten digits, the API's nine:
    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/create)
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return str(10**8 + int.from_bytes(digest[:16]) % (9 * 10**8))
