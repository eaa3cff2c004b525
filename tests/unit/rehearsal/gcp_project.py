"""A Google Cloud project of the rehearsal for tests: it creates resources as the engine does, without it."""

from __future__ import annotations

import time
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from rehearsal.core.records import Inputs, Json, Record
from rehearsal.core.schema import Schemas
from rehearsal.gcp import credentials, iam, routes, service_usage
from rehearsal.gcp.profile import PROFILE
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle
from tests.unit.rehearsal.raw_requests import raw_request

PROJECT, REGION = "triplane-dev", "europe-west1"
PLACE = f"projects/{PROJECT}/locations/{REGION}"
SCHEMAS = Schemas("gcp")
APIS = (
    "aiplatform",
    "artifactregistry",
    "cloudbuild",
    "cloudresourcemanager",
    "iam",
    "run",
    "secretmanager",
    "storage",
)
BUCKET = "gcp:storage/bucket:Bucket"
OBJECT = "gcp:storage/bucketObject:BucketObject"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
REPOSITORY_MEMBER = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
ENDPOINT_MEMBER = "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember"
SECRET = "gcp:secretmanager/secret:Secret"
SECRET_VERSION = "gcp:secretmanager/secretVersion:SecretVersion"
SECRET_MEMBER = "gcp:secretmanager/secretIamMember:SecretIamMember"
RUN = "gcp:cloudrunv2/service:Service"


class Project:
    """One rehearsed project, and an HTTP client for its APIs."""

    def __init__(self, context: Context, *, apis: tuple[str, ...] = APIS) -> None:
        self.context = context
        self.types = PROFILE.rules()
        self.lifecycle = Lifecycle(context, PROFILE, SCHEMAS)
        self.http = TestClient(Starlette(routes=[Mount("/gcp", routes=routes.routes(context))]))
        for api in apis:
            self.create(service_usage.SERVICE, api, service=f"{api}.googleapis.com")

    def create(self, token: str, name: str, /, **inputs: Any) -> Record:
        """Check and create one resource; it gets a unique name unless one is given."""
        rules = self.types[token]
        if rules.name:
            inputs.setdefault(rules.name.property, f"{name}-1234567")
        self.lifecycle.check_name(rules, inputs)
        rules.check(self.context, Inputs(inputs))
        config = {"project": PROJECT, "region": REGION}
        return self.lifecycle.create(token, _urn(token, name), inputs, [], config)

    def update(self, record: Record, **changes: Any) -> Record:
        """Change some inputs in place."""
        inputs = record.inputs | changes
        return self.lifecycle.update(record.token, record.id, record.urn, inputs, [])

    def delete(self, record: Record) -> None:
        """Delete one."""
        self.lifecycle.delete(record.token, record.id)

    def account(self, name: str) -> str:
        """A new service account's e-mail."""
        email: str = self.create(iam.ACCOUNT, name).outputs["email"]
        return email

    def grant(self, token: str, role: str, email: str, **inputs: Any) -> Record:
        """Bind a role to a service account on a resource."""
        member = f"serviceAccount:{email}"
        return self.create(token, f"{role}-{email}", role=role, member=member, **inputs)

    def call(
        self, method: str, path: str, body: Json | None = None, caller: str | None = None
    ) -> tuple[int, Json]:
        """One call of an API, by the deployer or by a service account."""
        token = credentials.token(self.context, caller or credentials.deployer(self.context))[
            "access_token"
        ]
        headers = {"authorization": f"Bearer {token}"}
        answer = self.http.request(method, f"/gcp/{path}", json=body, headers=headers)
        return answer.status_code, answer.json()

    def address(self, email: str) -> str:
        """Where the clients of a service account find its metadata server and Cloud Storage."""
        return credentials.account_address(self.context, email)

    def raw(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of a request whose path no client has normalized."""
        return raw_request(self.http, method, target, body, headers)

    def finish(self, operation: Json) -> Json:
        """Wait for a long-running operation; returns its last state."""
        deadline = time.monotonic() + 30
        while not operation.get("done"):
            assert time.monotonic() < deadline, operation
            time.sleep(0.02)
            _, operation = self.call("GET", f"aiplatform/v1/{operation['name']}")
        return operation


def _urn(token: str, name: str) -> str:
    return f"urn:pulumi:test::triplane::{token}::{name}"
