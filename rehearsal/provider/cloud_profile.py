"""What one cloud's package contributes to the rehearsal: its types, its functions, its data planes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute

from rehearsal.core.records import Json, Record
from rehearsal.provider.context import Context
from rehearsal.provider.real_provider import RealProvider
from rehearsal.provider.resource_type import ResourceType

Invoke = Callable[[Context, Json, Json], Json]
"""A function that programs call on a provider: context, arguments and the provider's settings, to the result."""

StepCheck = Callable[[Context, Json, str, str, Json, Record | None], None]
"""Context, the provider's settings, ``create``, ``read``, ``update`` or ``delete``, the type's token, the inputs, and
the record that exists."""


@dataclass(frozen=True, kw_only=True)
class CloudProfile:
    """One cloud as a whole. The server reads one of these from each cloud's ``profile.py``."""

    title: str
    """The cloud's name, for people."""
    provider: RealProvider
    """How its real provider behaves."""
    path: str
    """Where its data planes are mounted on the rehearsal's server: ``/aws``."""
    resource_types: Sequence[type[ResourceType]]
    """The types that have rules of their own; every other type works by its SDK's schema."""
    invokes: Mapping[str, Invoke]
    """The functions that the provider answers, by token."""
    routes: Callable[[Context], Sequence[BaseRoute]]
    """The routes below `path`."""
    require_for_step: StepCheck | None = None
    """What raises `Refusal` unless the provider's own credentials allow a step. None: they are the deployer's."""
    environment: Callable[[Context], dict[str, str]]
    """The variables by which the cloud's own clients find the rehearsal."""

    @property
    def package(self) -> str:
        """The Pulumi package of its types: ``aws``, ``gcp`` or ``azure-native``."""
        return self.provider.package

    def rules(self) -> dict[str, ResourceType]:
        """The rules of the types that have some, by token."""
        return {each.token: each() for each in self.resource_types}
