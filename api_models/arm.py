"""A record of Azure as the Resource Manager takes it: the body of each PUT, and an ARM template of all."""

from __future__ import annotations

from typing import Any

from policy.record import Plan, Resource

# Resource Manager's type, and the inputs that make up the name; what is not listed cannot be converted.
TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "applicationinsights:Component": ("Microsoft.Insights/components", ("resourceName",)),
    "authorization:RoleAssignment": (
        "Microsoft.Authorization/roleAssignments",
        ("roleAssignmentName",),
    ),
    "authorization:RoleDefinition": (
        "Microsoft.Authorization/roleDefinitions",
        ("roleDefinitionId",),
    ),
    "containerregistry:Registry": ("Microsoft.ContainerRegistry/registries", ("registryName",)),
    "containerregistry:TaskRun": (
        "Microsoft.ContainerRegistry/registries/taskRuns",
        ("registryName", "taskRunName"),
    ),
    "keyvault:Secret": ("Microsoft.KeyVault/vaults/secrets", ("vaultName", "secretName")),
    "keyvault:Vault": ("Microsoft.KeyVault/vaults", ("vaultName",)),
    "machinelearningservices:Datastore": (
        "Microsoft.MachineLearningServices/workspaces/datastores",
        ("workspaceName", "name"),
    ),
    "machinelearningservices:EnvironmentVersion": (
        "Microsoft.MachineLearningServices/workspaces/environments/versions",
        ("workspaceName", "name", "version"),
    ),
    "machinelearningservices:ModelVersion": (
        "Microsoft.MachineLearningServices/workspaces/models/versions",
        ("workspaceName", "name", "version"),
    ),
    "machinelearningservices:OnlineDeployment": (
        "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
        ("workspaceName", "endpointName", "deploymentName"),
    ),
    "machinelearningservices:OnlineEndpoint": (
        "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
        ("workspaceName", "endpointName"),
    ),
    "machinelearningservices:Workspace": (
        "Microsoft.MachineLearningServices/workspaces",
        ("workspaceName",),
    ),
    "managedidentity:FederatedIdentityCredential": (
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
        ("resourceName", "federatedIdentityCredentialResourceName"),
    ),
    "managedidentity:UserAssignedIdentity": (
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        ("resourceName",),
    ),
    "monitor:AutoscaleSetting": ("Microsoft.Insights/autoscalesettings", ("autoscaleSettingName",)),
    "operationalinsights:Workspace": (
        "Microsoft.OperationalInsights/workspaces",
        ("workspaceName",),
    ),
    "resources:ResourceGroup": ("Microsoft.Resources/resourceGroups", ("resourceGroupName",)),
    "storage:BlobContainer": (
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        ("accountName", "containerName"),
    ),
    "storage:BlobServiceProperties": (
        "Microsoft.Storage/storageAccounts/blobServices",
        ("accountName", "blobServicesName"),
    ),
    "storage:ManagementPolicy": (
        "Microsoft.Storage/storageAccounts/managementPolicies",
        ("accountName", "managementPolicyName"),
    ),
    "storage:StorageAccount": ("Microsoft.Storage/storageAccounts", ("accountName",)),
    "web:AppServicePlan": ("Microsoft.Web/serverfarms", ("name",)),
    "web:WebApp": ("Microsoft.Web/sites", ("name",)),
}
# Beside `properties`; azure-native takes whatever else is inside them as inputs of its own.
# https://github.com/Azure/azure-resource-manager-rpc/blob/master/v1.0/common-api-details.md
ENVELOPE = {"location", "tags", "sku", "kind", "identity", "plan", "zones", "extendedLocation"}
# azure-native's names for properties that are called otherwise on the wire.
WIRE = {
    ("azure-native:authorization:RoleDefinition", "roleType"): "type",
    ("azure-native:storage:StorageAccount", "enableHttpsTrafficOnly"): "supportsHttpsTrafficOnly",
}
# Types whose `sku` is inside `properties` all the same.
SKU_INSIDE = {"azure-native:operationalinsights:Workspace", "azure-native:keyvault:Vault"}
PLACE = {"resourceGroupName", "scope"}


def convertible(resource: Resource) -> bool:
    """Whether Resource Manager's name for the type is known here."""
    return resource.type.removeprefix("azure-native:") in TYPES


def body(resource: Resource) -> dict[str, Any]:
    """What is sent to create the resource."""
    _, names = TYPES[resource.type.removeprefix("azure-native:")]
    given = {key: value for key, value in resource.inputs.items() if key not in {*names, *PLACE}}
    outside = ENVELOPE - {"sku"} if resource.type in SKU_INSIDE else ENVELOPE
    result = {key: given.pop(key) for key in list(given) if key in outside}
    result["properties"] = {
        **given.pop("properties", {}),
        **{WIRE.get((resource.type, key), key): value for key, value in given.items()},
    }
    identities = (result.get("identity") or {}).get("userAssignedIdentities")
    if isinstance(identities, list):  # a list goes in, a map by id goes over the wire
        result["identity"] = {
            **result["identity"],
            "userAssignedIdentities": {each: {} for each in identities},
        }
    return result


def template(plan: Plan) -> tuple[dict[str, Any], list[Resource]]:
    """The ARM template, and the resources that have no place in it.

    https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax
    """
    ours = [each for each in plan if convertible(each)]
    resources = []
    for each in ours:
        type_, names = TYPES[each.type.removeprefix("azure-native:")]
        *parents, own = (each.inputs.get(name) for name in names)
        name = "/".join(str(part) for part in [*parents, own or each.id])
        resources.append({"type": type_, "apiVersion": "2024-01-01", "name": name, **body(each)})
    document = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": resources,
    }
    return document, [each for each in plan if each not in ours]
