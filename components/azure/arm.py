"""Azure Resource Manager over REST, for what azure-native has no resource or function for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response


API_VERSION = "2025-12-01"
"""Of Microsoft.MachineLearningServices: the version that azure-native 3.29 uses."""


def get(resource: str, version: str = API_VERSION) -> dict[str, Any] | None:
    """A resource by its id; None if there is none."""
    answer = _send("GET", resource, version=version)
    return None if answer.status_code == 404 else _body(answer)


def put(resource: str, body: dict[str, Any]) -> dict[str, Any]:
    """Write a resource. Azure continues after the answer: see ``provisioningState``."""
    return _body(_send("PUT", resource, body))


def listed(resource: str, version: str = API_VERSION) -> Iterator[dict[str, Any]]:
    """All items of a list operation's answers, page by page; none below a resource that does not exist.

    https://learn.microsoft.com/rest/api/azure/#async-operations-throttling-and-paging
    """
    answer = get(resource, version)
    while answer is not None:
        yield from answer.get("value", ())
        following = answer.get("nextLink")
        answer = _body(_send("GET", following)) if following else None


def _send(
    method: str, resource: str, body: dict[str, Any] | None = None, version: str = API_VERSION
) -> Response:
    """Send a request to a resource's id or a page's whole address, with the credentials of who runs Pulumi.

    ``ARM_METADATA_HOSTNAME``, which azure-native reads, too, names the host that has the Resource Manager's
    address: another one in Azure Government, Azure China and Azure Stack.
    """
    # Imported here: most runs send no request, and are faster by 0.3 s.
    import requests
    from azure.identity import DefaultAzureCredential

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


def _body(answer: Response) -> dict[str, Any]:
    """The JSON of a good answer. Raises RuntimeError with Azure's code and message for a bad one."""
    if answer.ok:
        body: dict[str, Any] = answer.json()
        return body
    try:
        error = answer.json()["error"]
        message = f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        message = answer.text[:500]
    raise RuntimeError(f"{answer.request.method} {answer.url}: {answer.status_code} {message}")
