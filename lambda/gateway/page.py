"""The page at ``/``: one self-contained answer, and the policy that allows only its own code.

The page reads the models and their contracts from the gateway, as every other caller does.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = ("page_fields.js", "page_images.js", "page_answers.js", "page.js")


@dataclass(frozen=True)
class Page:
    """The page's bytes and its content security policy."""

    html: bytes
    policy: str


def render(*, key_needed: bool) -> Page:
    """The page of a gateway with or without a key."""
    html = _text("page.html").replace("__KEY_NEEDED__", "yes" if key_needed else "no")
    html = html.replace("__STYLE__", _text("page.css"))
    html = html.replace("__SCRIPT__", "".join(map(_text, SCRIPTS)))
    policy = (
        f"default-src 'none'; script-src {_hashes(html, 'script')}; "
        f"style-src {_hashes(html, 'style')}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hashes(html: str, tag: str) -> str:
    """The hashes of a tag's inline elements, as CSP 3 writes them, so that no injected code runs."""
    inline = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inline)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
