"""Azure as a whole: its resource types with rules, its functions, its routes and its clients' variables."""

from __future__ import annotations

from rehearsal.azure import (
    app_service,
    authorization,
    container_registry,
    key_vault,
    machine_learning,
    monitor,
    storage,
)
from rehearsal.azure.resource_manager import GROUP, group_id
from rehearsal.azure.routes import ENGINEER, manager, routes
from rehearsal.azure.tags import check_tags
from rehearsal.core.records import Inputs, Json, Record
from rehearsal.provider.cloud_profile import CloudProfile, Invoke
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType


class ResourceGroup(ResourceType):
    """A resource group; whatever is in it goes with it."""

    token = GROUP
    source = (
        "https://learn.microsoft.com/azure/azure-resource-manager/management/delete-resource-group"
    )
    name = Name(
        property="resourceGroupName",
        pattern=r"[\w().-]*[\w()-]",
        max=90,
        says="1 to 90 letters, digits, underscores, parentheses, hyphens and periods, not ending in a period",
        taken="ResourceGroupAlreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)

    def create(self, context: Context, record: Record) -> None:
        record.id = group_id(context, record.inputs["resourceGroupName"])
        record.outputs |= {
            "type": "Microsoft.Resources/resourceGroups",
            "properties": {"provisioningState": "Succeeded"},
        }

    def delete(self, context: Context, record: Record) -> None:
        # What refers to others comes after them in RESOURCE_TYPES, and so is taken away before them.
        for kind in reversed(RESOURCE_TYPES):
            for inside in context.all(kind.token) if kind is not ResourceGroup else ():
                if authorization.within(inside.id, record.id):
                    if kind is machine_learning.OnlineDeployment:
                        continue  # goes with its endpoint, traffic or not
                    kind().delete(context, inside)
                    context.store.remove(inside)
                    context.ledger.note("deleted", inside, "with its resource group")


RESOURCE_TYPES: tuple[type[ResourceType], ...] = (
    ResourceGroup,
    authorization.UserAssignedIdentity,
    authorization.FederatedIdentityCredential,
    authorization.RoleDefinition,
    authorization.RoleAssignment,
    storage.StorageAccount,
    storage.BlobServiceProperties,
    storage.BlobContainer,
    storage.ManagementPolicy,
    container_registry.Registry,
    container_registry.TaskRun,
    key_vault.Vault,
    key_vault.Secret,
    monitor.LogAnalyticsWorkspace,
    monitor.ApplicationInsights,
    machine_learning.Workspace,
    machine_learning.Datastore,
    machine_learning.EnvironmentVersion,
    machine_learning.ModelVersion,
    machine_learning.OnlineEndpoint,
    machine_learning.OnlineDeployment,
    monitor.AutoscaleSetting,
    app_service.AppServicePlan,
    app_service.WebApp,
)


def get_client_config(context: Context, arguments: Json, config: Json) -> Json:
    return {
        "clientId": config.get("clientId") or context.account.azure_client,
        "objectId": context.account.azure_object,
        "subscriptionId": config.get("subscriptionId") or context.account.azure_subscription,
        "tenantId": config.get("tenantId") or context.account.azure_tenant,
    }


def get_client_token(context: Context, arguments: Json, config: Json) -> Json:
    return {"token": "rehearsal"}


INVOKES: dict[str, Invoke] = {
    "azure-native:authorization:getClientConfig": get_client_config,
    "azure-native:authorization:getClientToken": get_client_token,
}


def environment(context: Context) -> dict[str, str]:
    """The variables by which Azure's own clients find the rehearsal.

    App Service gives the first two to an app with a managed identity; azure-identity asks there for
    tokens wherever they are set. https://learn.microsoft.com/azure/app-service/overview-managed-identity
    The third is azure-native's own: the host that says where the Resource Manager is.
    """
    return {
        "IDENTITY_ENDPOINT": f"{context.base_url}/azure/identity/token",
        "IDENTITY_HEADER": authorization.key(context, ENGINEER),
        "ARM_METADATA_HOSTNAME": manager(context),
    }


PROFILE = CloudProfile(
    package="azure-native",
    path="/azure",
    resource_types=RESOURCE_TYPES,
    invokes=INVOKES,
    routes=routes,
    environment=environment,
)
