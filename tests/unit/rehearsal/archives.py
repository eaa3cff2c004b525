"""Archives of files, as the engine sends them to a provider."""

from __future__ import annotations

from rehearsal.core.assets import ARCHIVE, ASSET, SIGNATURE
from rehearsal.core.records import Json


def archive(files: dict[str, str]) -> Json:
    """Files as the engine sends them."""
    assets = {name: {SIGNATURE: ASSET, "text": text} for name, text in files.items()}
    return {SIGNATURE: ARCHIVE, "assets": assets}
