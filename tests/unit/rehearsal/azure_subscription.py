"""An Azure subscription of the rehearsal for tests: it creates resources as the engine does, without the engine."""

from __future__ import annotations

from typing import Any, Self

from azure.core.credentials import AccessToken
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from rehearsal.azure import credentials, machine_learning, permissions, routes
from rehearsal.azure.ids import guid
from rehearsal.azure.profile import PROFILE
from rehearsal.azure.resource_type import GROUP, IDENTITY
from rehearsal.core.records import Inputs, Record
from rehearsal.core.schema import Schemas
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle

SCHEMAS = Schemas("azure-native")
READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"


class Subscription:
    """A rehearsed subscription with one resource group, created as the engine does it."""

    def __init__(self, context: Context, group: str = "rg") -> None:
        self.context = context
        self.types = PROFILE.rules()
        self.lifecycle = Lifecycle(context, PROFILE, SCHEMAS)
        self.group = self.create(GROUP, resourceGroupName=group, location="westeurope")
        self.http = TestClient(Starlette(routes=[Mount("/azure", routes=routes.routes(context))]))

    def create(self, token: str, /, **inputs: Any) -> Record:
        rules = self.types[token]
        if token not in (GROUP, permissions.ASSIGNMENT, permissions.DEFINITION):
            inputs.setdefault("resourceGroupName", "rg")
        self.lifecycle.check_name(rules, inputs)
        rules.check(self.context, Inputs(inputs))
        urn = f"urn:pulumi:test::triplane::{token}::thing{len(inputs)}"
        return self.lifecycle.create(token, urn, inputs, [], {"location": "westeurope"})

    def update(self, record: Record, **changes: Any) -> Record:
        inputs = record.inputs | changes
        return self.lifecycle.update(record.token, record.id, record.urn, inputs, [])

    def delete(self, record: Record) -> None:
        self.lifecycle.delete(record.token, record.id)

    def grant(self, principal: str, role: str, scope: str) -> Record:
        if "/" not in role:
            role = f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role}"
        return self.create(
            permissions.ASSIGNMENT,
            roleAssignmentName=guid(principal, role, scope),
            principalId=principal,
            roleDefinitionId=role,
            scope=scope,
        )

    def identity(self, name: str = "worker") -> Record:
        return self.create(IDENTITY, resourceName=name)

    def custom(self, name: str, **permission: list[str]) -> Record:
        return self.create(
            permissions.DEFINITION,
            roleDefinitionId=guid(name),
            roleName=name,
            scope=self.group.id,
            permissions=[permission],
            assignableScopes=[self.group.id],
        )


class Credential:
    """Tokens of one identity of the rehearsal, for Azure's own clients."""

    def __init__(self, context: Context, principal: str) -> None:
        self.context, self.principal = context, principal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Has nothing to close."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(*credentials.token(self.context, self.principal, "client", scopes[0]))


def deployed_endpoint(azure: Subscription) -> Record:
    """An endpoint with two deployments that are only recorded."""
    azure.create(machine_learning.WORKSPACE, workspaceName="space")
    made = azure.create(
        machine_learning.ENDPOINT,
        workspaceName="space",
        endpointName="endpoint",
        location="westeurope",
        properties={"authMode": "AADToken"},
    )
    for name in ("blue", "green"):
        azure.context.save(
            Record(
                *(
                    "azure-native",
                    machine_learning.DEPLOYMENT,
                    f"{made.id}/deployments/{name}",
                    f"u::{name}",
                ),
                inputs={},
                outputs={"name": name},
            )
        )
    return made
