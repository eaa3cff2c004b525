"""The permissions that azure-native needs of the identity in its settings (`azure-native:clientId`), step by step.

It writes a resource with PUT, and reads it before a creation and after each change. It makes the address of a write of the
inputs, and reads and deletes at the id in the state. The two are not the same for a role:
https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/provider/provider.go
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rehearsal.azure import actions, permissions
from rehearsal.azure.ids import group_id
from rehearsal.azure.resource_type import GROUP, IDENTITY, AzureResourceType, field
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

METHODS = {
    "create": ("GET", "PUT"),
    "read": ("GET",),
    "update": ("PUT", "GET"),
    "delete": ("DELETE",),
}
ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
JOIN_PLAN = "Microsoft.Web/serverfarms/join/action"
NAMES = {
    permissions.ASSIGNMENT: ("roleAssignments", "roleAssignmentName"),
    permissions.DEFINITION: ("roleDefinitions", "roleDefinitionId"),
}
"""The types below a scope: the last type in the id, and the input that has the name."""


def require_for_step(
    types: Mapping[str, type[ResourceType]],
    context: Context,
    config: Json,
    step: str,
    token: str,
    inputs: Json,
    existing: Record | None,
) -> None:
    """Raise the Resource Manager's refusal unless the identity of the settings may take this step."""
    client = config.get("clientId")
    identity = next((r for r in context.all(IDENTITY) if r.outputs["clientId"] == client), None)
    if identity is None:
        return  # the deployer
    principal = identity.outputs["principalId"]
    at_id = existing is not None and step in ("read", "delete")
    id_ = existing.id if existing and at_id else _id(types, context, token, inputs)
    needed = [actions.needed(method, id_) for method in METHODS[step]]
    if step in ("create", "update"):
        needed += _linked(inputs)
    for action, scope in needed:
        if not permissions.allowed(context, principal, action, scope):
            raise Refusal(
                "AuthorizationFailed",
                f"The client '{principal}' does not have authorization to perform action '{action}'"
                f" over scope '{scope}'.",
            )


def _linked(inputs: Json) -> Iterator[actions.Needed]:
    """What a resource refers to, and its writer must have a right on."""
    for each in field(inputs, "identity.userAssignedIdentities") or ():
        yield actions.Needed(ASSIGN, each)
    if plan := inputs.get("serverFarmId"):
        yield actions.Needed(JOIN_PLAN, plan)


def _id(types: Mapping[str, type[ResourceType]], context: Context, token: str, inputs: Json) -> str:
    """The address of a write."""
    if token in NAMES:
        kind, name = NAMES[token]
        return f"{inputs['scope']}/providers/Microsoft.Authorization/{kind}/{inputs[name]}"
    group = group_id(context, str(inputs.get("resourceGroupName")))
    if token == GROUP:
        return group
    type_ = types.get(token)
    if type_ is None or not issubclass(type_, AzureResourceType):
        raise Refusal(
            "NotRehearsed", f"the rehearsal does not know which permissions a {token} needs"
        )
    return f"{group}/providers/{type_.path.format(**inputs)}"
