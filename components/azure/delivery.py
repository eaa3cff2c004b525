"""Delivery on Azure: a managed identity that GitHub Actions signs in as by its own token."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import authorization, managedidentity

from components import contracts as c
from components.azure import roles
from components.azure.data_lake import DataLake
from components.azure.foundation import Foundation

AUDIENCE = "api://AzureADTokenExchange"


def _all(*types: str) -> list[str]:
    return [f"{each}/{verb}" for each in types for verb in ("read", "write", "delete")]


def _kept(*types: str) -> list[str]:
    return [f"{each}/{verb}" for each in types for verb in ("read", "write")]


REGISTRY = "Microsoft.ContainerRegistry/registries"
WORKSPACE = "Microsoft.MachineLearningServices/workspaces"
STORAGE = "Microsoft.Storage/storageAccounts"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"

# https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
REACH = c.Reach(
    runs={
        "azure-native:applicationinsights:Component": _all("Microsoft.Insights/components"),
        "azure-native:containerregistry:TaskRun": [
            *_all(f"{REGISTRY}/taskruns"),
            f"{REGISTRY}/runs/read",
            f"{REGISTRY}/scheduleRun/action",
        ],
        "azure-native:machinelearningservices:Datastore": _all(f"{WORKSPACE}/datastores"),
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
        ],
        "pulumi-python:dynamic/triplane:AzureBlobFolder": [],  # data, not control: the second `assign` below
        "pulumi-python:dynamic/triplane:AzureEndpointTraffic": _kept(
            f"{WORKSPACE}/onlineEndpoints"
        ),
        "pulumi-python:dynamic/triplane:RandomKey": [],
    },
    holds={
        "azure-native:containerregistry:Registry": _kept(REGISTRY),
        # Writing a secret's value; the vault's values themselves it cannot read.
        "azure-native:keyvault:Secret": _kept("Microsoft.KeyVault/vaults/secrets"),
        "azure-native:keyvault:Vault": _kept("Microsoft.KeyVault/vaults"),
        "azure-native:machinelearningservices:Workspace": _kept(WORKSPACE),
        "azure-native:operationalinsights:Workspace": _kept(
            "Microsoft.OperationalInsights/workspaces"
        ),
        "azure-native:resources:ResourceGroup": _kept(
            "Microsoft.Resources/subscriptions/resourceGroups"
        ),
        "azure-native:storage:BlobContainer": _kept(f"{STORAGE}/blobServices/containers"),
        "azure-native:storage:BlobServiceProperties": _kept(f"{STORAGE}/blobServices"),
        "azure-native:storage:ManagementPolicy": _kept(f"{STORAGE}/managementPolicies"),
        "azure-native:storage:StorageAccount": _kept(STORAGE),
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
        # `assign` hands an identity of this resource group to a service, which grants it nothing.
        "azure-native:managedidentity:UserAssignedIdentity": [
            f"{IDENTITY}/read",
            f"{IDENTITY}/assign/action",
        ],
    },
)


class Delivery(c.Delivery):
    """A managed identity with a federated credential, and one role in the platform's resource group."""

    def __init__(
        self, name: str, args: c.DeliveryArgs, opts: pulumi.ResourceOptions | None = None
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
            issuer=c.GITHUB,
            subject=args.subject,
            audiences=[AUDIENCE],
            opts=child,
        )
        role = roles.custom(
            f"{name}-role",
            foundation,
            "deployer",
            "Changes what serves; deletes no data and grants no rights.",
            authorization.PermissionArgs(actions=REACH.permissions),
            child,
        )
        roles.assign(
            f"{name}-deploy",
            principal=identity.principal_id,
            role=role.id,
            scope=foundation.group.id,
            opts=child,
        )
        for zone in args.zones:
            roles.assign(
                f"{name}-upload-{zone}",
                principal=identity.principal_id,
                role=roles.built_in(foundation, "Storage Blob Data Contributor"),
                scope=lake.containers[zone].id,
                opts=child,
            )

        self.identity = identity.client_id
        self.provider = credential.id
        self.register_outputs({"identity": self.identity})
