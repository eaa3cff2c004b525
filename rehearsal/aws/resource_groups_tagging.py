"""The Resource Groups Tagging API: which resources carry these tags."""

from __future__ import annotations

from fnmatch import fnmatchcase

from rehearsal.aws.calls import Call
from rehearsal.core.records import Json

PAGE = 50
"""AWS's own default."""
UNLISTED = (
    "aws:iam/role:Role",
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "aws:s3/bucketObject:BucketObject",
)
"""https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html"""


def get_resources(call: Call) -> Json:
    """Filters by tags and by types. Not listed, as on AWS: IAM's roles, and the objects in a bucket.

    https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
    """
    call.require("tag:GetResources")
    wanted = {each["Key"]: each.get("Values", []) for each in call.body.get("TagFilters", [])}
    types = call.body.get("ResourceTypeFilters") or ["*"]
    found = []
    for record in call.context.store.all():
        arn, tags = record.outputs.get("arn"), record.outputs.get("tags") or {}
        if record.package != "aws" or not arn or record.outputs.get("region") != call.region:
            continue
        if record.token in UNLISTED or not tags:
            continue
        # `s3:bucket` or `s3`. The type is taken from the token: a bucket's ARN does not contain it.
        service = arn.split(":")[2]
        resource_type = f"{service}:{record.token.rpartition(':')[2].lower()}"
        if any(fnmatchcase(resource_type, each) or each == service for each in types) and all(
            key in tags and (not values or tags[key] in values) for key, values in wanted.items()
        ):
            listed = [{"Key": key, "Value": value} for key, value in tags.items()]
            found.append({"ResourceARN": arn, "Tags": listed})
    start = int(call.body.get("PaginationToken") or 0)
    end = start + int(call.body.get("ResourcesPerPage", PAGE))
    more = str(end) if end < len(found) else ""
    return {"PaginationToken": more, "ResourceTagMappingList": found[start:end]}
