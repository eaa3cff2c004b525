"""Where rehearsals of one user keep what they share: emulators, what the SDKs describe, who keeps which port."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triplane"
