"""Cloud Storage as the rehearsal's own kinds and services use it: the JSON API of fake-gcs-server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

if TYPE_CHECKING:
    from rehearsal.provider.context import Context


def _ask(context: Context, method: str, path: str, **arguments: Any) -> requests.Response:
    session = requests.Session()
    session.trust_env = False  # no proxy lies between here and loopback
    with session:
        url = f"{context.object_stores.gcs()}/{path}"
        return session.request(method, url, timeout=60, **arguments)


def _object(bucket: str, name: str) -> str:
    return f"storage/v1/b/{bucket}/o/{quote(name, safe='')}"


def make_bucket(context: Context, name: str) -> None:
    """Make a bucket; one that is there already is fine."""
    answer = _ask(context, "POST", "storage/v1/b", json={"name": name})
    if answer.status_code != 409:
        answer.raise_for_status()


def bucket_exists(context: Context, name: str) -> bool:
    """Whether there is such a bucket."""
    return _ask(context, "GET", f"storage/v1/b/{name}").ok


def names(context: Context, bucket: str, prefix: str = "") -> list[str]:
    """Names of the first objects below a prefix, a page of them; none of an unknown bucket."""
    answer = _ask(context, "GET", f"storage/v1/b/{bucket}/o", params={"prefix": prefix})
    return [item["name"] for item in answer.json().get("items") or ()] if answer.ok else []


def drop_bucket(context: Context, name: str) -> None:
    """Delete a bucket with all that it holds; an unknown one is fine."""
    while page := names(context, name):
        for each in page:
            delete(context, name, each)
    _ask(context, "DELETE", f"storage/v1/b/{name}")


def put(context: Context, bucket: str, name: str, content: bytes) -> dict[str, Any]:
    """Write an object; what the store tells of it."""
    answer = _ask(
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


def get(context: Context, bucket: str, name: str) -> bytes | None:
    """An object's content."""
    answer = _ask(context, "GET", _object(bucket, name), params={"alt": "media"})
    return answer.content if answer.ok else None


def object_exists(context: Context, bucket: str, name: str) -> bool:
    """Whether there is such an object."""
    return _ask(context, "GET", _object(bucket, name)).ok


def delete(context: Context, bucket: str, name: str) -> None:
    """Delete an object; an unknown one is fine."""
    answer = _ask(context, "DELETE", _object(bucket, name))
    if answer.status_code != 404:
        answer.raise_for_status()
