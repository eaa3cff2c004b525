"""Requests to Google's and Azure's APIs: what is sent again, and which reason an error gives."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, get_args

import azure.identity
import google.auth.credentials
import google.oauth2.credentials
import pytest
import requests
from google.auth import _regional_access_boundary_utils
from google.oauth2 import service_account

from components.azure import arm
from components.azure.dynamic.endpoint_traffic import EndpointTrafficProvider
from components.gcp import rest
from config.clouds import Cloud
from operations.engine.installation import HOME

Answer = tuple[int, dict[str, Any]]
OK: Answer = (200, {"name": "done"})
GOOGLE_BUSY: Answer = (409, {"error": {"status": "ABORTED", "message": "concurrent change"}})
EXISTS: Answer = (409, {"error": {"status": "ALREADY_EXISTS", "message": "it exists"}})
AZURE_BUSY: Answer = (409, {"error": {"code": "AnotherOperationInProgress", "message": "wait"}})
READ_CREDENTIALS = rest._credentials
ENDPOINT = "/subscriptions/s/endpoint"


@dataclass
class Server:
    """An API that gives these answers, one after another, to each request for a path, and the last for ever."""

    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of each answer to a PUT."""
    received: dict[str, str] = field(default_factory=dict)
    """The headers of the last request."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            path = self.path.partition("?")[0]
            server.requests.append(f"{self.command} {path}")
            server.received = {name.lower(): value for name, value in self.headers.items()}
            answers = server.answers.get(f"{self.command} {path}") or server.answers[path]
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in server.headers.items() if self.command == "PUT" else ():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "PUT", "POST", "PATCH"):
        setattr(Handler, f"do_{method}", Handler.answer)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_port}")
    threading.Thread(target=http.serve_forever, daemon=True).start()
    anonymous = google.auth.credentials.AnonymousCredentials()
    monkeypatch.setattr(rest, "_credentials", lambda _project: anonymous)
    monkeypatch.setattr(rest, "BUSY_PAUSE", 0.01)
    monkeypatch.setattr(arm, "BUSY_PAUSE", 0.01)
    token = SimpleNamespace(get_token=lambda _scope: SimpleNamespace(token="t"))
    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", lambda: nullcontext(token))
    monkeypatch.setattr(arm, "_cloud", lambda: (server.url, "https://management.azure.com"))
    yield server
    http.shutdown()
    http.server_close()


USER = google.oauth2.credentials.Credentials(token="t", quota_project_id="another")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("credentials", "variable", "billed"),
    [
        (USER, None, "ours"),
        (USER, "chosen", "another"),
        (google.auth.credentials.AnonymousCredentials(), None, None),
    ],
)
def test_a_users_requests_are_billed_to_the_project_that_they_are_about(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    credentials: Any,
    variable: str | None,
    billed: str | None,
) -> None:
    monkeypatch.setattr(rest, "_credentials", READ_CREDENTIALS)
    rest._credentials.cache_clear()
    monkeypatch.setattr(google.auth, "default", lambda scopes: (credentials, "another"))
    if variable:
        monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", variable)
    else:
        monkeypatch.delenv("GOOGLE_CLOUD_QUOTA_PROJECT", raising=False)
    server.answers = {"/v1/projects/ours/things": [OK]}
    rest.call("GET", f"{server.url}/v1/projects/ours/things?pageToken=projects/other")
    assert server.received.get("x-goog-user-project") == billed
    rest._credentials.cache_clear()


@pytest.mark.parametrize("passing", [429, 500, 502, 503, 504])
def test_a_request_is_sent_again_after_an_error_that_passes(server: Server, passing: int) -> None:
    server.answers = {"/v1/thing": [(passing, {}), OK], ENDPOINT: [(passing, {}), OK]}
    assert rest.call("PATCH", f"{server.url}/v1/thing", {}) == OK[1]
    assert arm.get(ENDPOINT) == OK[1]
    arm.put(ENDPOINT, {})


def test_no_request_waits_for_a_silent_service_for_more_than_a_minute(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    send = requests.Session.send

    def limited(self: requests.Session, request: Any, **options: Any) -> requests.Response:
        limits.append(options["timeout"])
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", limited)
    server.answers = {"/v1/thing": [OK], ENDPOINT: [OK]}
    rest.call("GET", f"{server.url}/v1/thing")
    arm.get(ENDPOINT)
    assert len(limits) == 2
    assert all(0 < each <= 60 for each in limits)


def test_a_request_that_met_another_change_is_sent_again(server: Server) -> None:
    server.answers = {
        "/v1/thing": [GOOGLE_BUSY, GOOGLE_BUSY, OK],
        f"PUT {ENDPOINT}": [AZURE_BUSY, AZURE_BUSY, OK],
    }
    assert rest.call("PATCH", f"{server.url}/v1/thing", {}) == OK[1]
    arm.put(ENDPOINT, {})
    assert len(server.requests) == 6


def test_a_token_that_ends_while_azure_is_busy_is_renewed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = iter(f"token-{number}" for number in range(9))
    credential = SimpleNamespace(get_token=lambda _scope: SimpleNamespace(token=next(tokens)))
    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", lambda: nullcontext(credential))
    server.answers = {ENDPOINT: [AZURE_BUSY, AZURE_BUSY, OK]}
    arm.get(ENDPOINT)
    assert server.received["authorization"] == "Bearer token-2"


def test_a_request_for_what_exists_already_is_not_sent_again(server: Server) -> None:
    server.answers = {"/v1/things": [EXISTS]}
    with pytest.raises(rest.GoogleError, match="ALREADY_EXISTS: it exists") as refused:
        rest.call("POST", f"{server.url}/v1/things", {})
    assert refused.value.status == 409
    assert server.requests == ["POST /v1/things"]


def test_an_error_that_does_not_pass_gives_the_clouds_reason(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(arm, "BUSY_SECONDS", 0.05)
    server.answers = {"/v1/thing": [GOOGLE_BUSY], ENDPOINT: [AZURE_BUSY]}
    with pytest.raises(rest.GoogleError, match="ABORTED: concurrent change"):
        rest.call("PATCH", f"{server.url}/v1/thing", {})
    with pytest.raises(arm.ResourceManagerError, match="409 AnotherOperationInProgress: wait"):
        arm.put(ENDPOINT, {})


@pytest.mark.parametrize(
    ("readable", "reason"),
    [(True, "Failed: SubscriptionQuotaExceeded: no cores"), (False, "ended as Failed")],
)
def test_a_shift_of_traffic_that_azure_gives_up_gives_azures_reason(
    server: Server, readable: bool, reason: str
) -> None:
    endpoint = {"location": "westeurope", "properties": {"provisioningState": "Failed"}}
    failure = {"error": {"code": "SubscriptionQuotaExceeded", "message": "no cores"}}
    forbidden = {"error": {"code": "AuthorizationFailed", "message": "not yours"}}
    server.headers = {"Azure-AsyncOperation": f"{server.url}/operations/1"}
    server.answers = {
        ENDPOINT: [(200, endpoint)],
        "/operations/1": [(200, {"status": "Failed", **failure}) if readable else (403, forbidden)],
    }
    props = {"endpoint_id": ENDPOINT, "deployment": "m-new", "model_version": "v"}
    with pytest.raises(RuntimeError, match=reason):
        EndpointTrafficProvider().create(props)


def test_a_request_with_an_accounts_token_asks_no_other_service_of_google(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = service_account.Credentials(None, "a@p.iam.gserviceaccount.com", server.url)  # type: ignore[no-untyped-call]
    account.token = "t"
    monkeypatch.setattr(rest, "_credentials", lambda _project: account)
    asked: list[object] = []
    monkeypatch.setattr(
        _regional_access_boundary_utils._RegionalAccessBoundaryRefreshManager,
        "start_refresh",
        lambda *arguments: asked.append(arguments),
    )
    server.answers = {"/v1/thing": [OK]}
    assert rest.call("GET", f"{server.url}/v1/thing") == OK[1]
    assert server.received["authorization"] == "Bearer t"
    assert asked == []


@pytest.mark.parametrize("cloud", get_args(Cloud))
def test_a_program_that_asks_no_api_itself_imports_no_client_of_one(cloud: str) -> None:
    """They cost a tenth of a second, or more, in each process that imports the components: a program's, a provider's."""
    code = (
        f"import sys; from components import clouds, platform; clouds.load({cloud!r})\n"
        "print(*{'boto3', 'botocore', 'google.auth', 'azure.identity', 'requests', 'httpx'} & set(sys.modules))"
    )
    imported = subprocess.check_output([sys.executable, "-c", code], cwd=HOME, text=True)
    assert imported.split() == []
