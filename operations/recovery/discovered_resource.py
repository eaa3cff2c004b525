"""A resource that exists in the cloud, and which resource of the program it may be: by its name and tags.

The program chooses only the beginning of most names: Pulumi adds seven or eight hexadecimal digits
(https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming). So a resource of the right type that has
this stack's tags and such a name is the one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.schema import StackConfig
from config.tags import label_value, platform_tags
from operations.engine.resources import Resource, resource_name

AUTONAMING_SUFFIX = "-?[0-9a-f]{7,8}"
"""What Pulumi adds: a hyphen and seven digits, on Azure eight digits."""


@dataclass(frozen=True)
class DiscoveredResource:
    """A resource that exists in the cloud."""

    type: str
    """Pulumi's token."""
    name: str
    parents: Mapping[str, str] = field(default_factory=dict)
    """The inputs that name its resource group, or the resource that it is a part of."""

    def __str__(self) -> str:
        return "/".join((*self.parents.values(), self.name))


def autonamed_input(resource: Resource) -> str | None:
    """The input that has a name with Pulumi's suffix; None if the program chooses the whole name."""
    for name, value in (resource.get("inputs") or {}).items():
        if isinstance(value, str) and _is_autoname(value, resource):
            return str(name)
    return None


def matching_resources(
    resource: Resource, discovered: Iterable[DiscoveredResource]
) -> list[DiscoveredResource]:
    """Those that may be this resource: of its type, with its name up to the suffix, at the same place."""
    inputs = resource["inputs"]
    return [
        each
        for each in discovered
        if each.type == resource["type"]
        and _is_autoname(each.name, resource)
        and all(inputs.get(key, value) == value for key, value in each.parents.items())
    ]


def _is_autoname(value: str, resource: Resource) -> bool:
    """Whether Pulumi can have made this name for the resource."""
    pattern = re.escape(resource_name(resource["urn"])) + AUTONAMING_SUFFIX
    return re.fullmatch(pattern, value, re.IGNORECASE) is not None


def stack_tags(config: StackConfig, stack: str) -> dict[str, str]:
    """The tags that identify this stack's resources, as the cloud spells them."""
    tags = platform_tags(config.environment, stack, {})
    if config.cloud == "gcp":
        return {key: label_value(value) for key, value in tags.items()}
    return tags


def has_tags(tags: Mapping[str, Any] | None, wanted: Mapping[str, str]) -> bool:
    """Whether all ``wanted`` are among these tags."""
    return wanted.items() <= (tags or {}).items()
