"""How AWS writes the names of things."""

from __future__ import annotations

from rehearsal.core.records import Record
from rehearsal.provider.context import Context


def arn(context: Context, service: str, region: str, resource: str) -> str:
    """An ARN of this account."""
    return f"arn:aws:{service}:{region}:{context.account.aws_account}:{resource}"


def region(context: Context, record: Record) -> str:
    """The region of a resource."""
    return str(record.outputs.get("region") or context.account.aws_region)


def set_arn(context: Context, record: Record, service: str, resource: str) -> str:
    """Set a regional resource's ARN."""
    record.outputs["arn"] = arn(context, service, region(context, record), resource)
    return str(record.outputs["arn"])
