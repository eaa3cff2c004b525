"""The page at ``/``: one self-contained file, and the policy that allows only its own code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Page:
    """The page's bytes and its content security policy."""

    html: bytes
    policy: str


def render(*, key_needed: bool) -> Page:
    """The page of a gateway with or without a key."""
    source = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    settings = json.dumps({"contract": {"fields": []}, "keyNeeded": key_needed})
    # "<" is the only character that could end the script element early.
    html = source.replace("__SETTINGS__", settings.replace("<", "\\u003c"))
    policy = (
        f"default-src 'none'; script-src {_hashes(html, 'script')}; "
        f"style-src {_hashes(html, 'style')}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)


def _hashes(html: str, tag: str) -> str:
    """The hashes of a tag's inline elements, as CSP 3 writes them, so that no injected code runs."""
    inline = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inline)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
