"""A request to one of Google's APIs, as the services' modules see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from rehearsal.core.records import Json, Refusal
from rehearsal.provider.context import Context


@dataclass(frozen=True)
class Call:
    """What is requested, of what. The caller is already authorized."""

    context: Context
    path: Mapping[str, Any]
    """The parameters in the address: ``project``, ``location``, ``endpoint``."""
    query: QueryParams
    body: Json = field(default_factory=dict)
    caller: str = ""
    """The account that calls, or the principal of another issuer's token."""

    @property
    def project(self) -> str:
        """The project in the address."""
        return str(self.path["project"])

    @property
    def parent(self) -> str:
        """The project and location in the address, as Google writes them."""
        return f"projects/{self.project}/locations/{self.path['location']}"

    def name(self, collection: str) -> str:
        """The full name of the resource in the address, which belongs to this collection."""
        return f"{self.parent}/{collection}/{self.path[collection.removesuffix('s')]}"

    def page(self, collection: str, items: Iterable[Json], limit: int = 100) -> Json:
        """A page of a list: ``limit`` items, or fewer if ``pageSize`` says so.

        https://google.aip.dev/158
        """
        listed = list(items)
        start = self._number("pageToken", 0)
        end = start + min(self._number("pageSize", limit), limit)
        answer: Json = {collection: listed[start:end]} if listed[start:end] else {}
        return answer | ({"nextPageToken": str(end)} if end < len(listed) else {})

    def _number(self, name: str, default: int) -> int:
        """A number of the query; the default for 0, too. AIP-158 has the codes of the refusals."""
        text = self.query.get(name) or "0"
        if not re.fullmatch("[0-9]{1,9}", text):
            raise Refusal("INVALID_ARGUMENT", f"{name} is invalid: {text[:20]}")
        return int(text) or default


def timestamp() -> str:
    """The time, as Google's APIs write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def not_rehearsed(call: Call) -> Json:
    """A method that the rehearsal checks the permission of, and does not do: it is there for callers that lack it."""
    raise Refusal("UNIMPLEMENTED", "The rehearsal does not do this, and nothing was changed.")


Operation = Callable[[Call], Json]
"""A method of an API. Synchronous, runs on a thread, raises `Refusal`."""
