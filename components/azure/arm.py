"""Azure Resource Manager over REST, for the one thing that azure-native has no resource for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import requests
from azure.identity import DefaultAzureCredential

API_VERSION = "2025-12-01"
"""Of Microsoft.MachineLearningServices: the version that azure-native 3.29 uses."""


def get(resource: str, version: str = API_VERSION) -> dict[str, Any] | None:
    """A resource by its id; None if it is not there."""
    answer = _send("GET", resource, version=version)
    return None if answer.status_code == 404 else _body(answer)


def put(resource: str, body: dict[str, Any]) -> dict[str, Any]:
    """Write a resource. Azure goes on working after the answer: see ``provisioningState``."""
    return _body(_send("PUT", resource, body))


def listed(resource: str, version: str = API_VERSION) -> Iterator[dict[str, Any]]:
    """All of what a list operation answers, page by page; nothing below what is not there.

    https://learn.microsoft.com/rest/api/azure/#async-operations-throttling-and-paging
    """
    answer = get(resource, version)
    while answer is not None:
        yield from answer.get("value", ())
        following = answer.get("nextLink")
        answer = _body(_send("GET", following)) if following else None


def _send(
    method: str, resource: str, body: dict[str, Any] | None = None, version: str = API_VERSION
) -> requests.Response:
    """Send a request as whoever runs Pulumi, to a resource's id or a page's whole address.

    ``ARM_METADATA_HOSTNAME``, which azure-native obeys too, names the host that knows where the
    Resource Manager is: another one in Azure Government, Azure China and Azure Stack.
    """
    host = os.environ.get("ARM_METADATA_HOSTNAME") or "management.azure.com"
    cloud = _body(
        requests.get(
            f"https://{host}/metadata/endpoints", params={"api-version": "2022-09-01"}, timeout=30
        )
    )
    audience = cloud["authentication"]["audiences"][-1].rstrip("/")
    token = DefaultAzureCredential().get_token(f"{audience}/.default").token
    page = resource.startswith("https://")
    return requests.request(
        method,
        resource if page else f"{cloud['resourceManager'].rstrip('/')}{resource}",
        params=None if page else {"api-version": version},
        headers={"Authorization": f"Bearer {token}"},
        json=body,
        timeout=60,
    )


def _body(answer: requests.Response) -> dict[str, Any]:
    """The JSON of a good answer; of a bad one, Azure's code and words as a RuntimeError."""
    if answer.ok:
        body: dict[str, Any] = answer.json()
        return body
    try:
        error = answer.json()["error"]
        says = f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        says = answer.text[:500]
    raise RuntimeError(f"{answer.request.method} {answer.url}: {answer.status_code} {says}")
