"""Where the rehearsal and moto answer differently, and who is right by which document of AWS.

A line is removed when the two agree again, and added with a document when they disagree again. Where the rehearsal was
wrong, it was mended and the line is gone (docs/reference/policies.md has those).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

S3 = "https://docs.aws.amazon.com/AmazonS3/latest"
IAM = "https://docs.aws.amazon.com/IAM/latest"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest"
CLOUDWATCH = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference"
LOGS = "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference"


class Disagreement(NamedTuple):
    """One operation, and the side that answers as AWS does."""

    operation: str
    right: Literal["rehearsal", "moto"]
    source: str
    date: str
    note: str = ""
    """What is only believed, or why the rehearsal stays wrong."""


BELIEVED = "believed: known by the error's words, the document does not state it"
DISAGREEMENTS = (
    Disagreement("s3: a bucket's name has a capital and _", "rehearsal", f"{S3}/userguide/bucketnamingrules.html", "2026-11-28"),
    Disagreement("s3: a bucket's name is an address", "rehearsal", f"{S3}/userguide/bucketnamingrules.html", "2026-11-28"),
    Disagreement('s3: encryption of a new bucket', "rehearsal", f"{S3}/userguide/default-encryption-faq.html", "2026-11-28"),
    Disagreement('s3: ownership of a new bucket', "rehearsal", f"{S3}/userguide/about-object-ownership.html", "2026-11-28"),
    Disagreement('s3: a wrong Content-MD5', "rehearsal", f"{S3}/API/ErrorResponses.html", "2026-11-28"),
    Disagreement('s3: a Content-MD5 that is none', "rehearsal", f"{S3}/API/ErrorResponses.html", "2026-11-28"),
    Disagreement('s3: a page of nothing', "moto", f"{S3}/API/API_ListObjectsV2.html", "2026-11-28", "believed; nothing here asks for an empty page"),
    Disagreement('s3: a delete marker by its id', "rehearsal", f"{S3}/userguide/DeleteMarker.html", "2026-11-28"),
    Disagreement('s3: a deletion of what is missing', "rehearsal", f"{S3}/userguide/DeletingObjectVersions.html", "2026-11-28"),
    Disagreement('s3: the delete marker is deleted', "rehearsal", f"{S3}/API/API_DeleteObject.html", "2026-11-28"),
    Disagreement('s3: several are deleted', "rehearsal", f"{S3}/API/API_DeleteObjects.html", "2026-11-28"),
    Disagreement('s3: parts in the wrong order', "rehearsal", f"{S3}/API/API_CompleteMultipartUpload.html", "2026-11-28"),
    Disagreement('s3: a bucket policy that is no JSON', "rehearsal", f"{S3}/API/ErrorResponses.html", "2026-11-28"),
    Disagreement('s3: a bucket policy without a principal', "rehearsal", f"{S3}/API/ErrorResponses.html", "2026-11-28"),
    Disagreement("s3: a rule's id twice", "rehearsal", f"{S3}/API/API_LifecycleRule.html", "2026-11-28", BELIEVED),
    Disagreement('s3: a bucket with a delete marker is deleted', "rehearsal", f"{S3}/API/API_DeleteObject.html", "2026-11-28"),
    Disagreement('s3: a deletion while versioning is suspended', "rehearsal", f"{S3}/userguide/DeletingObjectsfromVersioningSuspendedBuckets.html", "2026-11-28"),
    Disagreement("iam: a role's name with a space", "rehearsal", f"{IAM}/APIReference/API_CreateRole.html", "2026-11-28"),
    Disagreement("iam: a role's name of 65 letters", "rehearsal", f"{IAM}/APIReference/API_CreateRole.html", "2026-11-28"),
    Disagreement('iam: a path without slashes', "rehearsal", f"{IAM}/APIReference/API_CreateRole.html", "2026-11-28"),
    Disagreement('iam: a session of a minute', "rehearsal", f"{IAM}/APIReference/API_CreateRole.html", "2026-11-28"),
    Disagreement('iam: a session of a day', "rehearsal", f"{IAM}/APIReference/API_CreateRole.html", "2026-11-28"),
    Disagreement('iam: a description of 1,001 letters', "rehearsal", f"{IAM}/APIReference/API_CreateRole.html", "2026-11-28"),
    Disagreement("iam: a tag of AWS's own", "rehearsal", f"{IAM}/UserGuide/id_tags.html", "2026-11-28"),
    Disagreement('iam: a trust that is no JSON', "rehearsal", f"{IAM}/UserGuide/reference_policies_grammar.html", "2026-11-28"),
    Disagreement('iam: a trust without a principal', "rehearsal", f"{IAM}/UserGuide/reference_policies_grammar.html", "2026-11-28"),
    Disagreement('iam: a trust with a resource', "rehearsal", f"{IAM}/UserGuide/id_roles_update-role-trust-policy.html", "2026-11-28", BELIEVED),
    Disagreement('iam: a trust without an action', "rehearsal", f"{IAM}/UserGuide/reference_policies_grammar.html", "2026-11-28"),
    Disagreement('iam: a trust with two of an Sid', "rehearsal", f"{IAM}/UserGuide/reference_policies_elements_sid.html", "2026-11-28"),
    Disagreement("iam: an inline policy's name with a space", "rehearsal", f"{IAM}/APIReference/API_PutRolePolicy.html", "2026-11-28"),
    Disagreement('iam: a policy with no version', "rehearsal", f"{IAM}/UserGuide/reference_policies_elements_version.html", "2026-11-28"),
    Disagreement('iam: a policy with an action of an empty service', "rehearsal", f"{IAM}/UserGuide/reference_policies_elements_action.html", "2026-11-28"),
    Disagreement('iam: a policy with a resource of three parts', "rehearsal", f"{IAM}/UserGuide/reference_policies_elements_resource.html", "2026-11-28"),
    Disagreement('iam: a policy with a principal', "rehearsal", f"{IAM}/UserGuide/reference_policies_elements_principal.html", "2026-11-28"),
    Disagreement('iam: a policy with 10,300 letters', "rehearsal", f"{IAM}/UserGuide/reference_iam-quotas.html", "2026-11-28"),
    Disagreement("iam: a policy of one's own with a principal", "rehearsal", f"{IAM}/UserGuide/reference_policies_elements_principal.html", "2026-11-28"),
    Disagreement("iam: a policy of one's own of 6,200 letters", "rehearsal", f"{IAM}/UserGuide/reference_iam-quotas.html", "2026-11-28"),
    Disagreement('iam: an issuer without TLS', "rehearsal", f"{IAM}/APIReference/API_CreateOpenIDConnectProvider.html", "2026-11-28"),
    Disagreement('lambda: an unknown runtime', "rehearsal", f"{LAMBDA}/api/API_CreateFunction.html", "2026-11-28"),
    Disagreement('lambda: 100 MB of memory', "rehearsal", f"{LAMBDA}/api/API_CreateFunction.html", "2026-11-28"),
    Disagreement('lambda: a timeout of 901 s', "rehearsal", f"{LAMBDA}/api/API_CreateFunction.html", "2026-11-28"),
    Disagreement('lambda: a reserved variable', "rehearsal", f"{LAMBDA}/dg/configuration-envvars.html", "2026-11-28"),
    Disagreement('lambda: variables of 5 KB', "rehearsal", f"{LAMBDA}/dg/configuration-envvars.html", "2026-11-28"),
    Disagreement("lambda: a variable's name with a hyphen", "rehearsal", f"{LAMBDA}/dg/configuration-envvars.html", "2026-11-28"),
    Disagreement("lambda: a function's name with a space", "rehearsal", f"{LAMBDA}/api/API_CreateFunction.html", "2026-11-28"),
    Disagreement('lambda: the same alias again', "rehearsal", f"{LAMBDA}/api/API_CreateAlias.html", "2026-11-28"),
    Disagreement('lambda: an alias with a number as its name', "rehearsal", f"{LAMBDA}/api/API_CreateAlias.html", "2026-11-28"),
    Disagreement('lambda: a URL of a missing alias', "rehearsal", f"{LAMBDA}/api/API_CreateFunctionUrlConfig.html", "2026-11-28"),
    Disagreement('lambda: a URL of a version', "rehearsal", f"{LAMBDA}/api/API_CreateFunctionUrlConfig.html", "2026-11-28"),
    Disagreement('lambda: a URL of an unknown kind', "rehearsal", f"{LAMBDA}/api/API_CreateFunctionUrlConfig.html", "2026-11-28"),
    Disagreement('lambda: the same statement again', "rehearsal", f"{LAMBDA}/api/API_AddPermission.html", "2026-11-28"),
    Disagreement("lambda: a statement's id with a space", "rehearsal", f"{LAMBDA}/api/API_AddPermission.html", "2026-11-28"),
    Disagreement("lambda: a permission for another service's action", "rehearsal", f"{LAMBDA}/api/API_AddPermission.html", "2026-11-28"),
    Disagreement('cloudwatch: the same alarm again', "moto", f"{CLOUDWATCH}/API_PutMetricAlarm.html", "2026-11-28", "AWS overwrites; two resources of a program that overwrite each other are refused here on purpose"),
    Disagreement('cloudwatch: an unknown comparison', "rehearsal", f"{CLOUDWATCH}/API_PutMetricAlarm.html", "2026-11-28"),
    Disagreement('cloudwatch: a period of 45 s', "rehearsal", f"{CLOUDWATCH}/API_PutMetricAlarm.html", "2026-11-28"),
    Disagreement('cloudwatch: two kinds of statistic', "rehearsal", f"{CLOUDWATCH}/API_PutMetricAlarm.html", "2026-11-28"),
    Disagreement('cloudwatch: no statistic', "rehearsal", f"{CLOUDWATCH}/API_PutMetricAlarm.html", "2026-11-28"),
    Disagreement('cloudwatch: an unknown statistic', "rehearsal", f"{CLOUDWATCH}/API_PutMetricAlarm.html", "2026-11-28"),
    Disagreement("logs: a group's name with a space", "rehearsal", f"{LOGS}/API_CreateLogGroup.html", "2026-11-28"),
    Disagreement("logs: a group's name of AWS's own", "rehearsal", f"{LOGS}/API_CreateLogGroup.html", "2026-11-28"),
)  # fmt: skip
NO_OPINION = frozenset(
    {
        "s3: a next page by a token that is none",
        "s3: a part of an unknown upload",
        "s3: an unknown upload is completed",
    }
)  # fmt: skip
"""What moto answers with status 500 or not at all."""
