"""Azure: who may do what, and whose tokens are trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api_models.resource import Plan, Resource
from policy.checks import Check, inexact_subject, untrusted_issuer
from policy.rules import LEAST_PRIVILEGE, TRUST

ASSIGNMENT = "azure-native:authorization:RoleAssignment"
DEFINITION = "azure-native:authorization:RoleDefinition"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"
KNOWN_TYPES = {
    ASSIGNMENT,
    DEFINITION,
    CREDENTIAL,
    "azure-native:managedidentity:UserAssignedIdentity",  # its role assignments say what it may do
}
"""The types of Azure's authorization and identities that the rules examine."""
# Azure's built-in roles that may be assigned. Any other is not known, and may allow as much as Owner.
# The ids are the same in every tenant: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ALLOWED_ROLES = {
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
}
# Roles that allow too much, except where `BROAD_BECAUSE` has a reason.
BROAD_ROLES = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
}
BROAD_BECAUSE = {
    # Azure ML's documentation asks for these on the workspace's own account, vault and insights:
    # https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication#workspace
    "-workspace-": {"Contributor", "Key Vault Administrator"},
}
# Scopes above the resources of a stack: everything, a subscription, a management group.
# https://learn.microsoft.com/azure/role-based-access-control/scope-overview
TOO_WIDE = re.compile(r"/?(subscriptions/[^/]+)?/?|.*microsoft\.management/managementgroups/.*")
SUBSCRIPTION = re.compile(r"/?subscriptions/[^/]+/?")
# Of a subscription a role of the stack may read these: custom roles have their ids there, and so has this role's assignment.
READ_IN_SUBSCRIPTION = {
    "microsoft.authorization/roleassignments/read",
    "microsoft.authorization/roledefinitions/read",
}
# Actions that extend permissions: an assignment, a change of a role, one more trusted token.
EXTENDS_PERMISSIONS = re.compile(
    r"microsoft\.authorization/.*(?<!/read)|.*/federatedidentitycredentials/write"
)
AUDIENCES = ["api://AzureADTokenExchange"]


def last_part(identifier: object) -> str:
    """The last part of a resource's id, in lower case: Azure compares ids in any case.

    https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
    """
    return str(identifier).rpartition("/")[2].lower()


def unknown_identity_type(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in KNOWN_TYPES:
        yield f"no rule knows what a {resource.type} grants: add a check to policy/access/azure.py first"


def broad_assignment(assignment: Resource, plan: Plan) -> Iterator[str]:
    role = last_part(assignment.inputs.get("roleDefinitionId"))
    broad = BROAD_ROLES.get(role)
    excepted = (roles for part, roles in BROAD_BECAUSE.items() if part in assignment.name)
    of_this_stack = {
        last_part(name): each
        for each in plan
        if each.type == DEFINITION
        for name in (each.id, each.inputs.get("roleDefinitionId"))
    }
    if broad and broad not in set().union(*excepted):
        yield f"grants {broad}"
    elif not broad and role not in {*ALLOWED_ROLES, *of_this_stack}:
        yield f"grants {role}; no rule knows what it allows"
    scope = str(assignment.inputs.get("scope"))
    reads_roles = SUBSCRIPTION.fullmatch(scope.lower()) and _reads_roles(of_this_stack.get(role))
    if TOO_WIDE.fullmatch(scope.lower()) and not reads_roles:
        yield f"grants a role on the whole of {scope or '/'}"


def _reads_roles(role: Resource | None) -> bool:
    """Whether a role of the stack allows to read roles and assignments, and nothing else."""
    return role is not None and all(
        {each.lower() for each in permission.get("actions", [])} <= READ_IN_SUBSCRIPTION
        and not permission.get("dataActions")
        for permission in role.inputs["permissions"]
    )


def broad_definition(role: Resource, _plan: Plan) -> Iterator[str]:
    for permission in role.inputs.get("permissions") or []:
        for action in [*permission.get("actions", []), *permission.get("dataActions", [])]:
            if "*" in action or EXTENDS_PERMISSIONS.fullmatch(action.lower()):
                yield f"allows {action}"


def inexact_trust(credential: Resource, _plan: Plan) -> Iterator[str]:
    """A problem, unless the credential trusts one subject of a known issuer.

    https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust-user-assigned-managed-identity
    """
    yield from untrusted_issuer(credential.inputs.get("issuer"))
    yield from inexact_subject(credential.inputs.get("subject"))
    if credential.inputs.get("audiences") != AUDIENCES:
        yield f"trusts tokens for {credential.inputs.get('audiences')}; Azure's own is {AUDIENCES}"


CHECKS = (
    Check(
        LEAST_PRIVILEGE,
        ("azure-native:authorization*", "azure-native:managedidentity*"),
        unknown_identity_type,
    ),
    Check(LEAST_PRIVILEGE, (ASSIGNMENT,), broad_assignment),
    Check(LEAST_PRIVILEGE, (DEFINITION,), broad_definition),
    Check(TRUST, (CREDENTIAL,), inexact_trust),
)
