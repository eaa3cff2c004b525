"""Cloud Storage: buckets and objects, which are real ones of the emulator (fake-gcs-server)."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

import requests

from rehearsal.core.assets import content_bytes
from rehearsal.core.records import Inputs, Json, Record, Refusal
from rehearsal.gcp import iam
from rehearsal.gcp.calls import Call
from rehearsal.gcp.permissions import Resource
from rehearsal.gcp.tags import check_labels, labels_of
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

BUCKET = "gcp:storage/bucket:Bucket"
BUCKET_BINDING = "gcp:storage/bucketIAMMember:BucketIAMMember"
BUCKET_OBJECT = "gcp:storage/bucketObject:BucketObject"


class Bucket(ResourceType):
    """A bucket."""

    token = BUCKET
    source = "https://cloud.google.com/storage/docs/buckets#naming"
    executes = "a bucket of fake-gcs-server; versions, lifecycle and soft delete are only recorded"
    needs = "storage.googleapis.com"
    name = Name(
        property="name",
        pattern=r"(?!goog)(?!.*google)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9._-]*[a-z0-9]",
        min=3,
        max=63,
        rule="lower-case letters, digits, hyphens, underscores and periods, a letter or digit at both"
        " ends, no goog at the beginning, no google anywhere, no IP address",
        taken="conflict",
        lower=True,
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_labels(inputs)

    def create(self, context: Context, record: Record) -> None:
        name = record.inputs["name"]
        create_bucket(context, name)
        record.id = name
        self._describe(record)

    def read(self, context: Context, record: Record) -> bool:
        return bucket_exists(context, record.id)

    def update(self, context: Context, old: Record, record: Record) -> None:
        self._describe(record)

    def delete(self, context: Context, record: Record) -> None:
        if not record.inputs.get("forceDestroy") and object_names(context, record.id):
            raise Refusal(
                "conflict",
                f"Error trying to delete bucket {record.id} containing objects without"
                " `force_destroy` set to true",
            )
        delete_bucket(context, record.id)
        # Objects that were retained when their resources were deleted go with the bucket.
        for each in context.all(BucketObject.token):
            if each.inputs["bucket"] == record.id:
                context.store.remove(each)

    @staticmethod
    def _describe(record: Record) -> None:
        record.outputs |= {
            "location": record.inputs["location"].upper(),
            "url": f"gs://{record.id}",
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{record.id}",
        }


class BucketObject(ResourceType):
    """An object whose content is part of the program."""

    token = BUCKET_OBJECT
    source = "https://cloud.google.com/storage/docs/objects#naming"
    executes = "an object of fake-gcs-server"
    replace_on = frozenset({"bucket", "name"})
    references: ClassVar = {"bucket": BUCKET}
    name = Name(
        property="name",
        pattern=r"(?!\.well-known/acme-challenge/)[^\r\n]+",
        max=1024,
        rule="1 to 1024 bytes without carriage return or line feed",
        # Writing an object that exists replaces it.
        unique=None,
    )
    volatile = frozenset({"crc32c", "md5hash", "md5hexhash", "generation", "mediaLink"})

    def create(self, context: Context, record: Record) -> None:
        bucket, name = record.inputs["bucket"], record.inputs["name"]
        record.id = f"{bucket}-{name}"
        self._put(context, record)

    def read(self, context: Context, record: Record) -> bool:
        return object_exists(context, record.inputs["bucket"], record.inputs["name"])

    def update(self, context: Context, old: Record, record: Record) -> None:
        self._put(context, record)

    def delete(self, context: Context, record: Record) -> None:
        delete_object(context, record.inputs["bucket"], record.inputs["name"])

    @staticmethod
    def _put(context: Context, record: Record) -> None:
        bucket, name = record.inputs["bucket"], record.inputs["name"]
        stored = put_object(context, bucket, name, content_bytes(record.inputs))
        record.outputs |= {
            "outputName": name,
            "crc32c": stored.get("crc32c", ""),
            "md5hash": stored.get("md5Hash", ""),
            "generation": int(stored.get("generation", 0)),
            "mediaLink": stored.get("mediaLink", ""),
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{bucket}/o/{name}",
        }


class BucketMember(iam.Member):
    """A role for a member on a bucket."""

    token = BUCKET_BINDING
    references: ClassVar = {"bucket": BUCKET}
    property = "bucket"
    import_name = "b/{bucket}"


def resource(bucket: str, name: str = "", prefix: str = "") -> Resource:
    """An object, for a permission check; without a name the bucket, as when it is listed."""
    full_name = f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name else "")
    type = f"storage.googleapis.com/{'Object' if name else 'Bucket'}"
    return Resource(BUCKET_BINDING, "bucket", (bucket, f"b/{bucket}"), full_name, type, prefix)


def list_buckets(call: Call) -> Json:
    """The buckets with their labels, which the emulator drops.

    https://cloud.google.com/storage/docs/json_api/v1/buckets/list
    """
    prefix, project = call.query.get("prefix", ""), call.query.get("project", "")
    buckets = (
        {"kind": "storage#bucket", "id": each.id, "name": each.id, "labels": labels_of(each)}
        for each in call.context.all(BUCKET)
        if each.outputs.get("project") == project and each.id.startswith(prefix)
    )
    return {"kind": "storage#buckets", **call.page("items", buckets, limit=1000)}


# The emulator's JSON API


def create_bucket(context: Context, name: str) -> None:
    """Create a bucket; one that exists already is fine."""
    answer = _send(context, "POST", "storage/v1/b", json={"name": name})
    if answer.status_code != 409:
        answer.raise_for_status()


def bucket_exists(context: Context, name: str) -> bool:
    """Whether the bucket exists."""
    return _is_found(_send(context, "GET", f"storage/v1/b/{name}"))


def object_names(context: Context, bucket: str, prefix: str = "") -> list[str]:
    """Names of the first objects below a prefix, a page of them; none of an unknown bucket."""
    answer = _send(context, "GET", f"storage/v1/b/{bucket}/o", params={"prefix": prefix})
    return [item["name"] for item in answer.json().get("items") or ()] if answer.ok else []


def delete_bucket(context: Context, name: str) -> None:
    """Delete a bucket with all its objects; an unknown one is fine."""
    while page := object_names(context, name):
        for each in page:
            delete_object(context, name, each)
    _send(context, "DELETE", f"storage/v1/b/{name}")


def put_object(context: Context, bucket: str, name: str, content: bytes) -> dict[str, Any]:
    """Write an object; what the emulator reports of it."""
    answer = _send(
        context,
        "POST",
        f"upload/storage/v1/b/{bucket}/o",
        params={"uploadType": "media", "name": name},
        data=content,
        headers={"content-type": "application/octet-stream"},
    )
    answer.raise_for_status()
    stored: dict[str, Any] = answer.json()
    return stored


def get_object(context: Context, bucket: str, name: str) -> bytes | None:
    """An object's content."""
    answer = _send(context, "GET", _object_path(bucket, name), params={"alt": "media"})
    if answer.ok:
        return answer.content
    # The emulator's answer to a download has no code.
    if object_exists(context, bucket, name):
        raise _unexpected(answer)
    return None


def object_exists(context: Context, bucket: str, name: str) -> bool:
    """Whether the object exists."""
    return _is_found(_send(context, "GET", _object_path(bucket, name)))


def _is_found(answer: requests.Response) -> bool:
    """Whether the store has it. Raises `Refusal` for every answer but a found and the store's own "not found"."""
    if answer.ok:
        return True
    if answer.status_code == 404 and '"code":404' in answer.text:
        return False
    raise _unexpected(answer)


def _unexpected(answer: requests.Response) -> Refusal:
    return Refusal(
        "backendError",
        f"Error 503: the Cloud Storage emulator answered {answer.status_code} to {answer.request.url}",
    )


def object_hash(context: Context, bucket: str, name: str) -> str | None:
    """The MD5 of an object's content, in base64."""
    answer = _send(context, "GET", _object_path(bucket, name))
    return answer.json().get("md5Hash") if _is_found(answer) else None


def delete_object(context: Context, bucket: str, name: str) -> None:
    """Delete an object; an unknown one is fine."""
    answer = _send(context, "DELETE", _object_path(bucket, name))
    if answer.status_code != 404:
        answer.raise_for_status()


def _object_path(bucket: str, name: str) -> str:
    return f"storage/v1/b/{bucket}/o/{quote(name, safe='')}"


def _send(context: Context, method: str, path: str, **arguments: Any) -> requests.Response:
    session = requests.Session()
    session.trust_env = False  # requests to loopback go through no proxy
    with session:
        url = f"{context.object_stores.gcs()}/{path}"
        trust = str(context.authority.bundle)
        return session.request(method, url, timeout=60, verify=trust, **arguments)
