"""Azure Resource Manager over REST, for what azure-native has no resource or function for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response, Session

API_VERSION = "2025-12-01"
"""Of Microsoft.MachineLearningServices: the version that azure-native 3.29 uses."""
CONFLICT = 409
"""While another operation runs on the resource (AnotherOperationInProgress): azure-native sends its requests again,
too. https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/azure/client_azcore.go"""
BUSY_SECONDS = 300
BUSY_PAUSE = 5.0


class ResourceManagerError(Exception):
    """An answer that is an error: ``status`` is the HTTP code, the text is Azure's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def get(resource: str, version: str = API_VERSION) -> dict[str, Any] | None:
    """A resource by its id; None if there is none."""
    answer = _send("GET", resource, version=version)
    return None if _is_missing(answer) else _body(answer)


def post(resource: str, version: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The answer of an action; None if there is no such resource.

    202 is an answer that is at another address, later.
    https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
    """
    answer = _send("POST", resource, body, version)
    deadline = time.monotonic() + BUSY_SECONDS
    while answer.status_code == 202 and time.monotonic() < deadline:
        time.sleep(float(answer.headers.get("Retry-After", BUSY_PAUSE)))
        answer = _send("GET", answer.headers["Location"])
    return None if _is_missing(answer) else _body(answer)


def put(resource: str, body: dict[str, Any], version: str = API_VERSION) -> str | None:
    """Write a resource. Azure continues after the answer (see ``provisioningState``) with the returned operation.

    https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
    """
    answer = _send("PUT", resource, body, version)
    _body(answer)
    return answer.headers.get("Azure-AsyncOperation")


def failure(operation: str | None) -> str:
    """Azure's own reason why an operation failed; empty if there is none, or it may not be read.

    The address is below the subscription, where an identity of one resource group may not look.
    """
    answer = _send("GET", operation) if operation else None
    if answer is None or not answer.ok:
        return ""
    error = answer.json().get("error") or {}
    return f": {error.get('code')}: {error.get('message')}" if error else ""


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
    from azure.identity import DefaultAzureCredential

    manager, audience = _cloud()
    page = "://" in resource
    deadline = time.monotonic() + BUSY_SECONDS
    with DefaultAzureCredential() as credential:
        while True:
            # Kept by the credential until shortly before it ends, which may be while Azure is busy.
            token = credential.get_token(f"{audience}/.default").token
            with session() as requests_:
                answer = requests_.request(
                    method,
                    resource if page else f"{manager}{resource}",
                    params=None if page else {"api-version": version},
                    headers={"Authorization": f"Bearer {token}"},
                    json=body,
                    timeout=60,
                )
            if answer.status_code != CONFLICT or time.monotonic() > deadline:
                return answer
            time.sleep(BUSY_PAUSE)


def session() -> Session:
    """A session that sends a request again where the service was busy."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    # Every request may be sent twice: a PUT names its resource, and a second build makes the same image.
    # `Retry-After` is obeyed.
    retry = Retry(
        total=6,
        connect=3,
        backoff_factor=0.5,
        status_forcelist=(408, 429, 500, 502, 503, 504),
        allowed_methods=None,
        raise_on_status=False,
    )
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


def _is_missing(answer: Response) -> bool:
    """Whether there is no such resource. Of a subscription that the credentials do not see, nothing is known.

    https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found
    """
    return answer.status_code == 404 and '"SubscriptionNotFound"' not in answer.text


def _cloud() -> tuple[str, str]:
    """The Resource Manager's URL, and the audience of its tokens."""
    host = os.environ.get("ARM_METADATA_HOSTNAME") or "management.azure.com"
    with session() as requests_:
        cloud = _body(
            requests_.get(
                f"https://{host}/metadata/endpoints",
                params={"api-version": "2022-09-01"},
                timeout=30,
            )
        )
    audience: str = cloud["authentication"]["audiences"][-1]
    return cloud["resourceManager"].rstrip("/"), audience.rstrip("/")


def _body(answer: Response) -> dict[str, Any]:
    """The JSON of a good answer. Raises `ResourceManagerError` with Azure's code and message for a bad one."""
    if answer.ok:
        body: dict[str, Any] = answer.json()
        return body
    try:
        error = answer.json()["error"]
        message = f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        message = answer.text[:500]
    raise ResourceManagerError(
        answer.status_code, f"{answer.request.method} {answer.url}: {answer.status_code} {message}"
    )
