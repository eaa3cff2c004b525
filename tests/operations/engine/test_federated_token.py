"""A pipeline's sign-in to Azure: azure-identity exchanges the job's tokens with the rehearsed Entra ID."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential

from components.azure import arm
from operations.engine import federated_token
from rehearsal.azure.managed_identity import FEDERATED_CREDENTIAL
from rehearsal.azure.profile import environment
from rehearsal.core.records import Record
from rehearsal.provider.context import Context
from tests.unit.rehearsal.azure_subscription import Subscription

ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:acme/triplane:environment:staging"
LIFE = 1.0
"""Seconds that a token of the job is valid, in place of minutes."""
ARM_SCOPE = "https://management.azure.com/.default"
VAULT_SCOPE = "https://vault.azure.net/.default"


@dataclass
class Pipeline:
    """A service that gives a running job tokens, as GitHub and Azure Pipelines do."""

    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path with query, and authorization of each request."""
    refuses: bool = False
    subject: str = SUBJECT

    def answer(self, method: str, path: str, authorization: str) -> tuple[int, dict[str, Any]]:
        self.requests.append((method, path, authorization))
        if self.refuses or authorization != "Bearer job":
            return 403, {}
        now = time.time()
        claims = {
            "iss": ISSUER,
            "sub": self.subject,
            "aud": federated_token.AUDIENCE,
            "nbf": now - 1,
            "exp": now + LIFE,
            "jti": str(len(self.requests)),
        }
        token = jwt.encode(claims, "a key that only GitHub has, and nobody else", algorithm="HS256")
        return 200, {"value": token} if method == "GET" else {"oidcToken": token}


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    found = Pipeline()

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            status, body = found.answer(
                self.command, self.path, self.headers.get("authorization", "")
            )
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = reply  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield found
    http.shutdown()
    http.server_close()


@pytest.fixture
def identity(live_context: Context, monkeypatch: pytest.MonkeyPatch) -> Record:
    """The delivery's identity, which trusts the job; the clients find the rehearsed Azure, and no other sign-in."""
    azure = Subscription(live_context)
    made = azure.identity("delivery")
    azure.create(
        FEDERATED_CREDENTIAL,
        resourceName="delivery",
        federatedIdentityCredentialResourceName="github",
        issuer=ISSUER,
        subject=SUBJECT,
        audiences=[federated_token.AUDIENCE],
    )
    host = environment(live_context)["ARM_METADATA_HOSTNAME"]
    monkeypatch.setenv("ARM_METADATA_HOSTNAME", host)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://{host}")
    for name, value in live_context.authority.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", federated_token.FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential")
    return made


@pytest.fixture
def job(identity: Record, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Record:
    """The variables of a job on GitHub whose action `prepare` was given Azure's identity."""
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{pipeline.url}/token?version=2")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job")
    monkeypatch.setenv("AZURE_CLIENT_ID", identity.outputs["clientId"])
    monkeypatch.setenv("AZURE_TENANT_ID", identity.outputs["tenantId"])
    monkeypatch.setattr(federated_token, "RENEWAL_SECONDS", LIFE / 4)
    monkeypatch.setattr(federated_token, "RETRY_SECONDS", LIFE / 20)
    return identity


def access_token(scope: str) -> str:
    """As a new process gets it."""
    with DefaultAzureCredential() as credential:
        return credential.get_token(scope).token


def test_who_signs_in_once_gets_no_token_for_another_service_after_the_jobs_token_ends(
    job: Record, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = tmp_path / "token"
    source = federated_token.source(os.environ)
    assert source is not None
    kept.write_text(source.token())
    monkeypatch.setenv(federated_token.FILE_VARIABLE, str(kept))
    assert access_token(ARM_SCOPE)
    time.sleep(LIFE + 0.1)
    with pytest.raises(ClientAuthenticationError, match="AADSTS700024"):
        access_token(VAULT_SCOPE)


def test_a_command_signs_in_to_azure_long_after_the_first_token_of_its_job_ended(
    job: Record, live_context: Context
) -> None:
    subscription = f"/subscriptions/{live_context.account.azure_subscription}"
    with federated_token.renewed():
        assert arm.get(subscription, "2022-12-01")
        time.sleep(3 * LIFE)
        assert access_token(VAULT_SCOPE)
        assert arm.get(subscription, "2022-12-01")


def test_a_refused_renewal_is_tried_again_while_the_last_token_is_valid(
    job: Record, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    with federated_token.renewed():
        pipeline.refuses = True
        time.sleep(LIFE / 2)
        pipeline.refuses = False
        time.sleep(LIFE)
        assert access_token(VAULT_SCOPE)
    assert "not renewed" in capsys.readouterr().err


def test_the_job_of_another_branch_gets_no_token(job: Record, pipeline: Pipeline) -> None:
    pipeline.subject = "repo:acme/triplane:ref:refs/heads/mine"
    with (
        federated_token.renewed(),
        pytest.raises(ClientAuthenticationError, match=r"AADSTS700213.*heads/mine"),
    ):
        access_token(ARM_SCOPE)


def test_azure_native_asks_github_itself_and_nothing_is_left_behind(
    job: Record, pipeline: Pipeline
) -> None:
    before = dict(os.environ)
    with federated_token.renewed():
        file = Path(os.environ[federated_token.FILE_VARIABLE])
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0
        assert os.environ["ARM_USE_OIDC"] == "true"
        assert os.environ["ARM_CLIENT_ID"] == job.outputs["clientId"]
        assert os.environ["ARM_TENANT_ID"] == job.outputs["tenantId"]
    assert dict(os.environ) == before
    assert not file.parent.exists()
    method, path, _ = pipeline.requests[0]
    assert method == "GET"
    assert path == "/token?version=2&audience=api%3A%2F%2FAzureADTokenExchange"


def test_the_service_connection_of_azure_pipelines_signs_in_the_same_way(
    identity: Record, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "SYSTEM_OIDCREQUESTURI": f"{pipeline.url}/oidctoken",
        "SYSTEM_ACCESSTOKEN": "job",
        "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
        "AZURESUBSCRIPTION_CLIENT_ID": identity.outputs["clientId"],
        "AZURESUBSCRIPTION_TENANT_ID": identity.outputs["tenantId"],
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with federated_token.renewed():
        assert access_token(ARM_SCOPE)
        assert os.environ["ARM_USE_DEFAULT_AZURE_CREDENTIAL"] == "true"
        assert "ARM_USE_OIDC" not in os.environ
        assert "SYSTEM_ACCESSTOKEN" not in os.environ
    assert os.environ["SYSTEM_ACCESSTOKEN"] == "job"
    method, path, _ = pipeline.requests[0]
    assert method == "POST"
    assert path == "/oidctoken?api-version=7.1&serviceConnectionId=connection"


@pytest.mark.parametrize(
    "missing", ["ACTIONS_ID_TOKEN_REQUEST_URL", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"]
)
def test_a_job_that_does_not_sign_in_to_azure_asks_for_no_token(
    job: Record, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    with federated_token.renewed():
        assert federated_token.FILE_VARIABLE not in os.environ
    assert not pipeline.requests


def test_a_job_that_may_not_have_a_token_is_told_the_permission_and_its_secret_is_not_shown(
    job: Record, pipeline: Pipeline
) -> None:
    pipeline.refuses = True
    with pytest.raises(SystemExit, match="id-token: write") as refusal, federated_token.renewed():
        pass
    assert "Bearer" not in str(refusal.value)
    assert "bearer" not in repr(federated_token.source(os.environ))
