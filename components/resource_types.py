"""The facts about every resource type that the platform registers, on all clouds."""

from __future__ import annotations

from components import resource_type
from components.aws import resource_types as aws
from components.azure import resource_types as azure
from components.gcp import resource_types as gcp
from config.clouds import Cloud

BY_CLOUD: dict[Cloud, dict[str, resource_type.ResourceType]] = {
    "aws": {**aws.RESOURCE_TYPES, **resource_type.SHARED},
    "gcp": {**gcp.RESOURCE_TYPES, **resource_type.SHARED},
    "azure": {**azure.RESOURCE_TYPES, **resource_type.SHARED},
}
RESOURCE_TYPES = {token: type_ for types in BY_CLOUD.values() for token, type_ in types.items()}
"""By Pulumi's token."""
PRECIOUS = {token: type_.precious for token, type_ in RESOURCE_TYPES.items() if type_.precious}
"""Types that hold data or an address that callers know, and as what: to replace one is to lose it."""
