"""Google's REST APIs, for what the provider has no resource for: requests, waiting and errors.

Credentials are the application default ones, read when a dynamic provider acts; the addresses can be
replaced by the environment variables that the Google provider documents for its own requests:
https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from components import dynamic
from components.dynamic import wait_for

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from requests import PreparedRequest, Response, Session

T = TypeVar("T")

BUSY_SECONDS = 60
BUSY_PAUSE = 2.0
DENIED = r"permission|does not have .* access|service agents are being provisioned"
CONFLICT, ALREADY_EXISTS = 409, 6
"""HTTP's and gRPC's code for what exists already: https://cloud.google.com/apis/design/errors#handling_errors"""
QUOTA_PROJECT = "GOOGLE_CLOUD_QUOTA_PROJECT"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


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


def secret_manager_url() -> str:
    """Base URL of Secret Manager, ending in a slash."""
    return os.environ.get(
        "GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT", "https://secretmanager.googleapis.com/v1/"
    )


def cloud_run_url() -> str:
    """Base URL of Cloud Run, ending in a slash."""
    return os.environ.get("GOOGLE_CLOUD_RUN_V2_CUSTOM_ENDPOINT", "https://run.googleapis.com/v2/")


def iam_url() -> str:
    """Base URL of IAM, ending in a slash."""
    return os.environ.get("GOOGLE_IAM_CUSTOM_ENDPOINT", "https://iam.googleapis.com/v1/")


def resource_manager_url() -> str:
    """Base URL of Resource Manager, ending in a slash."""
    return os.environ.get(
        "GOOGLE_RESOURCE_MANAGER_V3_CUSTOM_ENDPOINT",
        "https://cloudresourcemanager.googleapis.com/v3/",
    )


def service_usage_url(version: str = "v1") -> str:
    """Base URL of Service Usage, ending in a slash. The quotas are in ``v1beta1`` only."""
    url = os.environ.get(
        "GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT", "https://serviceusage.googleapis.com/v1/"
    )
    return f"{url.removesuffix('v1/')}{version}/"


def billing_url() -> str:
    """Base URL of Cloud Billing, ending in a slash."""
    return os.environ.get(
        "GOOGLE_BILLING_CUSTOM_ENDPOINT", "https://cloudbilling.googleapis.com/v1/"
    )


def caller() -> str:
    """Who the application default credentials belong to. Raises google-auth's error if they are of no use."""
    from google.auth.transport.requests import Request

    credentials = _credentials(None)
    if not credentials.valid:
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    return str(getattr(credentials, "service_account_email", "") or "the signed-in person")


@functools.cache
def _credentials(project: str | None) -> Credentials:
    """Read once a process, when first needed; a token serves until it expires.

    A person's credentials bill requests to a quota project: by default the one that gcloud had at the login, or none.
    Then an API that is not enabled there, or that wants one, refuses. So it is the project that a request is about,
    unless the variable names another.
    https://cloud.google.com/docs/authentication/adc-troubleshooting/user-creds
    """
    import google.auth
    from google.auth import external_account_authorized_user
    from google.oauth2 import credentials as user

    credentials, _ = google.auth.default(scopes=[SCOPE])
    people = (user.Credentials, external_account_authorized_user.Credentials)
    if project and isinstance(credentials, people) and not os.environ.get(QUOTA_PROJECT):
        return credentials.with_quota_project(project)  # type: ignore[no-any-return, no-untyped-call]
    return credentials


def _authorized(credentials: Credentials, request: PreparedRequest) -> PreparedRequest:
    """The request with the credentials' token.

    Not by an `AuthorizedSession`: beside its first request it asks iamcredentials.googleapis.com in which regions the account
    may act, also where the request goes to another address than Google's, and no setting ends that. Its answer would be a hint
    for later requests of the same process; without one google-auth sends none.
    https://github.com/googleapis/google-auth-library-python/blob/main/google/auth/_regional_access_boundary_utils.py
    """
    from google.auth.transport.requests import Request

    if not credentials.valid:
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    credentials.apply(request.headers)  # type: ignore[no-untyped-call]
    return request


def _session(url: str) -> Session:
    # Imported here: most runs send no request to these APIs, and are faster by 0.1 s.
    from requests import Session
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    about = re.search(r"/projects/([^/?:]+)", url.partition("?")[0])
    credentials = _credentials(about[1] if about else None)
    session = Session()
    session.auth = functools.partial(_authorized, credentials)
    # Every request may be sent twice: the ids are our own, so a repeated create is answered with 409.
    retry = Retry(
        total=6,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        raise_on_status=False,
    )
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


def call(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON that Google answers. Raises `GoogleError`."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        with _session(url) as session:
            response = session.request(method, url, json=body, timeout=60)
        # 409 is ABORTED, too: another change came between.
        # https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
        busy = response.status_code == CONFLICT and '"ABORTED"' in response.text
        if not busy or time.monotonic() > deadline:
            break
        time.sleep(BUSY_PAUSE)
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


def once_granted(work: Callable[[], T]) -> T:
    """Do ``work``; again for some minutes while Google says that a permission, an API or a service agent is missing."""
    return dynamic.once_granted(work, denied=is_denied)


def is_denied(error: Exception) -> bool:
    """Whether Google says that a permission, an API or a service agent is missing. They may be too new."""
    return isinstance(error, GoogleError) and bool(
        error.status == 403 or re.search(DENIED, str(error), re.IGNORECASE)
    )


def find(url: str) -> dict[str, Any] | None:
    """The resource at ``url``; None if there is none."""
    try:
        return call("GET", url)
    except GoogleError as error:
        if error.status == 404:
            return None
        raise


def listed(url: str, what: str) -> Iterator[dict[str, Any]]:
    """All items of a list method's answers, which are below ``what``, page by page.

    https://google.aip.dev/158
    """
    page: str | None = ""
    while page is not None:
        answer = call("GET", f"{url}?pageToken={quote(page)}" if page else url)
        yield from answer.get(what, ())
        page = answer.get("nextPageToken") or None


def operate(
    method: str,
    base: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    what: str,
    seconds: float,
) -> None:
    """Start a long-running operation and wait until it is done.

    Raises `GoogleError` and TimeoutError, both naming ``what``.
    """
    operation = call(method, base + path, body)

    def poll() -> dict[str, Any] | None:
        answer = call("GET", base + operation["name"])
        return answer if answer.get("done") else None

    done = operation if operation.get("done") else wait_for(poll, what=what, seconds=seconds)
    if error := done.get("error"):
        status = CONFLICT if error.get("code") == ALREADY_EXISTS else 0
        raise GoogleError(status, f"{what}: {error['message']}")


def create_once(
    base: str,
    path: str,
    body: dict[str, Any],
    *,
    owner: str,
    exists: Callable[[], bool],
    what: str,
    seconds: float,
) -> None:
    """Create by a long-running operation, unless it exists or another run is creating it.

    An operation outlives the engine that started it, and what it creates can be seen only at its end. So the
    unfinished operations of ``owner`` are waited for first. An operation does not name what it creates, so after
    each wait ``exists`` is asked. 409 means that another run was faster.
    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/DeployModelOperationMetadata
    """

    def found() -> bool:
        wait_for_operations(base, owner, what=what, seconds=seconds)
        return exists()

    if exists() or found():
        return
    try:
        once_granted(lambda: operate("POST", base, path, body, what=what, seconds=seconds))
    except GoogleError as error:
        if error.status != CONFLICT or not found():
            raise


def wait_for_operations(base: str, owner: str, *, what: str, seconds: float) -> None:
    """Wait until no operation of the resource ``owner`` is under way. Raises TimeoutError, naming ``what``.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints.operations/list
    """

    def finished() -> bool | None:
        try:
            operations = list(listed(f"{base}{owner}/operations", "operations"))
        except GoogleError as error:
            # An owner that does not exist has none. A delivery's role of before `aiplatform.operations.list`
            # may not look: the service then refuses what is there already.
            if error.status in (403, 404):
                return True
            raise
        return all(each.get("done") for each in operations) or None

    wait_for(finished, what=what, seconds=seconds)
