"""The lake that stores captures: one object at a time, with each cloud's own client.

Every name is written once. The clients retry, so an existing object is the gateway's own: an earlier attempt wrote
it, and the answer was lost.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

CONNECT_SECONDS = 2
READ_SECONDS = 10
CONTENT_TYPE = "application/x-ndjson"

Write = Callable[[str, bytes], None]


def writer(uri: str, azure_client_id: str = "") -> Write:
    """A function that writes an object under its name below ``uri``."""
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    match scheme:
        case "s3":
            return s3(bucket, prefix)
        case "gs":
            return gcs(bucket, prefix)
        case _:
            return azure_blob(uri, azure_client_id)


def s3(bucket: str, prefix: str) -> Write:
    """Write to S3."""
    import boto3
    from botocore.config import Config

    limits = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    client = boto3.client("s3", config=limits)

    def write(name: str, data: bytes) -> None:
        key = f"{prefix}/{name}"
        client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=CONTENT_TYPE)

    return write


def gcs(bucket: str, prefix: str) -> Write:
    """Write to Cloud Storage."""
    from google.api_core.exceptions import PreconditionFailed
    from google.cloud import storage
    from google.cloud.storage.retry import DEFAULT_RETRY

    # Otherwise the client reads the bucket's metadata for traces. The gateway has no permission and no use for that.
    os.environ["DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"] = "true"
    target = storage.Client().bucket(bucket)
    retry = DEFAULT_RETRY.with_timeout(3 * READ_SECONDS)

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


def azure_blob(container_url: str, client_id: str) -> Write:
    """Write to a blob container."""
    from azure.core.exceptions import ResourceExistsError
    from azure.identity import ManagedIdentityCredential
    from azure.storage.blob import ContainerClient, ContentSettings, ExponentialRetry

    container = ContainerClient.from_container_url(
        container_url,
        credential=ManagedIdentityCredential(client_id=client_id or None),
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        # The default first pause is 15 s, and all other captures would wait.
        retry_policy=ExponentialRetry(initial_backoff=0, increment_base=1, retry_total=2),
    )

    def write(name: str, data: bytes) -> None:
        with contextlib.suppress(ResourceExistsError):
            container.upload_blob(
                name, data, content_settings=ContentSettings(content_type=CONTENT_TYPE)
            )

    return write
