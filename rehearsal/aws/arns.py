"""How AWS writes the names of things."""

from __future__ import annotations

from rehearsal.core.records import Record
from rehearsal.provider.context import World


def arn(world: World, service: str, region: str, resource: str) -> str:
    """An ARN of this account."""
    return f"arn:aws:{service}:{region}:{world.account.aws_account}:{resource}"


def region(world: World, record: Record) -> str:
    """Where a resource stands."""
    return str(record.outputs.get("region") or world.account.aws_region)


def give_arn(world: World, record: Record, service: str, resource: str) -> str:
    """Set a regional resource's ARN."""
    record.outputs["arn"] = arn(world, service, region(world, record), resource)
    return str(record.outputs["arn"])
