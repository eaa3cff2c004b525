"""The sign-in of a pipeline's job to Azure: a token of the pipeline that is requested again while a command runs.

The pipeline's token is exchanged for access tokens. It is valid for minutes, an access token for about an hour. Who
signs in with it once, as `az login` does, gets no further access token after those minutes: neither for another
service nor when the first one ends (AADSTS700024). https://github.com/Azure/azure-cli/issues/28708

So a file with a fresh token is kept while the command runs. Pulumi reads it for its backend and the state's key, our own
requests read it by azure-identity. azure-native does not read such a file again (`ARM_OIDC_TOKEN_FILE_PATH`). On GitHub
it asks for a token itself whenever it needs one; on Azure Pipelines, which it cannot ask, it signs in by default, which
reads the file: https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/provider/auth_azidentity.go
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from operations.terminal import fail

AUDIENCE = "api://AzureADTokenExchange"
RENEWAL_SECONDS = 120
"""GitHub's tokens are valid for five minutes (https://github.com/Azure/login/issues/180), those of Azure Pipelines
for ten (both believed)."""
RETRY_SECONDS = 10
FILE_VARIABLE = "AZURE_FEDERATED_TOKEN_FILE"
"""Read by every Azure SDK, again after ten minutes at most.
https://learn.microsoft.com/python/api/azure-identity/azure.identity.workloadidentitycredential"""

JOB_SECRET = "SYSTEM_ACCESSTOKEN"  # noqa: S105, a name
"""Of Azure Pipelines: it can do what the job may do there. No process that a command starts needs it."""


class Refused(Exception):
    """The pipeline gave no token; the text says why."""


@dataclass(frozen=True)
class Source:
    """How a pipeline gives a token of its running job, and what the clients must know to use it."""

    method: str
    url: str
    member: str
    """The member of the answer that is the token."""
    bearer: str = field(repr=False)
    query: Mapping[str, str]
    environment: Mapping[str, str]
    """The identity, and which of its ways azure-native has to go."""

    def token(self) -> str:
        """A new token. Raises Refused."""
        # Imported here: only a pipeline's job needs it.
        import requests

        try:
            answer = requests.request(
                self.method,
                self.url,
                params=dict(self.query),
                headers={
                    "Authorization": f"Bearer {self.bearer}",
                    "Content-Type": "application/json",
                },
                timeout=30,
            )
            answer.raise_for_status()
            return str(answer.json()[self.member])
        except (requests.RequestException, ValueError, KeyError) as error:
            raise Refused(f"{type(error).__name__}: {error}") from None


def source(variables: Mapping[str, str]) -> Source | None:
    """The pipeline whose job this is, if the job is to sign in to Azure by its own token; else None."""
    if variables.get(FILE_VARIABLE):
        return None  # somebody else renews it: Kubernetes, on a runner of one's own
    return _github(variables) or _azure_pipelines(variables)


def _github(variables: Mapping[str, str]) -> Source | None:
    """https://docs.github.com/actions/reference/security/oidc#methods-for-requesting-the-oidc-token"""
    url = variables.get("ACTIONS_ID_TOKEN_REQUEST_URL")
    client, tenant = variables.get("AZURE_CLIENT_ID"), variables.get("AZURE_TENANT_ID")
    if not (url and client and tenant):
        return None
    return Source(
        method="GET",
        url=url,
        member="value",
        bearer=variables.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""),
        query={"audience": AUDIENCE},
        environment={
            "ARM_USE_OIDC": "true",  # azure-native asks GitHub for a token whenever it needs one
            "ARM_CLIENT_ID": client,
            "ARM_TENANT_ID": tenant,
        },
    )


def _azure_pipelines(variables: Mapping[str, str]) -> Source | None:
    """The task AzureCLI sets the variables of its service connection; the job has to pass on its access token.

    https://learn.microsoft.com/python/api/azure-identity/azure.identity.azurepipelinescredential
    """
    url = variables.get("SYSTEM_OIDCREQUESTURI")
    connection = variables.get("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID")
    bearer = variables.get(JOB_SECRET)
    if not (url and connection and bearer):
        return None
    return Source(
        method="POST",
        url=url,
        member="oidcToken",
        bearer=bearer,
        query={"api-version": "7.1", "serviceConnectionId": connection},
        environment={
            "AZURE_CLIENT_ID": variables["AZURESUBSCRIPTION_CLIENT_ID"],
            "AZURE_TENANT_ID": variables["AZURESUBSCRIPTION_TENANT_ID"],
            "ARM_USE_DEFAULT_AZURE_CREDENTIAL": "true",  # azure-native reads the file, too
        },
    )


@contextmanager
def renewed() -> Iterator[None]:
    """Inside, the environment signs in to Azure by a token that is always fresh, if a pipeline can give one.

    Exits with a message if it refuses the first one.
    """
    pipeline = source(os.environ)
    if pipeline is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="triplane-") as folder:  # readable by this user alone
        file = Path(folder) / "token"
        try:
            _write(file, pipeline.token())
        except Refused as refused:
            fail(
                f"this job got no token to sign in to Azure with: {refused}. Nothing was changed. On GitHub the job"
                " needs `permissions: id-token: write`; in Azure Pipelines the step needs"
                " `SYSTEM_ACCESSTOKEN: $(System.AccessToken)` and a service connection with workload identity federation."
            )
        only = {"AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential"}
        added = {**pipeline.environment, FILE_VARIABLE: str(file), **only}
        before = {name: os.environ.get(name) for name in (*added, JOB_SECRET)}
        os.environ.update(added)
        os.environ.pop(JOB_SECRET, None)
        ended = threading.Event()
        thread = threading.Thread(target=_renew, args=(pipeline, file, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _renew(pipeline: Source, file: Path, ended: threading.Event) -> None:
    """Write a new token again and again; after a refusal sooner, because the last one is valid for minutes only."""
    pause: float = RENEWAL_SECONDS
    while not ended.wait(pause):
        try:
            _write(file, pipeline.token())
            pause = RENEWAL_SECONDS
        except Refused as refused:
            print(f"the token for Azure was not renewed, trying again: {refused}", file=sys.stderr)
            pause = RETRY_SECONDS


def _write(file: Path, token: str) -> None:
    """Replace the file at once: a reader never sees half a token."""
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(token)
    new.replace(file)
