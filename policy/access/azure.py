"""Who may do what on Azure, and whose tokens are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy import rules
from policy.record import Plan, Resource

ASSIGNMENT = "azure-native:authorization:RoleAssignment"
DEFINITION = "azure-native:authorization:RoleDefinition"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"
READ = {
    ASSIGNMENT,
    DEFINITION,
    CREDENTIAL,
    "azure-native:managedidentity:UserAssignedIdentity",  # may do what it is assigned
}
"""The types of Azure's authorization and identities that the rules read."""
# Azure's own roles that may be assigned; any other is unread, and may be Owner by another name.
# The ids are the same in every tenant: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
}
# Roles that are too much, but for what is named below.
BROAD_ROLES = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
}
BROAD_BECAUSE = {
    # Azure ML's workspace needs these on its own account, vault and insights, and says so:
    # https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication#workspace
    "-workspace-": {"Contributor", "Key Vault Administrator"},
}
# Everything, a subscription, a management group: above what a stack makes.
# https://learn.microsoft.com/azure/role-based-access-control/scope-overview
ABOVE = re.compile(r"/?(subscriptions/[^/]+)?/?|.*microsoft\.management/managementgroups/.*")
# Actions that widen somebody's rights: an assignment, a role's contents, or one more trusted token.
WIDENS = re.compile(r"microsoft\.authorization/.*(?<!/read)|.*/federatedidentitycredentials/write")
AUDIENCES = ["api://AzureADTokenExchange"]


def last(identifier: object) -> str:
    """The last part of a resource's id; ids are compared in any case.

    https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
    """
    return str(identifier).rpartition("/")[2].lower()


@rules.LEAST_PRIVILEGE.on("azure-native:authorization*", "azure-native:managedidentity*")
def _unread(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in READ:
        yield f"no rule knows what a {resource.type} grants: read it in policy/access/azure.py first"


@rules.LEAST_PRIVILEGE.on(ASSIGNMENT)
def _narrow(assignment: Resource, plan: Plan) -> Iterator[str]:
    role = last(assignment.inputs.get("roleDefinitionId"))
    broad = BROAD_ROLES.get(role)
    allowed = (roles for part, roles in BROAD_BECAUSE.items() if part in assignment.name)
    own = {
        last(name)
        for each in plan
        if each.type == DEFINITION
        for name in (each.id, each.inputs.get("roleDefinitionId"))
    }
    if broad and broad not in set().union(*allowed):
        yield f"grants {broad}"
    elif not broad and role not in {*ROLES, *own}:
        yield f"grants {role}, of which no rule knows what it allows"
    scope = str(assignment.inputs.get("scope"))
    if ABOVE.fullmatch(scope.lower()):
        yield f"grants a role on the whole of {scope or '/'}"


@rules.LEAST_PRIVILEGE.on(DEFINITION)
def _no_wildcards(role: Resource, _plan: Plan) -> Iterator[str]:
    for permission in role.inputs.get("permissions") or []:
        for action in [*permission.get("actions", []), *permission.get("dataActions", [])]:
            if "*" in action or WIDENS.fullmatch(action.lower()):
                yield f"allows {action}"


@rules.TRUST.on(CREDENTIAL)
def _one_subject(credential: Resource, _plan: Plan) -> Iterator[str]:
    """https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust-user-assigned-managed-identity"""
    yield from rules.issuer(credential.inputs.get("issuer"))
    yield from rules.subject(credential.inputs.get("subject"))
    if credential.inputs.get("audiences") != AUDIENCES:
        yield f"takes tokens for {credential.inputs.get('audiences')}; Azure's own is {AUDIENCES}"
