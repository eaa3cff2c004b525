"""Resource types of providers that the rules do not know."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api_models.resource import Plan, Resource
from policy.checks import Check
from policy.rules import LEAST_PRIVILEGE

# The providers whose types the rules know, and what is no resource of a cloud: Pulumi's own types, the platform's
# components. A type of azure-native with an API version is not known: its properties have other names.
KNOWN_TYPES = re.compile(r"(aws|gcp|pulumi|pulumi-python|triplane):.*|azure-native:[^/]*:[^/]*")


def unknown_provider(resource: Resource, _plan: Plan) -> Iterator[str]:
    if not KNOWN_TYPES.fullmatch(resource.type):
        yield f"no rule reads {resource.type}: what it grants or opens is not known"


CHECKS = (Check(LEAST_PRIVILEGE, ("*",), unknown_provider),)
