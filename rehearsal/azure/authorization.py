"""Authorization: custom roles and role assignments. `permissions` evaluates them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rehearsal.azure import conditions, permissions
from rehearsal.azure.ids import same, within
from rehearsal.azure.resource_type import IDENTITY
from rehearsal.core.behaviour import GRANT_DELAYS
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

PACKAGE = "azure-native"
GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class RoleDefinition(ResourceType):
    """A custom role."""

    token = permissions.DEFINITION
    is_grant = True
    source = "https://learn.microsoft.com/azure/role-based-access-control/custom-roles"
    executes = "checked wherever the rehearsal checks roles"
    name = Name(
        property="roleDefinitionId",
        pattern=GUID,
        max=36,
        rule="a GUID",
        form="uuid",
        taken="RoleDefinitionAlreadyExists",
    )

    def create(self, context: Context, record: Record) -> None:
        title = record.inputs.get("roleName")
        if any(r.inputs.get("roleName") == title for r in context.all(self.token)):
            raise Refusal(
                "RoleDefinitionWithSameNameExists",
                f"A custom role with the name '{title}' exists already in this directory; the names"
                " of custom roles are unique in it.",
            )
        identifier = record.inputs["roleDefinitionId"]
        # Not at its scope: https://github.com/Azure/azure-cli/issues/28354
        record.id = (
            f"/subscriptions/{context.account.azure_subscription}"
            f"/providers/Microsoft.Authorization/roleDefinitions/{identifier}"
        )
        record.outputs |= {"name": identifier, "type": "Microsoft.Authorization/roleDefinitions"}

    def delete(self, context: Context, record: Record) -> None:
        if any(
            same(r.inputs["roleDefinitionId"], record.id)
            for r in context.all(permissions.ASSIGNMENT)
        ):
            raise Refusal(
                "RoleDefinitionHasAssignments",
                "There are existing role assignments referencing role "
                f"(code: {record.outputs['name']}); delete them first.",
            )


class RoleAssignment(ResourceType):
    """A role for a principal on a scope."""

    token = permissions.ASSIGNMENT
    is_grant = True
    source = "https://learn.microsoft.com/azure/role-based-access-control/troubleshooting"
    executes = "checked at the scoring route, the blobs (with its condition), image pulls and pushes, and Key Vault references"
    replace_on = frozenset({"principalId", "roleDefinitionId", "scope"})
    name = Name(
        property="roleAssignmentName",
        pattern=GUID,
        max=36,
        rule="a GUID",
        form="uuid",
        unique=("scope",),
        taken="RoleAssignmentExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        condition = inputs.get("condition")
        if not condition:
            return
        try:
            conditions.check(condition)
        except conditions.Unsupported as unsupported:
            raise CheckFailure("condition", f"{unsupported}; Azure may take it") from None
        if inputs.get("conditionVersion", conditions.VERSION) != conditions.VERSION:
            raise CheckFailure(
                "conditionVersion", f"a condition has the version {conditions.VERSION}"
            )

    def create(self, context: Context, record: Record) -> None:
        wanted = {key: record.inputs[key] for key in ("principalId", "roleDefinitionId", "scope")}
        for other in context.all(self.token):
            if all(same(other.inputs[key], value) for key, value in wanted.items()):
                raise Refusal("RoleAssignmentExists", "The role assignment already exists.")
        principal = wanted["principalId"]
        if principal != context.account.azure_object and not context.find(
            IDENTITY, principalId=principal
        ):
            raise Refusal(
                "PrincipalNotFound",
                f"Principal {principal.replace('-', '')} does not exist in the directory"
                f" {context.account.azure_tenant}. Check that you have the correct principal ID.",
            )
        actual = context.account.azure_principal_type
        if principal != context.account.azure_object:
            actual = "ServicePrincipal"  # a managed identity's
        if record.inputs.get("principalType", actual) != actual:
            # The last word but one is so in Azure's message: https://github.com/Azure/azure-dev/issues/3581
            raise Refusal(
                "UnmatchedPrincipalType",
                f"The PrincipalId '{principal.replace('-', '')}' has type '{actual}' , which is different"
                f" from specified PrinciaplType '{record.inputs['principalType']}'.",
            )
        record.outputs["principalType"] = actual
        role = wanted["roleDefinitionId"]
        custom = permissions.custom_role(context, role)
        if custom is None and role.rpartition("/")[2] not in permissions.BUILT_IN:
            raise Refusal(
                "RoleDefinitionDoesNotExist",
                f"The specified role definition with ID '{role.rpartition('/')[2]}' does not exist.",
            )
        scope = wanted["scope"]
        if custom and not any(within(scope, s) for s in custom.inputs["assignableScopes"]):
            raise Refusal(
                "RoleAssignmentScopeNotAssignableToRoleDefinition",
                f"The custom role '{custom.inputs['roleName']}' is not assignable at '{scope}'.",
            )
        identifier = record.inputs["roleAssignmentName"]
        record.id = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{identifier}"
        record.outputs |= {
            "name": identifier,
            "type": "Microsoft.Authorization/roleAssignments",
            "createdOn": _creation_time(context),
        }


def _creation_time(context: Context) -> str:
    """When an assignment was created, by the shortened clock: what is in force after ten minutes is so at that age."""
    until_in_force = context.behaviour.grant_delay(PACKAGE, permissions.ASSIGNMENT)
    # The delay begins when the record is stored, a moment after this.
    moment = 0.5 if until_in_force else 0.0
    age = timedelta(seconds=GRANT_DELAYS[PACKAGE] - until_in_force - moment)
    return (datetime.now(UTC) - age).isoformat()
