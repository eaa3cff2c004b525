"""The permissions that a request to S3 needs: its operations are known by method and query.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

import defusedxml.ElementTree

from rehearsal.aws.conditions import Values
from rehearsal.core.records import Refusal

BUCKET_SETTINGS = {
    "accelerate": "AccelerateConfiguration",
    "acl": "BucketAcl",
    "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "logging": "BucketLogging",
    "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}
DELETED_BY_THEIR_NAME = ("policy", "website")
"""To delete any other setting is to write it."""
OBJECT_SETTINGS = {
    "acl": "ObjectAcl",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
}
VERBS = {"DELETE": "Delete", "GET": "Get", "HEAD": "Get", "POST": "Put", "PUT": "Put"}
Needed = tuple[str, str, dict[str, Values]]
"""An action, the ARN that it is for, and the request's condition keys."""


def needed(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Iterator[Needed]:
    """The permissions that a request needs, all of them."""
    bucket, _, key = path.removeprefix("/").partition("/")
    if not bucket:
        yield "s3:ListAllMyBuckets", "*", {}
    elif not key:
        yield from _on_bucket(method, f"arn:aws:s3:::{bucket}", query, body)
    else:
        yield from _on_object(method, f"arn:aws:s3:::{bucket}/{key}", query, headers)


def _on_bucket(method: str, arn: str, query: Mapping[str, str], body: bytes) -> Iterator[Needed]:
    setting = next((each for each in BUCKET_SETTINGS if each in query), None)
    if setting:
        deletes = method == "DELETE" and setting in DELETED_BY_THEIR_NAME
        verb = "Delete" if deletes else "Get" if method == "GET" else "Put"
        yield f"s3:{verb}{BUCKET_SETTINGS[setting]}", arn, {}
    elif method == "POST" and "delete" in query:
        for fields in _objects(body):
            action = "s3:DeleteObjectVersion" if "VersionId" in fields else "s3:DeleteObject"
            yield action, f"{arn}/{fields['Key']}", {}
    elif method in ("GET", "HEAD"):
        action = (
            "s3:ListBucketVersions"
            if "versions" in query
            else "s3:ListBucketMultipartUploads"
            if "uploads" in query
            else "s3:ListBucket"
        )
        yield action, arn, {"s3:prefix": query.get("prefix", "")}
    else:
        yield ("s3:DeleteBucket" if method == "DELETE" else "s3:CreateBucket"), arn, {}


def _objects(body: bytes) -> list[dict[str, str]]:
    """The objects in a request to delete many: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
    try:
        found = [
            {child.tag.rpartition("}")[2]: child.text or "" for child in each}
            for each in defusedxml.ElementTree.fromstring(body).iter()
            if each.tag.rpartition("}")[2] == "Object"
        ]
    except defusedxml.ElementTree.ParseError:
        found = [{}]
    if not all(each.get("Key") for each in found):
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        raise Refusal("MalformedXML", text)
    return found


def _on_object(
    method: str, arn: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> Iterator[Needed]:
    version = "Version" if "versionId" in query else ""
    setting = next((each for each in OBJECT_SETTINGS if each in query), None)
    if setting:
        name = OBJECT_SETTINGS[setting]
        versioned = f"ObjectVersion{name.removeprefix('Object')}" if version else name
        yield f"s3:{VERBS[method]}{versioned}", arn, {}
        return
    if "uploadId" in query and method in ("DELETE", "GET"):
        yield (
            f"s3:{'AbortMultipartUpload' if method == 'DELETE' else 'ListMultipartUploadParts'}",
            arn,
            {},
        )
        return
    if source := headers.get("x-amz-copy-source"):
        of, _, of_version = unquote(source).removeprefix("/").partition("?versionId=")
        yield f"s3:GetObject{'Version' if of_version else ''}", f"arn:aws:s3:::{of}", {}
    yield f"s3:{VERBS[method]}Object{version if method != 'PUT' else ''}", arn, {}
    for header, action in (("x-amz-acl", "PutObjectAcl"), ("x-amz-tagging", "PutObjectTagging")):
        if header in headers and method in ("POST", "PUT"):
            yield f"s3:{action}", arn, {}
