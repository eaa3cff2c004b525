"""Roles on Azure, and their assignments.

Built-in roles and their ids: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import cast

import pulumi
from pulumi_azure_native import authorization

from components.azure.foundation import Foundation

BUILT_IN = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
}

BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
READ = f"{BLOBS}/read"
CONDITION_VERSION = "2.0"
"""The only one that the portal's editor and new conditions have.
https://learn.microsoft.com/azure/role-based-access-control/conditions-role-assignments-rest"""


def built_in(foundation: Foundation, role: str) -> str:
    """The resource id of a built-in role."""
    return (
        f"/subscriptions/{foundation.subscription}"
        f"/providers/Microsoft.Authorization/roleDefinitions/{BUILT_IN[role]}"
    )


def blob_creator(
    name: str, foundation: Foundation, opts: pulumi.ResourceOptions
) -> authorization.RoleDefinition:
    """A role that creates blobs and can neither read, nor overwrite, nor delete one.

    There is no such built-in role: Storage Blob Data Contributor reads and deletes. ``blobs/add/action``
    allows Put Blob for a blob that is not there yet, and nothing else.
    https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory#permissions-for-blob-service-operations
    """
    return custom_role(
        name,
        foundation,
        "blob creator",
        "Creates blobs; neither reads nor overwrites nor deletes them.",
        authorization.PermissionArgs(
            data_actions=[
                "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action"
            ]
        ),
        opts,
    )


def reading_condition(folders: Sequence[str], files: Sequence[str]) -> str:
    """The condition that a blob that is read is below one of these folders; or is one of some files there, by their names.

    A listing has no path, but a prefix. Who may read some files only may not list the others: the path that the one
    condition on all reading compares is then missing, so that it is false (believed).
    https://learn.microsoft.com/azure/role-based-access-control/conditions-format
    https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-attributes
    """
    below = _any_of(f"{folder}*" for folder in folders)
    if files:
        named = _any_of(f"{folder}*/{file}" for folder in folders for file in files)
        return f"((!(ActionMatches{{'{READ}'}})) OR (@Resource[{BLOBS}:path] {named}))"
    listing = f"ActionMatches{{'{READ}'}} AND SubOperationMatches{{'Blob.List'}}"
    other = f"ActionMatches{{'{READ}'}} AND NOT SubOperationMatches{{'Blob.List'}}"
    return (
        f"((!({other})) OR (@Resource[{BLOBS}:path] {below}))"
        f" AND ((!({listing})) OR (@Request[{BLOBS}:prefix] {below}))"
    )


def _any_of(patterns: Iterable[str]) -> str:
    listed = ", ".join(f"'{pattern}'" for pattern in patterns)
    return f"ForAnyOfAnyValues:StringLike {{{listed}}}"


def endpoint_caller(
    name: str, foundation: Foundation, opts: pulumi.ResourceOptions
) -> authorization.RoleDefinition:
    """A role that requests predictions of an online endpoint.

    The built-in roles that may score (AzureML Data Scientist, Contributor) may also change the endpoint; the
    documentation recommends to create this role.
    https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint
    """
    return custom_role(
        name,
        foundation,
        "endpoint caller",
        "Asks online endpoints for predictions.",
        authorization.PermissionArgs(
            actions=["Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"]
        ),
        opts,
    )


def custom_role(
    name: str,
    foundation: Foundation,
    title: str,
    description: str,
    permission: authorization.PermissionArgs,
    opts: pulumi.ResourceOptions,
    *,
    scope: str | None = None,
) -> authorization.RoleDefinition:
    """A custom role that can be assigned in this platform's resource group only, or only in ``scope``.

    Its id is at the subscription in either case: azure-native keeps the one of the answer, and reads the role there.
    https://github.com/hashicorp/terraform-provider-azurerm/blob/main/internal/services/authorization/role_definition_resource.go
    """
    group = foundation.group
    assignable = group.id if scope is None else pulumi.Output.from_input(scope)
    return authorization.RoleDefinition(
        name,
        scope=assignable,
        # The id must be a GUID. It is made of the group and the title, so that a stack whose state was
        # lost finds the role again, instead of an error about its name, which is unique in the tenant.
        role_definition_id=group.id.apply(lambda group_id: guid(group_id, title)),
        role_name=pulumi.Output.concat("Triplane ", title, " (", group.name, ")"),
        role_type="CustomRole",
        description=description,
        permissions=[permission],
        assignable_scopes=[assignable],
        opts=opts,
    )


def assign(
    name: str,
    *,
    principal: pulumi.Input[str],
    role: pulumi.Input[str],
    scope: pulumi.Input[str],
    principal_type: pulumi.Input[str] = authorization.PrincipalType.SERVICE_PRINCIPAL,
    condition: str | None = None,
    opts: pulumi.ResourceOptions,
) -> authorization.RoleAssignment:
    """Give a principal a role on a scope.

    The name is a GUID made of the three: Azure refuses a second assignment of the same three
    (RoleAssignmentExists), and with the same name it is the same resource. With the principal type Azure does not
    look up a principal that is so new that not all of Entra ID has it yet (PrincipalNotFound).
    https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#symptom---assigning-a-role-to-a-new-principal-sometimes-fails

    Another role or scope is another name, so it is granted before the former one is taken away: azure-native would
    delete first, and a new grant takes up to ten minutes.
    https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#symptom---role-assignment-changes-are-not-being-detected
    """
    return authorization.RoleAssignment(
        name,
        role_assignment_name=pulumi.Output.all(scope, principal, role).apply(
            lambda parts: guid(*parts)
        ),
        principal_id=principal,
        principal_type=principal_type,
        role_definition_id=role,
        scope=scope,
        condition=condition,
        condition_version=CONDITION_VERSION if condition else None,
        opts=pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(delete_before_replace=False), opts
        ),
    )


def assign_deployer(
    name: str,
    foundation: Foundation,
    *,
    role: str,
    scope: pulumi.Input[str],
    parent: pulumi.Resource,
) -> authorization.RoleAssignment:
    """Grant a built-in role to the initial deployer.

    Every other deployer needs such a role, too, and a pipeline has one from `Delivery`. If the role went to
    whoever deploys, it would change with every run by another principal.
    """
    return assign(
        name,
        principal=foundation.deployer,
        # A person, or a service principal in a pipeline: it is an existing principal, and Azure looks it up. Plain None
        # would not leave it out: the SDK makes "User" of it, and Azure refuses that for a service principal
        # (UnmatchedPrincipalType). https://github.com/Azure/azure-dev/issues/3581
        principal_type=pulumi.Output.from_input(cast("str", None)),
        role=built_in(foundation, role),
        scope=scope,
        opts=pulumi.ResourceOptions(
            parent=parent,
            # The type, too: earlier versions wrote "User".
            ignore_changes=["principalId", "principalType", "roleAssignmentName"],
            # Its name never changes, so another role must take the place of the former one.
            delete_before_replace=True,
        ),
    )


def guid(*parts: str) -> str:
    """A GUID that depends on ``parts`` alone."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(part.lower() for part in parts)))
