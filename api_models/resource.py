"""A resource and a plan as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One resource, with its inputs under the names that Pulumi's providers receive."""

    type: str
    """Pulumi's type token: ``aws:s3/bucket:Bucket``."""
    name: str
    id: str
    """The text by which other resources refer to this one."""
    inputs: Mapping[str, Any]

    def get(self, path: str) -> Any:
        """The input at ``siteConfig.minTlsVersion``; None where there is none."""
        value: Any = self.inputs
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


Plan = Sequence[Resource]
