"""The id that the cloud gives a resource, from what the program asks for.

Most ids follow from the inputs: they are the ids that each provider documents for ``pulumi import``
(`components.resource_types`). A few are chosen by the cloud, and are queried. A type without an id here is never
searched for: the program creates it again.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable
from typing import Any

from components.resource_type import Facts
from components.resource_types import RESOURCE_TYPES
from operations.engine.resources import Resource
from operations.recovery.deployment import provider_urn
from operations.recovery.queries import aws, gcp

QUERIES: dict[str, Callable[[Facts], str | None]] = {
    "aws:secretsmanager/secret:Secret": aws.secret_id,
    "aws:secretsmanager/secretVersion:SecretVersion": aws.secret_version_id,
    # Only this stack creates versions of it.
    "gcp:secretmanager/secretVersion:SecretVersion": gcp.secret_version_id,
}
"""The types whose id does not follow from the inputs, and is queried; None: there is no such resource."""
NOT_IMPORTABLE = frozenset(token for token, type_ in RESOURCE_TYPES.items() if not type_.importable)
"""The types that have no import, and are read again by their inputs."""


def physical_id(resource: Resource, resources: Iterable[Resource]) -> str | None:
    """The id that this resource has if it exists; None if the id cannot be known.

    ``resources``: the state, which has the account and the region.
    """
    type_ = RESOURCE_TYPES.get(resource["type"])
    template = QUERIES.get(resource["type"]) or (type_.import_id if type_ else None)
    if template is None:
        return None
    resources = list(resources)
    context = {**location(resource, resources), "next": _next_version(resource, resources)}
    facts = ChainMap(resource["inputs"], context)
    try:
        return template(facts) if callable(template) else template.format_map(facts)
    except KeyError:  # an input that a preview does not know yet
        return None


def _next_version(resource: Resource, resources: Iterable[Resource]) -> int:
    """The number after the last version of the same secret in the state; 1 for everything else."""
    secret = resource["inputs"].get("secret")
    if not secret:
        return 1
    versions = (
        int(each["id"].rpartition("/")[2])
        for each in resources
        if each["type"] == resource["type"] and each["inputs"].get("secret") == secret
    )
    return 1 + max(versions, default=0)


def location(resource: Resource, resources: Iterable[Resource]) -> dict[str, Any]:
    """The ``account``, ``region`` and ``partition`` of the resource, as far as the state has them."""
    resources = list(resources)
    accounts = (
        each["inputs"]["account"]
        for each in resources
        if each["type"].endswith(":Foundation") and "account" in (each.get("inputs") or {})
    )
    provider = provider_urn(resource)
    regions = (each["inputs"].get("region") for each in resources if each["urn"] == provider)
    region = next(regions, None)
    found = {
        "account": next(accounts, None),
        "region": region,
        "partition": _partition(region or ""),
    }
    return {name: value for name, value in found.items() if value}


def _partition(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    partitions = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((partitions[each] for each in partitions if region.startswith(each)), "aws")
