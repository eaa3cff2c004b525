"""Grants that are old enough to be in force, for what cannot try again.

A role assignment takes up to ten minutes until every service knows it, and Azure tells nobody whether one does. What the
platform's own code does with a grant (reading the key, calling the endpoint, writing captures) it tries again. A service
does some things once, before that code runs, and a failure costs a deployment of ten minutes or leaves a broken workspace:
Azure ML creates the workspace, pulls the image and downloads the model; App Service pulls the image.
https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#symptom---role-assignment-changes-are-not-being-detected
https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#authorization-error
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult
from pulumi_azure_native import authorization

from components.dynamic import Props, Provider, not_found

IN_FORCE_AFTER = timedelta(minutes=10)


class GrantsInForceProvider(Provider):
    """Waits until the youngest assignment is ten minutes old. Nothing exists outside the state."""

    replace_on = frozenset({"principal"})

    def create(self, props: Props) -> CreateResult:
        time.sleep(seconds_left(props["granted"], datetime.now(UTC)))
        return CreateResult(f"{props['principal']}/in-force", props)

    def read(self, id_: str, props: Props) -> ReadResult:
        # One that a killed `up` did not wait for to the end is created again.
        waited = not seconds_left(props["granted"], datetime.now(UTC))
        return ReadResult(id_, props) if waited else not_found()

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        time.sleep(seconds_left(news["granted"], datetime.now(UTC)))
        return UpdateResult(news)


class GrantsInForce(Resource, module="triplane", name="AzureGrantsInForce"):
    """Done when the role assignments are in force. Those of an existing stack are, so it waits for new ones only."""

    def __init__(
        self,
        name: str,
        principal: pulumi.Input[str],
        assignments: Sequence[authorization.RoleAssignment],
        opts: pulumi.ResourceOptions,
    ) -> None:
        granted = pulumi.Output.all(*(each.created_on for each in assignments))
        super().__init__(
            GrantsInForceProvider(), name, {"principal": principal, "granted": granted}, opts
        )


def seconds_left(granted: Iterable[str | None], now: datetime) -> float:
    """How long the youngest of these times is not old enough; a clock that is wrong makes it no longer than it can be."""
    ages = [now - datetime.fromisoformat(each) for each in granted if each]
    left = IN_FORCE_AFTER - min(ages, default=IN_FORCE_AFTER)
    return min(max(left, timedelta()), IN_FORCE_AFTER).total_seconds()
