"""Delivery on Azure: a managed identity that GitHub Actions signs in as by its own token."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import authorization, managedidentity

from components import contracts
from components.azure import roles
from components.azure.data_lake import DataLake
from components.azure.foundation import Foundation
from components.azure.identity import Identity
from config import github

AUDIENCE = "api://AzureADTokenExchange"


def _all(*types: str) -> list[str]:
    return [f"{each}/{verb}" for each in types for verb in ("read", "write", "delete")]


def _kept(*types: str) -> list[str]:
    return [f"{each}/{verb}" for each in types for verb in ("read", "write")]


def _seen(*types: str) -> list[str]:
    return [f"{each}/read" for each in types]


REGISTRY = "Microsoft.ContainerRegistry/registries"
WORKSPACE = "Microsoft.MachineLearningServices/workspaces"
STORAGE = "Microsoft.Storage/storageAccounts"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"

# https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
REACH = contracts.Reach(
    runs={
        "azure-native:containerregistry:TaskRun": [
            *_all(f"{REGISTRY}/taskruns"),
            f"{REGISTRY}/runs/read",
            f"{REGISTRY}/scheduleRun/action",
        ],
        "azure-native:machinelearningservices:EnvironmentVersion": _all(
            f"{WORKSPACE}/environments/versions"
        ),
        "azure-native:machinelearningservices:ModelVersion": _all(f"{WORKSPACE}/models/versions"),
        "azure-native:machinelearningservices:OnlineDeployment": _all(
            f"{WORKSPACE}/onlineEndpoints/deployments"
        ),
        "azure-native:machinelearningservices:OnlineEndpoint": _all(f"{WORKSPACE}/onlineEndpoints"),
        "azure-native:monitor:AutoscaleSetting": _all("Microsoft.Insights/autoscalesettings"),
        "azure-native:web:AppServicePlan": _all("Microsoft.Web/serverfarms"),
        "azure-native:web:WebApp": [
            *_all("Microsoft.Web/sites"),
            *_kept("Microsoft.Web/sites/config"),
            "Microsoft.Web/sites/config/list/action",
            # Asked of whoever writes an app that names a plan.
            # https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/web-and-mobile#website-contributor
            "Microsoft.Web/serverfarms/join/action",
        ],
        "pulumi-python:dynamic/triplane:AzureBlobFolder": [],  # data, not control: `BLOBS`
        "pulumi-python:dynamic/triplane:AzureEndpointTraffic": _kept(
            f"{WORKSPACE}/onlineEndpoints"
        ),
        "pulumi-python:dynamic/triplane:RandomKey": [],
    },
    holds={
        "azure-native:applicationinsights:Component": _seen("Microsoft.Insights/components"),
        "azure-native:containerregistry:Registry": _seen(REGISTRY),
        # Writing a secret's value; the vault's values themselves it cannot read.
        "azure-native:keyvault:Secret": _kept("Microsoft.KeyVault/vaults/secrets"),
        "azure-native:keyvault:Vault": _seen("Microsoft.KeyVault/vaults"),
        "azure-native:machinelearningservices:Datastore": _seen(f"{WORKSPACE}/datastores"),
        # Writing a workspace takes `HAND_OVER` of its identity, which owns more than any workload.
        "azure-native:machinelearningservices:Workspace": _seen(WORKSPACE),
        "azure-native:operationalinsights:Workspace": _seen(
            "Microsoft.OperationalInsights/workspaces"
        ),
        "azure-native:resources:ResourceGroup": _seen(
            "Microsoft.Resources/subscriptions/resourceGroups"
        ),
        "azure-native:storage:BlobContainer": _seen(f"{STORAGE}/blobServices/containers"),
        "azure-native:storage:BlobServiceProperties": _seen(f"{STORAGE}/blobServices"),
        "azure-native:storage:ManagementPolicy": _seen(f"{STORAGE}/managementPolicies"),
        "azure-native:storage:StorageAccount": _seen(STORAGE),
    },
    grants={
        "azure-native:authorization:RoleAssignment": [
            "Microsoft.Authorization/roleAssignments/read"
        ],
        "azure-native:authorization:RoleDefinition": [
            "Microsoft.Authorization/roleDefinitions/read"
        ],
        "azure-native:managedidentity:FederatedIdentityCredential": [
            f"{IDENTITY}/federatedIdentityCredentials/read"
        ],
        "azure-native:managedidentity:UserAssignedIdentity": _seen(IDENTITY),
    },
)
HAND_OVER = f"{IDENTITY}/assign/action"
"""Asked of whoever writes a resource that runs as an identity, even when it did before. Held on the three
workloads' identities alone: with the workspace's, an app would be Contributor of the lake's account.
https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/identity#managed-identity-operator"""
BLOBS = [f"{STORAGE}/blobServices/containers/blobs/{verb}" for verb in ("read", "write")]
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
            issuer=github.GITHUB,
            subject=args.subject,
            audiences=[AUDIENCE],
            opts=child,
        )
        deployer = roles.custom(
            f"{name}-role",
            foundation,
            "deployer",
            "Changes what serves; neither how data is kept nor who may do what.",
            authorization.PermissionArgs(actions=REACH.permissions),
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
            authorization.PermissionArgs(actions=[HAND_OVER]),
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
