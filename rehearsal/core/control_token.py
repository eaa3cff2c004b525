"""The token of the rehearsal's own API (``/_api``): only who can read the state folder may change resources by it."""

from __future__ import annotations

import secrets
from pathlib import Path

from rehearsal.core.files import write_private

FILE = "token"


def created(state_dir: Path) -> str:
    """The token; created at its first use."""
    if not known(state_dir):
        write_private(state_dir / FILE, secrets.token_urlsafe(32))
    return known(state_dir)


def known(state_dir: Path) -> str:
    """The token; empty if the rehearsal is of a version that had none."""
    try:
        return (state_dir / FILE).read_text()
    except FileNotFoundError:
        return ""
