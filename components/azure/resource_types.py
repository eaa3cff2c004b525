"""The resource types that the platform registers on Azure: ids, searches and permissions, as data.

Ids: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
Permissions: https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
"""

from __future__ import annotations

from components.resource_type import (
    DYNAMIC,
    ArmChildren,
    ResourceType,
    TaggedArmType,
    access,
    compute,
    data,
)

GROUP = "/subscriptions/{account}/resourceGroups/{resourceGroupName}"

ACCOUNT = "Microsoft.Storage/storageAccounts"
APP = "Microsoft.Web/sites"
APP_PLAN = "Microsoft.Web/serverfarms"
AUTOSCALE = "Microsoft.Insights/autoscalesettings"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
INSIGHTS = "Microsoft.Insights/components"
PASSWORDS = f"{APP}/basicPublishingCredentialsPolicies"
LOGS = "Microsoft.OperationalInsights/workspaces"
REGISTRY = "Microsoft.ContainerRegistry/registries"
ROLE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
ROLE_DEFINITION = "Microsoft.Authorization/roleDefinitions"
VAULT = "Microsoft.KeyVault/vaults"
WORKSPACE = "Microsoft.MachineLearningServices/workspaces"
ENDPOINT = f"{WORKSPACE}/onlineEndpoints"


def _id(arm_type: str, *names: str) -> str:
    """The template of an id: a resource group's, then the type's parts and the names by turns."""
    provider, *parts = arm_type.split("/")
    path = (f"{part}/{name}" for part, name in zip(parts, names, strict=True))
    return "/".join((GROUP, "providers", provider, *path))


def _may(arm_type: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"{arm_type}/{verb}" for verb in verbs)


ALL = ("read", "write", "delete")
OPERATION_RESULTS = "operationresults/read"
"""The end of a write that Azure answers with 202: azure-native polls the address that the answer names.
https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations"""

RESOURCE_TYPES: dict[str, ResourceType] = {
    "azure-native:applicationinsights:Component": ResourceType(
        creation=_may(INSIGHTS, "write", "delete"),
        import_id=_id(INSIGHTS, "{resourceName}"),
        search=TaggedArmType(INSIGHTS),
        deploy=data(*_may(INSIGHTS, "read")),
    ),
    "azure-native:authorization:RoleAssignment": ResourceType(
        creation=_may(ROLE_ASSIGNMENT, "write", "delete"),
        import_id=f"{{scope}}/providers/{ROLE_ASSIGNMENT}/{{roleAssignmentName}}",
        deploy=access(*_may(ROLE_ASSIGNMENT, "read")),
    ),
    "azure-native:authorization:RoleDefinition": ResourceType(
        creation=_may(ROLE_DEFINITION, "write", "delete"),
        import_id=f"/subscriptions/{{account}}/providers/{ROLE_DEFINITION}/{{roleDefinitionId}}",
        deploy=access(*_may(ROLE_DEFINITION, "read")),
    ),
    "azure-native:containerregistry:Registry": ResourceType(
        creation=_may(REGISTRY, "write", "delete"),
        import_id=_id(REGISTRY, "{registryName}"),
        precious="registry",
        search=TaggedArmType(REGISTRY),
        deploy=data(*_may(REGISTRY, "read")),
    ),
    "azure-native:keyvault:Secret": ResourceType(
        creation=_may(f"{VAULT}/secrets", "write"),
        import_id=_id(f"{VAULT}/secrets", "{vaultName}", "{secretName}"),
        secret_paths=("properties.value",),
        # It writes a secret's value; the vault's values it cannot read.
        deploy=data(*_may(f"{VAULT}/secrets", "read", "write")),
    ),
    "azure-native:keyvault:Vault": ResourceType(
        creation=_may(VAULT, "write", "delete"),
        import_id=_id(VAULT, "{vaultName}"),
        precious="vault",
        search=TaggedArmType(VAULT),
        deploy=data(*_may(VAULT, "read")),
    ),
    "azure-native:machinelearningservices:Datastore": ResourceType(
        creation=_may(f"{WORKSPACE}/datastores", "write", "delete"),
        import_id=_id(f"{WORKSPACE}/datastores", "{workspaceName}", "{name}"),
        deploy=data(*_may(f"{WORKSPACE}/datastores", "read")),
    ),
    "azure-native:machinelearningservices:EnvironmentVersion": ResourceType(
        import_id=_id(
            f"{WORKSPACE}/environments/versions", "{workspaceName}", "{name}", "{version}"
        ),
        deploy=compute(*_may(f"{WORKSPACE}/environments/versions", *ALL)),
    ),
    "azure-native:machinelearningservices:ModelVersion": ResourceType(
        import_id=_id(f"{WORKSPACE}/models/versions", "{workspaceName}", "{name}", "{version}"),
        deploy=compute(*_may(f"{WORKSPACE}/models/versions", *ALL)),
    ),
    "azure-native:machinelearningservices:OnlineDeployment": ResourceType(
        import_id=_id(
            f"{ENDPOINT}/deployments", "{workspaceName}", "{endpointName}", "{deploymentName}"
        ),
        deploy=compute(*_may(f"{ENDPOINT}/deployments", *ALL)),
    ),
    "azure-native:machinelearningservices:OnlineEndpoint": ResourceType(
        import_id=_id(ENDPOINT, "{workspaceName}", "{endpointName}"),
        precious="endpoint",
        search=TaggedArmType(ENDPOINT),
        deploy=compute(*_may(ENDPOINT, *ALL)),
    ),
    "azure-native:machinelearningservices:Workspace": ResourceType(
        creation=_may(WORKSPACE, "write", "delete"),
        import_id=_id(WORKSPACE, "{workspaceName}"),
        precious="workspace",
        search=TaggedArmType(WORKSPACE),
        # To write a workspace, one must assign its identity, which owns more than any workload's.
        deploy=data(*_may(WORKSPACE, "read")),
    ),
    "azure-native:managedidentity:FederatedIdentityCredential": ResourceType(
        creation=_may(f"{IDENTITY}/federatedIdentityCredentials", "write", "delete"),
        import_id=_id(
            f"{IDENTITY}/federatedIdentityCredentials",
            "{resourceName}",
            "{federatedIdentityCredentialResourceName}",
        ),
        search=ArmChildren(
            _id(IDENTITY, "{resourceName}"), "federatedIdentityCredentials", "2023-01-31"
        ),
        deploy=access(*_may(f"{IDENTITY}/federatedIdentityCredentials", "read")),
    ),
    "azure-native:managedidentity:UserAssignedIdentity": ResourceType(
        creation=_may(IDENTITY, "write", "delete"),
        import_id=_id(IDENTITY, "{resourceName}"),
        search=TaggedArmType(IDENTITY),
        deploy=access(*_may(IDENTITY, "read")),
    ),
    "azure-native:monitor:AutoscaleSetting": ResourceType(
        import_id=_id(AUTOSCALE, "{autoscaleSettingName}"),
        search=TaggedArmType(AUTOSCALE),
        deploy=compute(*_may(AUTOSCALE, *ALL)),
    ),
    "azure-native:operationalinsights:Workspace": ResourceType(
        creation=_may(LOGS, "write", "delete"),
        import_id=_id(LOGS, "{workspaceName}"),
        search=TaggedArmType(LOGS),
        deploy=data(*_may(LOGS, "read")),
    ),
    "azure-native:resources:ResourceGroup": ResourceType(
        creation=_may("Microsoft.Resources/subscriptions/resourceGroups", "write", "delete"),
        import_id=GROUP,
        precious="resource group",
        deploy=data("Microsoft.Resources/subscriptions/resourceGroups/read"),
    ),
    "azure-native:storage:BlobContainer": ResourceType(
        creation=_may(f"{ACCOUNT}/blobServices/containers", "write", "delete"),
        import_id=_id(
            f"{ACCOUNT}/blobServices/containers", "{accountName}", "default", "{containerName}"
        ),
        precious="lake",
        deploy=data(*_may(f"{ACCOUNT}/blobServices/containers", "read")),
    ),
    "azure-native:storage:BlobServiceProperties": ResourceType(
        creation=_may(f"{ACCOUNT}/blobServices", "write"),
        import_id=_id(f"{ACCOUNT}/blobServices", "{accountName}", "{blobServicesName}"),
        deploy=data(*_may(f"{ACCOUNT}/blobServices", "read")),
    ),
    "azure-native:storage:ManagementPolicy": ResourceType(
        creation=_may(f"{ACCOUNT}/managementPolicies", "write", "delete"),
        import_id=_id(f"{ACCOUNT}/managementPolicies", "{accountName}", "{managementPolicyName}"),
        deploy=data(*_may(f"{ACCOUNT}/managementPolicies", "read")),
    ),
    "azure-native:storage:StorageAccount": ResourceType(
        creation=_may(ACCOUNT, "write", "delete"),
        import_id=_id(ACCOUNT, "{accountName}"),
        precious="lake",
        search=TaggedArmType(ACCOUNT),
        deploy=data(*_may(ACCOUNT, "read")),
    ),
    "azure-native:web:AppServicePlan": ResourceType(
        import_id=_id(APP_PLAN, "{name}"),
        search=TaggedArmType(APP_PLAN),
        deploy=compute(*_may(APP_PLAN, *ALL, OPERATION_RESULTS)),
    ),
    "azure-native:web:WebApp": ResourceType(
        import_id=_id(APP, "{name}"),
        search=TaggedArmType(APP),
        deploy=compute(
            *_may(APP, *ALL, OPERATION_RESULTS),
            *_may(f"{APP}/config", "read", "write"),
            f"{APP}/config/list/action",
            # Whoever writes an app that names a plan must have it.
            # https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/web-and-mobile#website-contributor
            f"{APP_PLAN}/join/action",
        ),
    ),
    "azure-native:web:WebAppFtpAllowed": ResourceType(
        import_id=_id(PASSWORDS, "{name}", "ftp"),
        deploy=compute(*_may(PASSWORDS, "read", "write")),
    ),
    "azure-native:web:WebAppScmAllowed": ResourceType(
        import_id=_id(PASSWORDS, "{name}", "scm"),
        deploy=compute(*_may(PASSWORDS, "read", "write")),
    ),
    f"{DYNAMIC}AzureAppSettings": ResourceType(
        import_id="{app}/config/appsettings",
        importable=False,
        deploy=compute(f"{APP}/config/write", f"{APP}/config/list/action"),
    ),
    f"{DYNAMIC}AzureBlobFolder": ResourceType(
        import_id="{account_url}/{container}/{prefix}",
        importable=False,
        deploy=compute(),  # it needs data actions, not actions: `delivery.BLOBS`
    ),
    f"{DYNAMIC}AzureBuiltImage": ResourceType(
        import_id="{repository}:{tag}",
        importable=False,
        deploy=compute(
            *_may(
                REGISTRY,
                "listBuildSourceUploadUrl/action",
                "pull/read",
                "runs/listLogSasUrl/action",
                "runs/read",
                "scheduleRun/action",
            )
        ),
    ),
    # It exists in the state only.
    f"{DYNAMIC}AzureGrantsInForce": ResourceType(
        import_id="{principal}/in-force", importable=False, deploy=compute()
    ),
    f"{DYNAMIC}AzureEndpointTraffic": ResourceType(
        import_id="{endpoint_id}/traffic",
        importable=False,
        deploy=compute(*_may(ENDPOINT, "read", "write")),
    ),
}
