"""S3: buckets and objects are real ones of the emulator; other settings of a bucket are recorded."""

from __future__ import annotations

import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import ClassVar, NamedTuple
from urllib.parse import quote, urlencode

import defusedxml.ElementTree

from rehearsal.aws import permissions
from rehearsal.aws.arns import region
from rehearsal.aws.policy_documents import check_policy
from rehearsal.aws.tags import check_tags
from rehearsal.core.access_keys import SERVER_HEADER
from rehearsal.core.assets import content_bytes
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

BUCKET = "aws:s3/bucket:Bucket"
GUIDE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"
XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"
VERSIONING = """\
<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>%s</Status>\
</VersioningConfiguration>"""


LOCATION = """\
<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>%s\
</LocationConstraint></CreateBucketConfiguration>"""
MISSING = "NoSuchBucket"


class Answer(NamedTuple):
    """What the emulator returns."""

    status: int
    headers: Message
    body: bytes


class Bucket(ResourceType):
    """A bucket."""

    token = BUCKET
    source = f"{GUIDE}/bucketnamingrules.html"
    executes = "a bucket in the S3 emulator; boto3 sees it"
    name = Name(
        property="bucket",
        pattern=r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*(?:-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$)"
        r"(?!(?:\d+\.){3}\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]*[a-z0-9]",
        min=3,
        max=63,
        rule="lower case letters, digits, dots and hyphens, a letter or digit at both ends",
        # Whatever exists here is this account's own:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
        taken="BucketAlreadyOwnedByYou",
        lower=True,
    )
    replace_on = frozenset({"bucket", "bucketPrefix", "objectLockEnabled"})

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)

    def create(self, context: Context, record: Record) -> None:
        name = record.id = record.inputs["bucket"]
        where = region(context, record)
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
        place = None if where == "us-east-1" else (LOCATION % where).encode()
        expect(send(context, "PUT", name, body=place), 200)
        record.outputs |= {
            "arn": f"arn:aws:s3:::{name}",
            "bucket": name,
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{name}.s3.{where}.amazonaws.com",
        }

    def read(self, context: Context, record: Record) -> bool:
        return _exists(context, record.id)

    def delete(self, context: Context, record: Record) -> None:
        versions = list(_versions(context, record.id))
        if versions and not record.inputs.get("forceDestroy"):
            raise Refusal(
                "BucketNotEmpty",
                f"The bucket you tried to delete is not empty: {record.id} holds {len(versions)}"
                " object versions. You must delete all of them, or apply force_destroy first.",
            )
        for key, version in versions:
            send(context, "DELETE", record.id, key, {"versionId": version})
        expect(send(context, "DELETE", record.id), 204, 404)
        # Resources in it that the program retained are deleted with it.
        for resource_type in IN_BUCKETS:
            for inside in context.all(resource_type.token):
                if inside.inputs["bucket"] == record.id:
                    context.store.remove(inside)


class BucketSetting(ResourceType):
    """A setting of a bucket. Its id is the bucket's name: a bucket has one of each type."""

    references: ClassVar = {"bucket": BUCKET}
    missing = MISSING
    replace_on = frozenset({"bucket"})

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["bucket"]


class Versioning(BucketSetting):
    """Whether the bucket keeps versions."""

    token = "aws:s3/bucketVersioning:BucketVersioning"
    source = f"{GUIDE}/Versioning.html"
    executes = "the S3 emulator keeps versions"

    def create(self, context: Context, record: Record) -> None:
        super().create(context, record)
        self._put(context, record.id, record.inputs["versioningConfiguration"]["status"])

    def update(self, context: Context, old: Record, record: Record) -> None:
        self._put(context, record.id, record.inputs["versioningConfiguration"]["status"])

    def delete(self, context: Context, record: Record) -> None:
        # Versioning can be suspended, never removed.
        self._put(context, record.id, "Suspended")

    def _put(self, context: Context, bucket: str, status: str) -> None:
        if status == "Disabled":
            return
        body = (VERSIONING % status).encode()
        expect(send(context, "PUT", bucket, query={"versioning": ""}, body=body), 200, 404)


class PublicAccessBlock(BucketSetting):
    """Which forms of public access are refused."""

    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    source = f"{GUIDE}/access-control-block-public-access.html"


class OwnershipControls(BucketSetting):
    """Who owns the objects that other accounts write."""

    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    source = f"{GUIDE}/about-object-ownership.html"


class Encryption(BucketSetting):
    """How objects are encrypted."""

    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    source = f"{GUIDE}/serv-side-encryption.html"


class BucketPolicy(BucketSetting):
    """The bucket's own policy."""

    token = "aws:s3/bucketPolicy:BucketPolicy"
    source = f"{GUIDE}/example-bucket-policies.html"

    def check(self, context: Context, inputs: Inputs) -> None:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        check_policy(inputs, "policy", principal=True, code="MalformedPolicy")


class Lifecycle(BucketSetting):
    """Rules by which objects would expire."""

    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    source = f"{GUIDE}/object-lifecycle-mgmt.html"

    def check(self, context: Context, inputs: Inputs) -> None:
        names = [rule.get("id") for rule in inputs.get("rules", [])]
        if len(set(names)) != len(names):
            raise CheckFailure("rules", "InvalidArgument: Rule ID must be unique.")
        for rule in inputs.get("rules", []):
            ends = rule.get("expiration") or {}
            if ends.get("expiredObjectDeleteMarker") and (ends.get("days") or ends.get("date")):
                raise CheckFailure(
                    "rules", "MalformedXML: ExpiredObjectDeleteMarker allows no days or date"
                )


class BucketObject(ResourceType):
    """An object whose content is part of the program."""

    token = "aws:s3/bucketObjectv2:BucketObjectv2"
    source = f"{GUIDE}/object-keys.html"
    executes = "an object in the S3 emulator"
    references: ClassVar = {"bucket": BUCKET}
    missing = MISSING
    replace_on = frozenset({"bucket", "key"})
    volatile = frozenset({"etag", "versionId"})

    def check(self, context: Context, inputs: Inputs) -> None:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
        check_tags(inputs, maximum=10)
        if len(str(inputs.get("key", "")).encode()) > 1024:
            raise CheckFailure("key", "KeyTooLongError: Your key is too long (1024 bytes at most)")
        given = {"source", "content", "contentBase64"} & (inputs.keys() | inputs.unknown)
        if len(given) > 1:
            raise CheckFailure("source", f"conflicts with {', '.join(sorted(given - {'source'}))}")

    def create(self, context: Context, record: Record) -> None:
        record.id = f"{record.inputs['bucket']}/{record.inputs['key']}"
        self._put(context, record)

    def update(self, context: Context, old: Record, record: Record) -> None:
        self._put(context, record)

    def read(self, context: Context, record: Record) -> bool:
        bucket, key = record.inputs["bucket"], record.inputs["key"]
        if not _exists(context, bucket, key):
            return False
        answer = expect(send(context, "HEAD", bucket, key), 200)
        record.outputs["etag"] = answer.headers["etag"].strip('"')
        return True

    def delete(self, context: Context, record: Record) -> None:
        """With all its versions, as the provider does."""
        bucket, key = record.inputs["bucket"], record.inputs["key"]
        for found, version in list(_versions(context, bucket, key)):
            if found == key:
                send(context, "DELETE", bucket, key, {"versionId": version})

    def _put(self, context: Context, record: Record) -> None:
        bucket, key = record.inputs["bucket"], record.inputs["key"]
        body = content_bytes(record.inputs)
        content_type = record.inputs.get("contentType", "application/octet-stream")
        answer = expect(
            send(context, "PUT", bucket, key, body=body, content_type=content_type), 200
        )
        record.outputs |= {
            "arn": f"arn:aws:s3:::{bucket}/{key}",
            "contentType": content_type,
            "etag": answer.headers["etag"].strip('"'),
            "versionId": answer.headers.get("x-amz-version-id", "null"),
            "checksumSha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }


def read_object(context: Context, uri: str, role: Record | None = None) -> bytes:
    """The object at ``s3://bucket/key``, read with a role's permissions. Raises `Refusal`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    permissions.require(context, role, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
    answer = send(context, "GET", bucket, key)
    if answer.status == 404:
        missing = "NoSuchKey" if send(context, "HEAD", bucket).status == 200 else "NoSuchBucket"
        what = "key" if missing == "NoSuchKey" else "bucket"
        raise Refusal(missing, f"The specified {what} does not exist: {uri}")
    return expect(answer, 200).body


def object_exists(context: Context, uri: str) -> bool:
    """Whether there is an object at ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bool(key) and send(context, "HEAD", bucket, key).status == 200


def _exists(context: Context, bucket: str, key: str = "") -> bool:
    """Whether the store has it. Raises `Refusal` for every answer but a found and S3's own "not found"."""
    if send(context, "HEAD", bucket, key).status == 200:
        return True
    # An answer to HEAD has no body, and so no code.
    try:
        expect(send(context, "GET", bucket, key), 200)
    except Refusal as refusal:
        if refusal.code in ("NoSuchBucket", "NoSuchKey"):
            return False
        raise
    return True


def send(
    context: Context,
    method: str,
    bucket: str,
    key: str = "",
    query: dict[str, str] | None = None,
    body: bytes | None = None,
    content_type: str = "application/xml",
) -> Answer:
    """One request to the emulator; an error status is returned, not raised."""
    path = quote(f"{bucket}/{key}" if key else bucket)
    url = f"{context.object_stores.s3()}/{path}" + (f"?{urlencode(query)}" if query else "")
    headers = {SERVER_HEADER: context.access_keys.server_token}
    if body is not None:
        headers["content-type"] = content_type
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def expect(answer: Answer, *statuses: int) -> Answer:
    """The answer, or S3's own refusal."""
    if answer.status in statuses:
        return answer
    try:
        fields = {
            element.tag.rpartition("}")[2]: element.text or ""
            for element in defusedxml.ElementTree.fromstring(answer.body)
        }
    except defusedxml.ElementTree.ParseError:
        fields = {}
    raise Refusal(fields.get("Code", str(answer.status)), fields.get("Message", "no message"))


def _versions(context: Context, bucket: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Key and version id of everything in a bucket, delete markers too."""
    query = {"versions": "", "prefix": prefix}
    while True:
        answer = send(context, "GET", bucket, query=query)
        if answer.status == 404:
            return
        page = defusedxml.ElementTree.fromstring(expect(answer, 200).body)
        for tag in ("Version", "DeleteMarker"):
            for found in page.findall(XML + tag):
                yield found.findtext(f"{XML}Key", ""), found.findtext(f"{XML}VersionId", "null")
        if page.findtext(f"{XML}IsTruncated") != "true":
            return
        query["key-marker"] = page.findtext(f"{XML}NextKeyMarker", "")
        query["version-id-marker"] = page.findtext(f"{XML}NextVersionIdMarker", "")


IN_BUCKETS = (
    BucketObject,
    BucketPolicy,
    Encryption,
    Lifecycle,
    OwnershipControls,
    PublicAccessBlock,
    Versioning,
)
