"""An AWS account of the rehearsal for tests: it creates resources as the engine does, without the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from rehearsal.aws import credentials, permissions, routes
from rehearsal.aws.profile import PROFILE
from rehearsal.core.access_keys import AccessKey
from rehearsal.core.records import Inputs, Json, Record
from rehearsal.core.schema import Schemas
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle
from tests.unit.rehearsal.archives import archive

REGION = "eu-west-1"
SCHEMAS = Schemas("aws")


class Account:
    """One rehearsed account, and an HTTP client for its APIs."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.types = PROFILE.rules()
        self.lifecycle = Lifecycle(context, PROFILE, SCHEMAS)
        self.http = TestClient(Starlette(routes=[Mount("/aws", routes=routes.routes(context))]))

    def create(self, token: str, name: str, /, **inputs: Any) -> Record:
        """Check and create one resource; it gets a unique name unless one is given."""
        rules = self.types[token]
        if rules.name:
            inputs.setdefault(rules.name.property, f"{name}-1234567")
        self.lifecycle.check_name(rules, inputs)
        rules.check(self.context, Inputs(inputs))
        return self.lifecycle.create(token, _urn(token, name), inputs, [], {"region": REGION})

    def update(self, record: Record, **changes: Any) -> Record:
        """Change some inputs in place."""
        return self.lifecycle.update(
            record.token, record.id, record.urn, record.inputs | changes, []
        )

    def role(self, name: str, service: str, *statements: Json) -> Record:
        """A role that a service can assume, with these permissions."""
        role = self.create(permissions.ROLE, name, assumeRolePolicy=trust(service))
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            self.create(permissions.ROLE_POLICY, f"{name}-grants", role=role.id, policy=policy)
        return role

    def function(self, name: str, role: Record, code: str, **inputs: Any) -> Record:
        """A published function of one module, ``main.handler``."""
        return self.create(
            "aws:lambda/function:Function",
            name,
            role=role.outputs["arn"],
            code=archive({"main.py": code}),
            handler="main.handler",
            runtime="python3.13",
            publish=True,
            **inputs,
        )

    def call(self, target: str, body: Json, caller: Record | None = None) -> tuple[int, Json]:
        """One call of an API of the JSON protocol, by the deployer or by a workload's role."""
        auth = self.signed(routes.SERVICES[target.partition(".")[0]], caller)
        answer = self.http.post("/aws/", json=body, headers={"x-amz-target": target}, auth=auth)
        return answer.status_code, answer.json()

    def signed(self, service: str, caller: Record | None = None) -> Signed:
        """What signs a request to a service, by the deployer or by a workload's role."""
        keys = self.context.access_keys
        id = credentials.access_key(caller.outputs["arn"]) if caller else ""
        return Signed(keys.temporary(id) if caller else keys.deployer, service)


class Signed(httpx.Auth):
    """AWS's own signature of a request."""

    requires_request_body = True

    def __init__(self, key: AccessKey, service: str) -> None:
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        self._signer = signer(Credentials(*key), service, REGION)

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        names = ("host", "content-type", "x-amz-target")
        asked = AWSRequest(
            request.method,
            str(request.url),
            {name: value for name, value in request.headers.items() if name in names},
            request.content,
        )
        self._signer.add_auth(asked)
        request.headers.update(asked.headers.items())
        yield request


def allow(action: str, resource: str) -> Json:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def trust(service: str, account: str = "123456789012") -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _urn(token: str, name: str) -> str:
    return f"urn:pulumi:test::triplane::{token}::{name}"
