"""Delivery on Azure: a managed identity that GitHub Actions signs in as by its own token."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import authorization, managedidentity

from components import contracts
from components.azure import roles
from components.azure.data_lake import DataLake
from components.azure.foundation import Foundation
from components.azure.identity import Identity
from components.azure.resource_types import ACCOUNT, IDENTITY, RESOURCE_TYPES
from components.resource_type import DeployPermissions
from config import github

AUDIENCE = "api://AzureADTokenExchange"
PERMISSIONS = DeployPermissions.of(RESOURCE_TYPES).permissions


ASSIGN_IDENTITY = f"{IDENTITY}/assign/action"
"""Asked of whoever writes a resource that runs as an identity, even when it did before. Held on the three
workloads' identities alone: with the workspace's, an app would be Contributor of the lake's account.
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/identity#managed-identity-operator"""
BLOBS = [f"{ACCOUNT}/blobServices/containers/blobs/{verb}" for verb in ("read", "write")]
"""Held in the containers that a deployment writes to. Storage Blob Data Contributor would add the right to
delete blobs, which no deployment does, and the containers themselves:
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/storage#storage-blob-data-contributor"""


class Delivery(contracts.Delivery):
    """A managed identity with a federated credential, and three roles, each on the least that takes it."""

    def __init__(
        self, name: str, args: contracts.DeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:Delivery", name, {}, opts)
        foundation, lake = args.foundation, args.lake
        assert isinstance(foundation, Foundation)
        assert isinstance(lake, DataLake)
        child = pulumi.ResourceOptions(parent=self)

        # A managed identity, not an app registration: it lives in the subscription, is deleted with
        # the stack, and needs no rights in the directory to be made.
        identity = managedidentity.UserAssignedIdentity(
            f"{name}-identity",
            resource_group_name=foundation.group.name,
            location=foundation.location,
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
        deployer = roles.custom(
            f"{name}-role",
            foundation,
            "deployer",
            "Changes what serves; neither how data is kept nor who may do what.",
            authorization.PermissionArgs(actions=PERMISSIONS),
            child,
        )
        roles.assign(
            f"{name}-deploy",
            principal=identity.principal_id,
            role=deployer.id,
            scope=foundation.group.id,
            opts=child,
        )
        assigner = roles.custom(
            f"{name}-assigner",
            foundation,
            "identity assigner",
            "Hands an identity to a service.",
            authorization.PermissionArgs(actions=[ASSIGN_IDENTITY]),
            child,
        )
        for workload in args.identities:
            assert isinstance(workload, Identity)
            roles.assign(
                f"{name}-as-{workload.workload}",
                principal=identity.principal_id,
                role=assigner.id,
                scope=workload.principal,
                opts=child,
            )
        uploader = roles.custom(
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
                principal=identity.principal_id,
                role=uploader.id,
                scope=lake.containers[zone].id,
                opts=child,
            )

        self.identity = identity.client_id
        self.provider = credential.id
        self.register_outputs({"identity": self.identity})
