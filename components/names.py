"""Tags, labels, names and content hashes: pure functions of their arguments, never of the time."""

from __future__ import annotations

import hashlib
import re


def short(name: str, limit: int, alphabet: str = "a-z0-9-") -> str:
    """``name`` in at most ``limit`` characters of ``alphabet`` (the inside of a ``[…]`` pattern).

    A name that already fits is left as it is. From any other the readable part is cut and a suffix
    made of the whole name keeps two names apart that look alike afterwards.
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

    Vertex AI takes an endpoint's name so. (Its provider's documentation says ten, the API's nine:
    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/create)
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return str(10**8 + int.from_bytes(digest[:16]) % (9 * 10**8))
