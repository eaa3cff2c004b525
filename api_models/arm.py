"""Azure resources as Resource Manager receives them: the body of each PUT, and a plan as an ARM template."""

from __future__ import annotations

from typing import Any

from api_models.resource import Plan, Resource

# Resource Manager's type, and the inputs that form the name. A type that is not listed cannot be converted.
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
    "web:WebAppFtpAllowed": ("Microsoft.Web/sites/basicPublishingCredentialsPolicies", ("name",)),
    "web:WebAppScmAllowed": ("Microsoft.Web/sites/basicPublishingCredentialsPolicies", ("name",)),
}
# The name's last part, of what a resource has one of.
SINGLETONS = {"web:WebAppFtpAllowed": "ftp", "web:WebAppScmAllowed": "scm"}
# The members beside `properties`. azure-native takes the members of `properties` as inputs of their own.
# https://github.com/Azure/azure-resource-manager-rpc/blob/master/v1.0/common-api-details.md
ENVELOPE = {"location", "tags", "sku", "kind", "identity", "plan", "zones", "extendedLocation"}
# Properties that have another name in the request than in azure-native. Application Insights begins most with a capital:
# https://learn.microsoft.com/azure/templates/microsoft.insights/components
REQUEST_NAMES = {
    **{
        (
            "azure-native:applicationinsights:Component",
            name[0].lower() + name[1:].replace("_", ""),
        ): name
        for name in (
            "Application_Type",
            "DisableIpMasking",
            "DisableLocalAuth",
            "Flow_Type",
            "ForceCustomerStorageForProfiler",
            "HockeyAppId",
            "ImmediatePurgeDataOn30Days",
            "IngestionMode",
            "Request_Source",
            "RetentionInDays",
            "SamplingPercentage",
            "WorkspaceResourceId",
        )
    },
    ("azure-native:authorization:RoleDefinition", "roleType"): "type",
    ("azure-native:storage:StorageAccount", "enableHttpsTrafficOnly"): "supportsHttpsTrafficOnly",
}
# Types whose `sku` is a member of `properties`.
SKU_INSIDE = {"azure-native:operationalinsights:Workspace", "azure-native:keyvault:Vault"}
# Inputs that say where the resource is. They are part of the URL.
LOCATION_INPUTS = {"resourceGroupName", "scope"}


def convertible(resource: Resource) -> bool:
    """Whether `TYPES` has Resource Manager's name of the type."""
    return resource.type.removeprefix("azure-native:") in TYPES


def body(resource: Resource) -> dict[str, Any]:
    """The request body that creates the resource."""
    _, names = TYPES[resource.type.removeprefix("azure-native:")]
    rest = {
        key: value
        for key, value in resource.inputs.items()
        if key not in {*names, *LOCATION_INPUTS}
    }
    outside = ENVELOPE - {"sku"} if resource.type in SKU_INSIDE else ENVELOPE
    result = {key: rest.pop(key) for key in list(rest) if key in outside}
    result["properties"] = {
        **rest.pop("properties", {}),
        **{REQUEST_NAMES.get((resource.type, key), key): value for key, value in rest.items()},
    }
    identities = (result.get("identity") or {}).get("userAssignedIdentities")
    if isinstance(identities, list):  # the input is a list, the request has a map by id
        result["identity"] = {
            **result["identity"],
            "userAssignedIdentities": {each: {} for each in identities},
        }
    return result


def template(plan: Plan) -> tuple[dict[str, Any], list[Resource]]:
    """The ARM template, and the resources that cannot be converted.

    https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax
    """
    converted = [each for each in plan if convertible(each)]
    resources = []
    for each in converted:
        known = each.type.removeprefix("azure-native:")
        type_, names = TYPES[known]
        *parents, last = (each.inputs.get(name) for name in names)
        singleton = [SINGLETONS[known]] if known in SINGLETONS else []
        name = "/".join(str(part) for part in [*parents, last or each.id, *singleton])
        resources.append({"type": type_, "apiVersion": "2024-01-01", "name": name, **body(each)})
    document = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": resources,
    }
    return document, [each for each in plan if each not in converted]
