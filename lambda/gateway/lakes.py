"""The lake, with each cloud's own client: captures are written, contracts of models are read, one object at a time.

Every name is written once. The clients retry, so an existing object is the gateway's own: an earlier attempt wrote
it, and the answer was lost.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from typing import Any

CONNECT_SECONDS = 2
READ_SECONDS = 10
CONTENT_TYPE = "application/x-ndjson"

Write = Callable[[str, bytes], None]
Read = Callable[[str], bytes]


def writer(uri: str, azure_client_id: str = "") -> Write:
    """A function that writes an object under its name below ``uri``."""
    scheme, bucket, prefix = _parts(uri)
    match scheme:
        case "s3":
            return s3(bucket, prefix)
        case "gs":
            return gcs(bucket, prefix)
        case _:
            return azure_blob(uri, azure_client_id)


def reader(uri: str, azure_client_id: str = "") -> Read:
    """A function that returns the content of the object with a name below ``uri``. Raises what the cloud's client raises."""
    scheme, bucket, prefix = _parts(uri)
    match scheme:
        case "s3":
            client = _s3_client()
            return lambda name: bytes(
                client.get_object(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read()
            )
        case "gs":
            source, retry = _gcs_bucket(bucket)
            return lambda name: bytes(
                source.blob(f"{prefix}/{name}").download_as_bytes(
                    timeout=(CONNECT_SECONDS, READ_SECONDS), retry=retry
                )
            )
        case _:
            container = _blob_container(uri, azure_client_id)
            return lambda name: bytes(container.download_blob(name).readall())


def _parts(uri: str) -> tuple[str, str, str]:
    """Scheme, bucket and prefix."""
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    return scheme, bucket, prefix


@functools.cache
def _s3_client() -> Any:
    """One for reads and writes: it takes long to make."""
    import boto3
    from botocore.config import Config

    limits = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    return boto3.client("s3", config=limits)


def s3(bucket: str, prefix: str) -> Write:
    """Write to S3."""
    client = _s3_client()

    def write(name: str, data: bytes) -> None:
        key = f"{prefix}/{name}"
        client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=CONTENT_TYPE)

    return write


def _gcs_bucket(name: str) -> tuple[Any, Any]:
    """The bucket, and how its calls are tried again."""
    from google.cloud import storage
    from google.cloud.storage.retry import DEFAULT_RETRY

    # Otherwise the client reads the bucket's metadata for traces. The gateway has no permission and no use for that.
    os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"
    return storage.Client().bucket(name), DEFAULT_RETRY.with_timeout(3 * READ_SECONDS)


def gcs(bucket: str, prefix: str) -> Write:
    """Write to Cloud Storage."""
    from google.api_core.exceptions import PreconditionFailed

    target, retry = _gcs_bucket(bucket)

    def write(name: str, data: bytes) -> None:
        with contextlib.suppress(PreconditionFailed):
            target.blob(f"{prefix}/{name}").upload_from_string(
                data,
                content_type=CONTENT_TYPE,
                if_generation_match=0,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                retry=retry,
            )

    return write


def _blob_container(url: str, client_id: str) -> Any:
    from azure.identity import ManagedIdentityCredential
    from azure.storage.blob import ContainerClient, ExponentialRetry

    return ContainerClient.from_container_url(
        url,
        # The credential's own ten retries take longer than a caller waits for a contract, or a process for its captures.
        credential=ManagedIdentityCredential(client_id=client_id or None, retry_total=1),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        # The default first pause is 15 s, and all other captures would wait.
        retry_policy=ExponentialRetry(initial_backoff=0, increment_base=1, retry_total=2),
    )


def azure_blob(container_url: str, client_id: str) -> Write:
    """Write to a blob container."""
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.blob import ContentSettings

    container = _blob_container(container_url, client_id)

    def write(name: str, data: bytes) -> None:
        with contextlib.suppress(ResourceExistsError):
            container.upload_blob(
                name, data, content_settings=ContentSettings(content_type=CONTENT_TYPE)
            )

    return write
