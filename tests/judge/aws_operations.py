"""Operations on AWS as data: the rehearsal and other people's doubles of AWS get the same ones, in this order."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Of:
    """A value of an earlier operation's answer."""

    operation: str
    path: str


@dataclass(frozen=True)
class Operation:
    """One call of boto3, and the parts of its answer (JMESPath) that are compared."""

    name: str
    service: str
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()


def s3(name: str, method: str, *fields: str, Bucket: str = "lake", **params: Any) -> Operation:  # noqa: N803
    return Operation(f"s3: {name}", "s3", method, {"Bucket": Bucket, **params}, fields)


def iam(name: str, method: str, *fields: str, **params: Any) -> Operation:
    return Operation(f"iam: {name}", "iam", method, params, fields)


def functions(name: str, method: str, *fields: str, **params: Any) -> Operation:
    return Operation(f"lambda: {name}", "lambda", method, params, fields)


def document(*statements: Json, **other: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **other})


def statement(**changes: Any) -> Json:
    """A good one of a role's own policy, with changes; None takes an element out."""
    made = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **changes}
    return {key: value for key, value in made.items() if value is not None}


def trusting(**changes: Any) -> str:
    """A good trust document, with changes of its statement."""
    service = {"Service": "lambda.amazonaws.com"}
    made = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": service, **changes}
    return document({key: value for key, value in made.items() if value is not None})


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return 1\n")
    return buffer.getvalue()


IRELAND = {"LocationConstraint": "eu-west-1"}
IS_VERSIONED = "VersionId != `null` && VersionId != 'null'"
STORAGE = (
    s3("a bucket is created", "create_bucket", CreateBucketConfiguration=IRELAND),
    s3("a bucket of one's own is created again", "create_bucket", CreateBucketConfiguration=IRELAND),
    s3("a bucket's name has a capital and _", "create_bucket", Bucket="Bad_Name", CreateBucketConfiguration=IRELAND),
    s3("a bucket's name has two letters", "create_bucket", Bucket="ab", CreateBucketConfiguration=IRELAND),
    s3("a bucket's name is an address", "create_bucket", Bucket="192.168.5.4", CreateBucketConfiguration=IRELAND),
    s3("a missing bucket's head", "head_bucket", Bucket="missing"),
    s3("an object of a missing bucket", "get_object", Bucket="missing", Key="a"),
    s3("an object into a missing bucket", "put_object", Bucket="missing", Key="a", Body=b"1"),
    s3("list of a missing bucket", "list_objects_v2", Bucket="missing"),
    s3("the region of a bucket", "get_bucket_location", "LocationConstraint"),
    s3("versioning of a new bucket", "get_bucket_versioning", "Status"),
    s3("policy of a new bucket", "get_bucket_policy"),
    s3("tags of a new bucket", "get_bucket_tagging"),
    s3("lifecycle of a new bucket", "get_bucket_lifecycle_configuration"),
    s3("encryption of a new bucket", "get_bucket_encryption", "ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm"),
    s3("public access block of a new bucket", "get_public_access_block", "PublicAccessBlockConfiguration"),
    s3("ownership of a new bucket", "get_bucket_ownership_controls", "OwnershipControls.Rules[0].ObjectOwnership"),
    s3("an object before versioning", "put_object", "ETag", "VersionId", "ServerSideEncryption", Key="plain", Body=b"old"),
    s3("unknown versioning status", "put_bucket_versioning", VersioningConfiguration={"Status": "On"}),
    s3("versioning is enabled", "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}),
    s3("versioning that is enabled", "get_bucket_versioning", "Status"),
    s3("an object of before versioning", "head_object", "VersionId", Key="plain"),
    s3("an object is put", "put_object", "ETag", IS_VERSIONED, Key="a/1", Body=b"0123456789", Metadata={"Version": "3"}),
    s3("an object is overwritten", "put_object", "ETag", IS_VERSIONED, Key="a/1", Body=b"abcdefghij", ContentType="text/plain"),
    s3("an object's head", "head_object", "ETag", "ContentLength", "ContentType", "Metadata", IS_VERSIONED, "AcceptRanges", Key="a/1"),
    s3("an object's former version", "get_object", "ETag", "ContentLength", "ContentType", "Metadata", Key="a/1", VersionId=Of("s3: an object is put", "VersionId")),
    s3("an object's version that is none", "get_object", Key="a/1", VersionId="x"),
    s3("an object's version by a missing id", "get_object", Key="a/1", VersionId="3HL4kqtJvjVBH40Nrjfkd.LcwHsP7Xyz"),
    s3("a missing object", "get_object", Key="missing"),
    s3("a missing object's head", "head_object", Key="missing"),
    s3("a range", "get_object", "ContentRange", "ContentLength", "Body", Key="a/1", Range="bytes=2-4"),
    s3("a range of the end", "get_object", "ContentRange", "Body", Key="a/1", Range="bytes=-3"),
    s3("a range behind the end", "get_object", Key="a/1", Range="bytes=50-60"),
    s3("a range that reaches over the end", "get_object", "ContentRange", "Body", Key="a/1", Range="bytes=8-60"),
    s3("read if it is unchanged, and it is not", "get_object", Key="a/1", IfMatch='"0123"'),
    s3("read if it is changed, and it is not", "get_object", Key="a/1", IfNoneMatch=Of("s3: an object is overwritten", "ETag")),
    s3("create if it is not there, and it is", "put_object", Key="a/1", Body=b"x", IfNoneMatch="*"),
    s3("create if it is not there", "put_object", "ETag", Key="a/2", Body=b"x", IfNoneMatch="*"),
    s3("create if it is not there, with an ETag", "put_object", Key="a/3", Body=b"x", IfNoneMatch='"0123"'),
    s3("overwrite if it is unchanged, and it is not", "put_object", Key="a/1", Body=b"x", IfMatch='"0123"'),
    s3("overwrite if it is unchanged", "put_object", "ETag", Key="a/2", Body=b"y", IfMatch=Of("s3: create if it is not there", "ETag")),
    s3("overwrite what is missing", "put_object", Key="missing", Body=b"x", IfMatch='"0123"'),
    s3("a wrong Content-MD5", "put_object", Key="sum", Body=b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg=="),
    s3("a Content-MD5 that is none", "put_object", Key="sum", Body=b"x", ContentMD5="x"),
    s3("a wrong SHA-256", "put_object", Key="sum", Body=b"x", ChecksumSHA256="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    s3("metadata of 3 KB", "put_object", Key="big", Body=b"x", Metadata={"note": "n" * 3000}),
    s3("a key of 1,025 bytes", "put_object", Key="k" * 1025, Body=b"x"),
    s3("a public object where ACLs are off", "put_object", Key="public", Body=b"x", ACL="public-read"),
    s3("an unknown storage class", "put_object", Key="class", Body=b"x", StorageClass="FROZEN"),
    s3("eleven tags", "put_object_tagging", Key="a/1", Tagging={"TagSet": [{"Key": f"k{n}", "Value": "v"} for n in range(11)]}),
    s3("a tag twice", "put_object_tagging", Key="a/1", Tagging={"TagSet": [{"Key": "k", "Value": v} for v in "ab"]}),
    s3("tags", "put_object_tagging", Key="a/1", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]}),
    s3("tags that are read", "get_object_tagging", "TagSet", Key="a/1"),
    s3("tags of a missing object", "get_object_tagging", Key="missing"),
    s3("a copy", "copy_object", "CopyObjectResult.ETag", "CopySourceVersionId != `null`", Key="b/1", CopySource="lake/a/1"),
    s3("the copy's type and metadata", "head_object", "ContentType", "Metadata", Key="b/1"),
    s3("a copy of what is missing", "copy_object", Key="b/2", CopySource="lake/missing"),
    s3("a copy from a missing bucket", "copy_object", Key="b/2", CopySource="missing/a"),
    s3("a copy onto itself", "copy_object", Key="a/1", CopySource="lake/a/1"),
    s3("a list", "list_objects_v2", "Contents[].Key", "KeyCount", "IsTruncated"),
    s3("a list by folder", "list_objects_v2", "CommonPrefixes[].Prefix", "Contents[].Key", "KeyCount", Delimiter="/"),
    s3("a page of two", "list_objects_v2", "Contents[].Key", "KeyCount", "IsTruncated", MaxKeys=2),
    s3("the next page", "list_objects_v2", "Contents[].Key", "IsTruncated", MaxKeys=2, ContinuationToken=Of("s3: a page of two", "NextContinuationToken")),
    s3("a list after a key", "list_objects_v2", "Contents[].Key", StartAfter="a/1"),
    s3("a page of nothing", "list_objects_v2", "KeyCount", "IsTruncated", MaxKeys=0),
    s3("a page of minus one", "list_objects_v2", MaxKeys=-1),
    s3("a next page by a token that is none", "list_objects_v2", ContinuationToken="nonsense"),
    s3("a deletion", "delete_object", "DeleteMarker", IS_VERSIONED, Key="a/1"),
    s3("a deleted object", "get_object", Key="a/1"),
    s3("a deleted object's head", "head_object", Key="a/1"),
    s3("a delete marker by its id", "get_object", Key="a/1", VersionId=Of("s3: a deletion", "VersionId")),
    s3("a former version of a deleted object", "get_object", "Body", Key="a/1", VersionId=Of("s3: an object is put", "VersionId")),
    s3("a deletion of what is missing", "delete_object", "DeleteMarker", Key="never"),
    s3("a deletion of a version that is missing", "delete_object", Key="a/1", VersionId="3HL4kqtJvjVBH40Nrjfkd.LcwHsP7Xyz"),
    s3("a deletion in a missing bucket", "delete_object", Bucket="missing", Key="a"),
    s3("the versions", "list_object_versions", "Versions[].[Key, IsLatest]", "DeleteMarkers[].[Key, IsLatest]", Prefix="a/"),
    s3("the delete marker is deleted", "delete_object", "DeleteMarker", Key="a/1", VersionId=Of("s3: a deletion", "VersionId")),
    s3("an object that is back", "get_object", "Body", Key="a/1"),
    s3("several are deleted", "delete_objects", "Deleted[].[Key, DeleteMarker]", "Errors", Delete={"Objects": [{"Key": "b/1"}, {"Key": "no"}]}),
    s3("none of several is deleted", "delete_objects", Delete={"Objects": []}),
    s3("an upload in parts", "create_multipart_upload", "Key", Key="parts"),
    s3("the first part, small", "upload_part", "ETag", Key="parts", UploadId=Of("s3: an upload in parts", "UploadId"), PartNumber=1, Body=b"one"),
    s3("the second part", "upload_part", "ETag", Key="parts", UploadId=Of("s3: an upload in parts", "UploadId"), PartNumber=2, Body=b"two"),
    s3("part 10,001", "upload_part", Key="parts", UploadId=Of("s3: an upload in parts", "UploadId"), PartNumber=10_001, Body=b"x"),
    s3("the parts", "list_parts", "Parts[].[PartNumber, Size]", Key="parts", UploadId=Of("s3: an upload in parts", "UploadId")),
    s3("parts in the wrong order", "complete_multipart_upload", Key="parts", UploadId=Of("s3: an upload in parts", "UploadId"), MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": Of("s3: the second part", "ETag")}, {"PartNumber": 1, "ETag": Of("s3: the first part, small", "ETag")}]}),
    s3("parts with a wrong ETag", "complete_multipart_upload", Key="parts", UploadId=Of("s3: an upload in parts", "UploadId"), MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"0123"'}]}),
    s3("a part that is too small", "complete_multipart_upload", Key="parts", UploadId=Of("s3: an upload in parts", "UploadId"), MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": Of("s3: the first part, small", "ETag")}, {"PartNumber": 2, "ETag": Of("s3: the second part", "ETag")}]}),
    s3("one small part alone", "complete_multipart_upload", "ETag", Key="parts", UploadId=Of("s3: an upload in parts", "UploadId"), MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": Of("s3: the first part, small", "ETag")}]}),
    s3("a part of an unknown upload", "upload_part", Key="parts", UploadId="nonsense", PartNumber=1, Body=b"x"),
    s3("an unknown upload is completed", "complete_multipart_upload", Key="parts", UploadId="nonsense", MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"0123"'}]}),
    s3("an unknown upload is aborted", "abort_multipart_upload", Key="parts", UploadId="nonsense"),
    s3("a bucket policy that is no JSON", "put_bucket_policy", Policy="{"),
    s3("a bucket policy for another bucket", "put_bucket_policy", Policy=document(statement(Principal="*", Resource="arn:aws:s3:::other/*"))),
    s3("a bucket policy without a principal", "put_bucket_policy", Policy=document(statement(Resource="arn:aws:s3:::lake/*"))),
    s3("a rule's id twice", "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [{"ID": "a", "Filter": {"Prefix": p}, "Status": "Enabled", "Expiration": {"Days": 3}} for p in ("x/", "y/")]}),
    s3("an expiration after 0 days", "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [{"ID": "a", "Filter": {"Prefix": "x/"}, "Status": "Enabled", "Expiration": {"Days": 0}}]}),
    s3("a rule without an action", "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [{"ID": "a", "Filter": {"Prefix": "x/"}, "Status": "Enabled"}]}),
    s3("markers and days in one expiration", "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [{"ID": "a", "Filter": {"Prefix": "x/"}, "Status": "Enabled", "Expiration": {"Days": 3, "ExpiredObjectDeleteMarker": True}}]}),
    s3("a bucket with objects is deleted", "delete_bucket"),
    s3("another bucket", "create_bucket", Bucket="lake-two", CreateBucketConfiguration=IRELAND),
    s3("versioning of another bucket", "put_bucket_versioning", Bucket="lake-two", VersioningConfiguration={"Status": "Enabled"}),
    s3("only a delete marker in it", "delete_object", Bucket="lake-two", Key="never"),
    s3("a bucket with a delete marker is deleted", "delete_bucket", Bucket="lake-two"),
    s3("versioning is suspended", "put_bucket_versioning", VersioningConfiguration={"Status": "Suspended"}),
    s3("an object while versioning is suspended", "put_object", "VersionId", Key="suspended", Body=b"x"),
    s3("a deletion while versioning is suspended", "delete_object", "DeleteMarker", "VersionId", Key="suspended"),
    s3("a missing bucket is deleted", "delete_bucket", Bucket="missing"),
)  # fmt: skip

PUT = {"RoleName": "first", "PolicyName": "p"}
IDENTITY = (
    iam("a role", "create_role", RoleName="first", AssumeRolePolicyDocument=trusting(), Path="/apps/", Tags=[{"Key": "team", "Value": "ml"}]),
    iam("the same role again", "create_role", RoleName="first", AssumeRolePolicyDocument=trusting()),
    iam("a role's name in capitals that is taken", "create_role", RoleName="FIRST", AssumeRolePolicyDocument=trusting()),
    iam("a role's name with a space", "create_role", RoleName="a role", AssumeRolePolicyDocument=trusting()),
    iam("a role's name of 65 letters", "create_role", RoleName="r" * 65, AssumeRolePolicyDocument=trusting()),
    iam("a path without slashes", "create_role", RoleName="r1", Path="apps", AssumeRolePolicyDocument=trusting()),
    iam("a session of a minute", "create_role", RoleName="r2", MaxSessionDuration=60, AssumeRolePolicyDocument=trusting()),
    iam("a session of a day", "create_role", RoleName="r3", MaxSessionDuration=86_400, AssumeRolePolicyDocument=trusting()),
    iam("a description of 1,001 letters", "create_role", RoleName="r4", Description="d" * 1001, AssumeRolePolicyDocument=trusting()),
    iam("51 tags", "create_role", RoleName="r5", AssumeRolePolicyDocument=trusting(), Tags=[{"Key": f"k{n}", "Value": "v"} for n in range(51)]),
    iam("tags that differ in capitals", "create_role", RoleName="r6", AssumeRolePolicyDocument=trusting(), Tags=[{"Key": k, "Value": "v"} for k in ("team", "Team")]),
    iam("a tag of AWS's own", "create_role", RoleName="r7", AssumeRolePolicyDocument=trusting(), Tags=[{"Key": "aws:x", "Value": "v"}]),
    iam("a trust that is no JSON", "create_role", RoleName="t1", AssumeRolePolicyDocument="{"),
    iam("a trust without a principal", "create_role", RoleName="t2", AssumeRolePolicyDocument=trusting(Principal=None)),
    iam("a trust with a resource", "create_role", RoleName="t3", AssumeRolePolicyDocument=trusting(Resource="*")),
    iam("a trust for another action than assuming", "create_role", RoleName="t4", AssumeRolePolicyDocument=trusting(Action="s3:GetObject")),
    iam("a trust of an unknown kind of principal", "create_role", RoleName="t5", AssumeRolePolicyDocument=trusting(Principal={"Robot": "x"})),
    iam("a trust of an unknown service", "create_role", RoleName="t6", AssumeRolePolicyDocument=trusting(Principal={"Service": "nosuch.amazonaws.com"})),
    iam("a trust of an account's number that is too short", "create_role", RoleName="t7", AssumeRolePolicyDocument=trusting(Principal={"AWS": "1234"})),
    iam("a trust without an action", "create_role", RoleName="t8", AssumeRolePolicyDocument=trusting(Action=None)),
    iam("a trust with two of an Sid", "create_role", RoleName="t9", AssumeRolePolicyDocument=document(*[{"Sid": "a", **json.loads(trusting())["Statement"][0]}] * 2)),
    iam("a role's description by its name", "get_role", "Role.[RoleName, Path, Arn]", "Role.AssumeRolePolicyDocument", "Role.MaxSessionDuration", "Role.Tags", RoleName="first"),
    iam("a missing role", "get_role", RoleName="missing"),
    iam("a role's tags", "list_role_tags", "Tags", "IsTruncated", RoleName="first"),
    iam("a missing role's tags", "list_role_tags", RoleName="missing"),
    iam("a role without policies", "list_role_policies", "PolicyNames", RoleName="first"),
    iam("a missing role's policies", "list_role_policies", RoleName="missing"),
    iam("an inline policy", "put_role_policy", **PUT, PolicyDocument=document(statement())),
    iam("an inline policy of a missing role", "put_role_policy", RoleName="missing", PolicyName="p", PolicyDocument=document(statement())),
    iam("a role's policies", "list_role_policies", "PolicyNames", RoleName="first"),
    iam("an inline policy's name with a space", "put_role_policy", RoleName="first", PolicyName="a policy", PolicyDocument=document(statement())),
    *(
        iam(f"a policy with {what}", "put_role_policy", RoleName="first", PolicyName=f"p{number}", PolicyDocument=text)
        for number, (what, text) in enumerate({
            "no JSON": "{",
            "no statement": json.dumps({"Version": "2012-10-17"}),
            "an unknown version": document(statement(), Version="2013-01-01"),
            "no version": json.dumps({"Statement": [statement()]}),
            "an unknown element": document(statement(), Note="x"),
            "an unknown element of a statement": document(statement(Note="x")),
            "no effect": document(statement(Effect=None)),
            "an unknown effect": document(statement(Effect="Permit")),
            "an effect in small letters": document(statement(Effect="allow")),
            "no action": document(statement(Action=None)),
            "an action without a service": document(statement(Action="GetObject")),
            "an action of an empty service": document(statement(Action=":GetObject")),
            "an action of an unknown service": document(statement(Action="nosuch:Get")),
            "action and NotAction": document(statement(NotAction="s3:PutObject")),
            "no resource": document(statement(Resource=None)),
            "resource and NotResource": document(statement(NotResource="*")),
            "a resource that is no ARN": document(statement(Resource="lake/*")),
            "an S3 resource with a region": document(statement(Resource="arn:aws:s3:eu-west-1::lake/*")),
            "a resource of an unknown partition": document(statement(Resource="arn:mars:s3:::lake/*")),
            "a resource of three parts": document(statement(Resource="arn:aws:s3")),
            "a principal": document(statement(Principal="*")),
            "an Sid with a hyphen": document(statement(Sid="a-b")),
            "an Sid twice": document(statement(Sid="a"), statement(Sid="a")),
            "an unknown condition operator": document(statement(Condition={"StringAlmost": {"aws:SourceAccount": "1"}})),
            "a condition that is no object": document(statement(Condition="x")),
            "a condition of IfExists": document(statement(Condition={"StringEqualsIfExists": {"aws:SourceAccount": "1"}})),
            "a condition for all values": document(statement(Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}})),
            "a date that is none": document(statement(Condition={"DateGreaterThan": {"aws:CurrentTime": "soon"}})),
            "a bool that is none": document(statement(Condition={"Bool": {"aws:SecureTransport": "maybe"}})),
            "an empty list of statements": document(),
            "one statement and no list": json.dumps({"Version": "2012-10-17", "Statement": statement()}),
            "10,300 letters": document(*(statement(Resource=f"arn:aws:s3:::{'b' * 40}{n}/*") for n in range(100))),
        }.items())
    ),
    iam("a policy of one's own", "create_policy", PolicyName="own", PolicyDocument=document(statement())),
    iam("the same policy again", "create_policy", PolicyName="own", PolicyDocument=document(statement())),
    iam("a policy of one's own with a principal", "create_policy", PolicyName="own2", PolicyDocument=document(statement(Principal="*"))),
    iam("a policy of one's own of 6,200 letters", "create_policy", PolicyName="own3", PolicyDocument=document(*(statement(Resource=f"arn:aws:s3:::{'b' * 40}{n}/*") for n in range(60)))),
    iam("a policy is attached", "attach_role_policy", RoleName="first", PolicyArn="arn:aws:iam::123456789012:policy/own"),
    iam("a missing policy is attached", "attach_role_policy", RoleName="first", PolicyArn="arn:aws:iam::123456789012:policy/missing"),
    iam("a policy is attached to a missing role", "attach_role_policy", RoleName="missing", PolicyArn="arn:aws:iam::123456789012:policy/own"),
    iam("a role with policies is deleted", "delete_role", RoleName="first"),
    iam("an issuer", "create_open_id_connect_provider", Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"]),
    iam("the same issuer again", "create_open_id_connect_provider", Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"]),
    iam("an issuer without TLS", "create_open_id_connect_provider", Url="http://token.example.com", ClientIDList=["sts.amazonaws.com"]),
    iam("an issuer with a query", "create_open_id_connect_provider", Url="https://token.example.com?a=1", ClientIDList=["sts.amazonaws.com"]),
)  # fmt: skip

ROLE = "arn:aws:iam::123456789012:role/apps/first"
FUNCTION = {"FunctionName": "f", "Role": ROLE, "Runtime": "python3.13", "Handler": "main.handler", "Code": {"ZipFile": _zip()}}  # fmt: skip
PERMISSION = {"FunctionName": "f", "StatementId": "one", "Action": "lambda:InvokeFunction", "Principal": "*"}  # fmt: skip
ALARM = {"AlarmName": "a", "Namespace": "n", "MetricName": "m", "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1.0, "EvaluationPeriods": 1, "Period": 60, "Statistic": "Sum"}  # fmt: skip


def alarm(name: str, **changes: Any) -> Operation:
    made = {key: value for key, value in {**ALARM, **changes}.items() if value is not None}
    return Operation(f"cloudwatch: {name}", "cloudwatch", "put_metric_alarm", made)


EVENTS = (
    functions("a function", "create_function", **FUNCTION, Publish=True),
    functions("the same function again", "create_function", **FUNCTION),
    functions("a function of a missing role", "create_function", **{**FUNCTION, "FunctionName": "g1", "Role": "arn:aws:iam::123456789012:role/missing"}),
    functions("an unknown runtime", "create_function", **{**FUNCTION, "FunctionName": "g2", "Runtime": "python9.9"}),
    functions("100 MB of memory", "create_function", **FUNCTION | {"FunctionName": "g3", "MemorySize": 100}),
    functions("a timeout of 901 s", "create_function", **FUNCTION | {"FunctionName": "g4", "Timeout": 901}),
    functions("a reserved variable", "create_function", **FUNCTION | {"FunctionName": "g5", "Environment": {"Variables": {"AWS_REGION": "x"}}}),
    functions("variables of 5 KB", "create_function", **FUNCTION | {"FunctionName": "g6", "Environment": {"Variables": {"A": "x" * 5000}}}),
    functions("a variable's name with a hyphen", "create_function", **FUNCTION | {"FunctionName": "g7", "Environment": {"Variables": {"A-B": "x"}}}),
    functions("a function's name with a space", "create_function", **FUNCTION | {"FunctionName": "g 8"}),
    functions("an alias", "create_alias", FunctionName="f", Name="live", FunctionVersion="1"),
    functions("the same alias again", "create_alias", FunctionName="f", Name="live", FunctionVersion="1"),
    functions("an alias of a missing version", "create_alias", FunctionName="f", Name="next", FunctionVersion="7"),
    functions("an alias with a number as its name", "create_alias", FunctionName="f", Name="12", FunctionVersion="1"),
    functions("an alias of a missing function", "create_alias", FunctionName="missing", Name="live", FunctionVersion="1"),
    functions("a URL", "create_function_url_config", FunctionName="f", Qualifier="live", AuthType="NONE"),
    functions("the same URL again", "create_function_url_config", FunctionName="f", Qualifier="live", AuthType="NONE"),
    functions("a URL of a missing alias", "create_function_url_config", FunctionName="f", Qualifier="nosuch", AuthType="NONE"),
    functions("a URL of a missing function", "create_function_url_config", FunctionName="missing", AuthType="NONE"),
    functions("a URL of a version", "create_function_url_config", FunctionName="f", Qualifier="1", AuthType="NONE"),
    functions("a URL of an unknown kind", "create_function_url_config", FunctionName="f", AuthType="OPEN"),
    functions("a permission", "add_permission", **PERMISSION),
    functions("the same statement again", "add_permission", **PERMISSION),
    functions("a permission of a missing function", "add_permission", **PERMISSION | {"FunctionName": "missing"}),
    functions("a permission of a missing alias", "add_permission", **PERMISSION | {"Qualifier": "nosuch", "StatementId": "two"}),
    functions("a statement's id with a space", "add_permission", **PERMISSION | {"StatementId": "a b"}),
    functions("a permission for another service's action", "add_permission", **PERMISSION | {"StatementId": "three", "Action": "s3:GetObject"}),
    functions("a URL's condition on another action", "add_permission", **PERMISSION | {"StatementId": "four", "FunctionUrlAuthType": "NONE"}),
    functions("a missing function is called", "invoke", FunctionName="missing"),
    alarm("an alarm"),
    alarm("the same alarm again"),
    alarm("an unknown comparison", AlarmName="a1", ComparisonOperator="Bigger"),
    alarm("a period of 45 s", AlarmName="a2", Period=45),
    alarm("two kinds of statistic", AlarmName="a3", ExtendedStatistic="p99"),
    alarm("no statistic", AlarmName="a4", Statistic=None),
    alarm("an unknown statistic", AlarmName="a5", Statistic="Median"),
    alarm("more periods to alarm than looked at", AlarmName="a6", DatapointsToAlarm=3),
    alarm("no threshold", AlarmName="a7", Threshold=None),
    alarm("an unknown treatment of missing data", AlarmName="a8", TreatMissingData="guess"),
    alarm("more than a day looked at", AlarmName="a9", Period=3600, EvaluationPeriods=200),
    Operation("logs: a group", "logs", "create_log_group", {"logGroupName": "/aws/lambda/x"}),
    Operation("logs: the same group again", "logs", "create_log_group", {"logGroupName": "/aws/lambda/x"}),
    Operation("logs: a group's name with a space", "logs", "create_log_group", {"logGroupName": "a b"}),
    Operation("logs: a group's name of AWS's own", "logs", "create_log_group", {"logGroupName": "aws/x"}),
)  # fmt: skip
OPERATIONS = (*STORAGE, *IDENTITY, *EVENTS)
