"""Delivery on Azure: a managed identity that GitHub Actions signs in as by its own token."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import authorization, managedidentity

from components import contracts
from components.azure import roles
from components.azure.data_lake import DataLake
from components.azure.foundation import Foundation
from components.azure.identity import Identity
from components.azure.resource_types import (
    ACCOUNT,
    IDENTITY,
    RESOURCE_TYPES,
    ROLE_ASSIGNMENT,
    ROLE_DEFINITION,
)
from components.resource_type import DeployPermissions
from config import github

AUDIENCE = "api://AzureADTokenExchange"
READ_ROLES = f"{ROLE_DEFINITION}/read"
"""Granted on the subscription: there is the id of every custom role, also of one for a resource group, and a refresh reads it there.
Believed: a right in the resource group alone does not reach that id. Documented is what such a right shows: the roles that can be
assigned in the group; and Azure refuses a deletion at the id.
https://learn.microsoft.com/azure/role-based-access-control/custom-roles#who-can-create-delete-update-or-view-a-custom-role
https://github.com/Azure/azure-cli/issues/28354
https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/provider/provider.go"""
PERMISSIONS = [
    each for each in DeployPermissions.of(RESOURCE_TYPES).permissions if each != READ_ROLES
]
"""Granted on the resource group."""

ASSIGN_IDENTITY = f"{IDENTITY}/assign/action"
"""Needed to write a resource that runs as an identity, even if it did so before. Granted on the identities of the
three workloads alone: with the workspace's, an app would be Contributor of the lake's account.
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/identity#managed-identity-operator"""
BLOBS = [f"{ACCOUNT}/blobServices/containers/blobs/{verb}" for verb in ("read", "write")]
"""Granted on the containers that a deployment writes to. Storage Blob Data Contributor could also delete blobs,
which no deployment does, and the containers themselves:
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/storage#storage-blob-data-contributor"""


class Delivery(contracts.Delivery):
    """A managed identity with a federated credential, and four roles, each on the narrowest scope."""

    def __init__(
        self, name: str, args: contracts.DeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:Delivery", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)

        # A managed identity, not an app registration: it is in the subscription, is deleted with the
        # stack, and needs no permissions in the directory to be created.
        identity = managedidentity.UserAssignedIdentity(
            f"{name}-identity",
            resource_group_name=foundation.group.name,
            location=foundation.region,
            tags=foundation.tags,
            opts=child,
        )
        credential = managedidentity.FederatedIdentityCredential(
            f"{name}-github",
            resource_group_name=foundation.group.name,
            resource_name_=identity.name,
            issuer=github.ISSUER,
            subject=args.subject,
            audiences=[AUDIENCE],
            opts=child,
        )
        self._grant(name, foundation, args, identity.principal_id)

        self.identity = identity.client_id
        self.provider = credential.id
        self.register_outputs({"identity": self.identity})

    def _grant(
        self,
        name: str,
        foundation: Foundation,
        args: contracts.DeliveryArgs,
        principal: pulumi.Output[str],
    ) -> None:
        """Deploy into the resource group, assign the workloads' identities, upload to some containers, read roles."""
        child = pulumi.ResourceOptions(parent=self)
        deployer = roles.custom_role(
            f"{name}-role",
            foundation,
            "deployer",
            "Changes what serves; neither how data is kept nor who may do what.",
            authorization.PermissionArgs(actions=PERMISSIONS),
            child,
        )
        roles.assign(
            f"{name}-deploy",
            principal=principal,
            role=deployer.id,
            scope=foundation.group.id,
            opts=child,
        )
        assigner = roles.custom_role(
            f"{name}-assigner",
            foundation,
            "identity assigner",
            "Hands an identity to a service.",
            authorization.PermissionArgs(actions=[ASSIGN_IDENTITY]),
            child,
        )
        for workload in map(Identity.of, args.identities):
            roles.assign(
                f"{name}-as-{workload.label}",
                principal=principal,
                role=assigner.id,
                scope=workload.principal,
                opts=child,
            )
        uploader = roles.custom_role(
            f"{name}-uploader",
            foundation,
            "blob uploader",
            "Reads and writes blobs; deletes none.",
            authorization.PermissionArgs(data_actions=BLOBS),
            child,
        )
        for zone in args.zones:
            roles.assign(
                f"{name}-upload-{zone}",
                principal=principal,
                role=uploader.id,
                scope=DataLake.of(args.lake).containers[zone].id,
                opts=child,
            )
        self._grant_reading_of_roles(name, foundation, principal)

    def _grant_reading_of_roles(
        self, name: str, foundation: Foundation, principal: pulumi.Output[str]
    ) -> None:
        """On the subscription, where a custom role has its id."""
        child = pulumi.ResourceOptions(parent=self)
        subscription = f"/subscriptions/{foundation.subscription}"
        reader = roles.custom_role(
            f"{name}-reader",
            foundation,
            "role reader",
            "Reads roles and who has them; nothing else.",
            # The second, to read this role's own assignment.
            authorization.PermissionArgs(actions=[READ_ROLES, f"{ROLE_ASSIGNMENT}/read"]),
            child,
            scope=subscription,
        )
        roles.assign(
            f"{name}-read-roles",
            principal=principal,
            role=reader.id,
            scope=subscription,
            opts=child,
        )
