"""A request to the Resource Manager, as the services' modules see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import URL

from rehearsal.azure import permissions
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context

PAGE = 1000
"""How many resources the Resource Manager lists at a time."""


@dataclass(frozen=True)
class Call:
    """What is requested, and by whom."""

    context: Context
    principal: str
    """The object id of the caller."""
    url: URL
    path: Mapping[str, Any]
    """The parameters in the address: ``subscription``, ``group``."""
    query: Mapping[str, str]
    body: Json = field(default_factory=dict)
    answer_headers: dict[str, str] = field(default_factory=dict)
    """What the operation sends beside its JSON."""

    def readable(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records that the caller may read; the others are left out of its lists."""
        for each in records:
            # The action's name differs for each type. No role here allows reading one type alone.
            if permissions.allowed(
                self.context,
                self.principal,
                "Microsoft.Resources/subscriptions/resources/read",
                each.id,
            ):
                yield each

    def require(self, action: str, scope: str) -> None:
        """Refuse a caller who may not do this to the resource."""
        if not permissions.allowed(self.context, self.principal, action, scope):
            raise Refusal(
                "AuthorizationFailed",
                f"The client '{self.principal}' does not have authorization to perform action"
                f" '{action}' over scope '{scope}'.",
            )

    def page(self, items: Iterable[Json]) -> Json:
        """A page of a list."""
        listed = list(items)
        token = self.query.get("$skiptoken") or "0"
        if not re.fullmatch("[0-9]{1,9}", token):
            raise Refusal("InvalidSkipToken", f"The skiptoken '{token[:20]}' is invalid.")
        start = int(token)
        answer: Json = {"value": listed[start : start + PAGE]}
        if start + PAGE < len(listed):
            url = self.url.include_query_params(**{"$skiptoken": start + PAGE})
            answer["nextLink"] = str(url)
        return answer


Operation = Callable[[Call], Json]
"""An operation of an API. Synchronous, runs on a thread, raises `Refusal`."""
