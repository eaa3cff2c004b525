"""The model versions that a stage tests and hands on, as one word: ``digits=3f0c…,flight-delay=a41b…``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from operations.terminal import fail

ONE = re.compile(r"([a-z][a-z0-9-]{1,23})=([0-9a-f]{64})")


def text(versions: Mapping[str, str]) -> str:
    """The versions as `parse` reads them."""
    return ",".join(f"{name}={version}" for name, version in sorted(versions.items()))


def parse(written: str) -> dict[str, str]:
    """The version of each model. Leaves with a reason if the text is something else."""
    versions: dict[str, str] = {}
    for each in written.strip().split(","):
        match = ONE.fullmatch(each)
        if not match or match[1] in versions:
            fail(
                f"VERSION={written[:200]}: {each[:100] or 'an empty part'} is not the version of a model. Allowed: each model"
                " once, with its whole version, such as VERSION=flight-delay=<64 hexadecimal digits>,digits=…: the word that a"
                " release of staging writes to .models/tested. Nothing was changed."
            )
        versions[match[1]] = match[2]
    return versions
