"""A request to one of AWS's APIs, as the services' modules see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rehearsal.aws import permissions
from rehearsal.aws.arns import arn
from rehearsal.aws.conditions import Values
from rehearsal.core.records import Json, Record
from rehearsal.provider.context import Context


@dataclass(frozen=True)
class Call:
    """What is requested, by whom, in which region."""

    context: Context
    caller: Record | None
    """The role of the workload that calls; None: the deployer."""
    region: str
    body: Json

    def arn(self, service: str, resource: str) -> str:
        """An ARN of the region of the call."""
        return arn(self.context, service, self.region, resource)

    def require(self, action: str, resource: str = "*", **keys: Values) -> None:
        """Raise AWS's refusal unless the caller's role allows it; ``keys``: the request's condition keys."""
        permissions.require(self.context, self.caller, action, resource, **keys)


Operation = Callable[[Call], Json]
"""An operation of an API. Synchronous, runs on a thread, raises `Refusal`."""
