"""What a stack needs of its account: its settings, and the resource types that the program would register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.resource_type import ResourceType
from components.resource_types import RESOURCE_TYPES
from config.schema import StackConfig
from operations.engine.resources import without_api_version
from policy import mock_engine


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of a stack, what it would consist of, and what exists of it."""

    config: StackConfig
    registered: Mapping[str, Sequence[Mapping[str, Any]]]
    """The inputs of what the program would register with these settings, by type."""
    existing: Sequence[Mapping[str, Any]]
    """The resources in the stack's state. None of them: the first deployment."""

    @property
    def types(self) -> list[ResourceType]:
        """The facts about the types that the program would register."""
        return [RESOURCE_TYPES[token] for token in sorted(self.registered)]

    @property
    def permissions(self) -> list[str]:
        """The permissions that an update needs; the first deployment creates what later ones only read."""
        needed = {each for type_ in self.types for each in type_.deploy.permissions}
        if not self.existing:
            needed |= {each for type_ in self.types for each in type_.creation}
        return sorted(needed)

    def existing_inputs(self, token: str) -> list[Mapping[str, Any]]:
        """The inputs of the existing resources of this type."""
        return [
            each.get("inputs") or {}
            for each in self.existing
            if without_api_version(each["type"]) == token
        ]


def plan_of(config: StackConfig, existing: Sequence[Mapping[str, Any]] = ()) -> Plan:
    """What a stack with these settings needs. The program runs under mocks: no engine, and no account."""
    engine, _ = mock_engine.platform(config)
    registered: dict[str, list[Mapping[str, Any]]] = {}
    for each in engine:
        token = without_api_version(each.type)
        if token in RESOURCE_TYPES:
            registered.setdefault(token, []).append(each.inputs)
    return Plan(config=config, registered=registered, existing=existing)
