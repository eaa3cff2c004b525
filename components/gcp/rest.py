"""Google's REST APIs, for what the provider has no resource for: one way to ask, wait and refuse.

Credentials are the application default ones, read when a dynamic provider acts; the addresses can be
exchanged by the environment variables that the Google provider documents for its own requests:
https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference
"""

from __future__ import annotations

import functools
import os
from typing import Any

import google.auth
from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from requests import Response
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from components.dynamic import wait_for

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

# Every request here may be sent twice: ids are our own, so that a repeated create says 409.
RETRY = Retry(
    total=6,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)


class GoogleError(Exception):
    """An answer that is an error: ``status`` is the HTTP code, the text is Google's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def vertex_url(region: str) -> str:
    """Base URL of Vertex AI, ending in a slash."""
    return os.environ.get(
        "GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT", f"https://{region}-aiplatform.googleapis.com/v1/"
    )


def cloud_build_url() -> str:
    """Base URL of Cloud Build, ending in a slash."""
    return os.environ.get(
        "GOOGLE_CLOUD_BUILD_CUSTOM_ENDPOINT", "https://cloudbuild.googleapis.com/v1/"
    )


def artifact_registry_url() -> str:
    """Base URL of Artifact Registry, ending in a slash."""
    return os.environ.get(
        "GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT", "https://artifactregistry.googleapis.com/v1/"
    )


@functools.cache
def _credentials() -> Credentials:
    """Read once a process, when first needed; a token serves until it expires."""
    credentials, _ = google.auth.default(scopes=[SCOPE])
    return credentials


def call(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON that Google answers. Raises `GoogleError`."""
    with AuthorizedSession(_credentials()) as session:  # type: ignore[no-untyped-call]
        session.mount("https://", HTTPAdapter(max_retries=RETRY))
        session.mount("http://", HTTPAdapter(max_retries=RETRY))
        response = session.request(  # type: ignore[no-untyped-call]
            method, url, json=body, timeout=60
        )
    if not response.ok:
        raise GoogleError(response.status_code, f"{method} {url}: {_explain(response)}")
    answer: dict[str, Any] = response.json()
    return answer


def _explain(response: Response) -> str:
    """Google's error JSON in one line; a proxy's HTML page as it is, cut."""
    try:
        error = response.json()["error"]
        return f"{error['status']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code}: {response.text[:300]}"


def find(url: str) -> dict[str, Any] | None:
    """What is at ``url``, or None when nothing is."""
    try:
        return call("GET", url)
    except GoogleError as error:
        if error.status == 404:
            return None
        raise


def finish(base: str, operation: dict[str, Any], *, what: str, seconds: float) -> dict[str, Any]:
    """Wait for a long-running operation; its response. Raises `GoogleError`, TimeoutError."""
    if not operation.get("done"):
        url = base + operation["name"]

        def poll() -> dict[str, Any] | None:
            answer = call("GET", url)
            return answer if answer.get("done") else None

        operation = wait_for(poll, what=what, seconds=seconds)
    if error := operation.get("error"):
        raise GoogleError(0, f"{what}: {error['message']}")
    response: dict[str, Any] = operation.get("response", {})
    return response
