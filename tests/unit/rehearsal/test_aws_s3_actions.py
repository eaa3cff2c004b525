"""Which permissions each request to S3 needs.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

import pytest

from rehearsal.aws import authorization
from rehearsal.aws.s3_actions import needed

BUCKET, OBJECT = "arn:aws:s3:::lake", "arn:aws:s3:::lake/a/b"
SETTINGS = {
    # parameter of the query: what reads it, what writes it, what deletes it
    "accelerate": ("GetAccelerateConfiguration", "PutAccelerateConfiguration"),
    "acl": ("GetBucketAcl", "PutBucketAcl"),
    "cors": ("GetBucketCORS", "PutBucketCORS"),
    "encryption": ("GetEncryptionConfiguration", "PutEncryptionConfiguration"),
    "lifecycle": ("GetLifecycleConfiguration", "PutLifecycleConfiguration"),
    "logging": ("GetBucketLogging", "PutBucketLogging"),
    "notification": ("GetBucketNotification", "PutBucketNotification"),
    "object-lock": ("GetBucketObjectLockConfiguration", "PutBucketObjectLockConfiguration"),
    "ownershipControls": ("GetBucketOwnershipControls", "PutBucketOwnershipControls"),
    "policy": ("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"),
    "publicAccessBlock": ("GetBucketPublicAccessBlock", "PutBucketPublicAccessBlock"),
    "replication": ("GetReplicationConfiguration", "PutReplicationConfiguration"),
    "requestPayment": ("GetBucketRequestPayment", "PutBucketRequestPayment"),
    "tagging": ("GetBucketTagging", "PutBucketTagging"),
    "versioning": ("GetBucketVersioning", "PutBucketVersioning"),
    "website": ("GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite"),
}
READ_ONLY = {"location": "GetBucketLocation", "policyStatus": "GetBucketPolicyStatus"}
OF_BUCKETS = [
    ("GET", {}, "ListBucket"),
    ("HEAD", {}, "ListBucket"),
    ("GET", {"versions": ""}, "ListBucketVersions"),
    ("GET", {"uploads": ""}, "ListBucketMultipartUploads"),
    ("PUT", {}, "CreateBucket"),
    ("DELETE", {}, "DeleteBucket"),
    *(("GET", {name: ""}, action) for name, action in READ_ONLY.items()),
    *(("GET", {name: ""}, actions[0]) for name, actions in SETTINGS.items()),
    *(("PUT", {name: ""}, actions[1]) for name, actions in SETTINGS.items()),
    *(("DELETE", {name: ""}, actions[-1]) for name, actions in SETTINGS.items()),
]
OF_OBJECTS = [
    ("GET", {}, {}, ["GetObject"]),
    ("HEAD", {}, {}, ["GetObject"]),
    ("GET", {"versionId": "v"}, {}, ["GetObjectVersion"]),
    ("PUT", {}, {}, ["PutObject"]),
    ("PUT", {"uploadId": "u", "partNumber": "1"}, {}, ["PutObject"]),
    ("POST", {"uploads": ""}, {}, ["PutObject"]),
    ("POST", {"uploadId": "u"}, {}, ["PutObject"]),
    ("DELETE", {}, {}, ["DeleteObject"]),
    ("DELETE", {"versionId": "v"}, {}, ["DeleteObjectVersion"]),
    ("DELETE", {"uploadId": "u"}, {}, ["AbortMultipartUpload"]),
    ("GET", {"uploadId": "u"}, {}, ["ListMultipartUploadParts"]),
    ("GET", {"acl": ""}, {}, ["GetObjectAcl"]),
    ("PUT", {"acl": ""}, {}, ["PutObjectAcl"]),
    ("GET", {"acl": "", "versionId": "v"}, {}, ["GetObjectVersionAcl"]),
    ("PUT", {"acl": "", "versionId": "v"}, {}, ["PutObjectVersionAcl"]),
    ("GET", {"tagging": ""}, {}, ["GetObjectTagging"]),
    ("PUT", {"tagging": ""}, {}, ["PutObjectTagging"]),
    ("DELETE", {"tagging": ""}, {}, ["DeleteObjectTagging"]),
    ("GET", {"tagging": "", "versionId": "v"}, {}, ["GetObjectVersionTagging"]),
    ("GET", {"retention": ""}, {}, ["GetObjectRetention"]),
    ("PUT", {"retention": ""}, {}, ["PutObjectRetention"]),
    ("GET", {"legal-hold": ""}, {}, ["GetObjectLegalHold"]),
    ("PUT", {"legal-hold": ""}, {}, ["PutObjectLegalHold"]),
    ("PUT", {}, {"x-amz-acl": "private"}, ["PutObject", "PutObjectAcl"]),
    ("PUT", {}, {"x-amz-tagging": "a=b"}, ["PutObject", "PutObjectTagging"]),
    ("POST", {"uploads": ""}, {"x-amz-tagging": "a=b"}, ["PutObject", "PutObjectTagging"]),
    ("GET", {}, {"x-amz-acl": "private"}, ["GetObject"]),
]


@pytest.mark.parametrize(("method", "query", "action"), OF_BUCKETS)
def test_a_request_for_a_bucket_needs_the_action_of_its_setting(
    method: str, query: dict[str, str], action: str
) -> None:
    for path in ("/lake", "/lake/"):
        ((found, arn, keys),) = needed(method, path, query, {}, b"")
        assert (found, arn) == (f"s3:{action}", BUCKET)
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
        assert keys == ({"s3:prefix": ""} if action.startswith("ListBucket") else {})
    assert authorization.is_action(f"s3:{action}")


def test_a_list_is_checked_by_its_prefix() -> None:
    ((_, _, keys),) = needed("GET", "/lake", {"prefix": "models/"}, {}, b"")
    assert keys == {"s3:prefix": "models/"}


@pytest.mark.parametrize(("method", "query", "headers", "actions"), OF_OBJECTS)
def test_a_request_for_an_object_needs_the_actions_of_its_version_setting_and_headers(
    method: str, query: dict[str, str], headers: dict[str, str], actions: list[str]
) -> None:
    found = list(needed(method, "/lake/a/b", query, headers, b""))
    assert found == [(f"s3:{action}", OBJECT, {}) for action in actions]
    assert all(authorization.is_action(action) for action, _, _ in found)


@pytest.mark.parametrize(
    ("source", "action"),
    [
        ("/models/a%20b", "GetObject"),
        ("models/a%20b", "GetObject"),
        ("models/a%20b?versionId=1", "GetObjectVersion"),
    ],
)
def test_a_copy_reads_its_source_and_writes_its_target(source: str, action: str) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    found = list(needed("PUT", "/lake/a/b", {}, {"x-amz-copy-source": source}, b""))
    assert found == [
        (f"s3:{action}", "arn:aws:s3:::models/a b", {}),
        ("s3:PutObject", OBJECT, {}),
    ]


def test_a_list_of_deletions_needs_the_permission_on_each_object() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    body = b"""<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>
      <Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>1</VersionId></Object></Delete>"""
    assert list(needed("POST", "/lake", {"delete": ""}, {}, body)) == [
        ("s3:DeleteObject", f"{BUCKET}/a", {}),
        ("s3:DeleteObjectVersion", f"{BUCKET}/b", {}),
    ]


def test_the_list_of_buckets_is_about_none_of_them() -> None:
    assert list(needed("GET", "/", {}, {}, b"")) == [("s3:ListAllMyBuckets", "*", {})]
