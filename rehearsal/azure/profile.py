"""Azure as a whole: its resource types with rules, its functions, its routes and its clients' variables."""

from __future__ import annotations

from functools import partial

from rehearsal.azure import (
    app_service,
    authorization,
    container_registry,
    credentials,
    key_vault,
    machine_learning,
    managed_identity,
    monitor,
    storage,
)
from rehearsal.azure.ids import group_id, within
from rehearsal.azure.provider import PROVIDER
from rehearsal.azure.required_permissions import require_for_step
from rehearsal.azure.resource_type import GROUP
from rehearsal.azure.routes import resource_manager_host, routes
from rehearsal.azure.tags import check_tags
from rehearsal.core.records import Inputs, Json, Record
from rehearsal.provider.cloud_profile import CloudProfile, Invoke
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

GROUP_CONTENTS: tuple[type[ResourceType], ...] = (
    managed_identity.UserAssignedIdentity,
    managed_identity.FederatedIdentityCredential,
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
    app_service.FtpAllowed,
    app_service.ScmAllowed,
)
"""The types that can be in a resource group. A type comes after those that it refers to: it is deleted first."""


class ResourceGroup(ResourceType):
    """A resource group. It is deleted with everything in it: so it must know every type that can be in one."""

    token = GROUP
    source = (
        "https://learn.microsoft.com/azure/azure-resource-manager/management/delete-resource-group"
    )
    name = Name(
        property="resourceGroupName",
        pattern=r"[\w().-]*[\w()-]",
        max=90,
        rule="1 to 90 letters, digits, underscores, parentheses, hyphens and periods, not ending in a period",
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
        for resource_type in reversed(GROUP_CONTENTS):
            for inside in context.all(resource_type.token):
                if not within(inside.id, record.id):
                    continue
                if inside.token == machine_learning.DEPLOYMENT:
                    continue  # deleted with its endpoint, whether it has traffic or not
                resource_type().delete(context, inside)
                context.store.remove(inside)
                context.ledger.note("deleted", inside, "with its resource group")


RESOURCE_TYPES: tuple[type[ResourceType], ...] = (ResourceGroup, *GROUP_CONTENTS)


def get_client_config(context: Context, arguments: Json, config: Json) -> Json:
    """The deployer, and the subscription."""
    return {
        "clientId": config.get("clientId") or context.account.azure_client,
        "objectId": context.account.azure_object,
        "subscriptionId": config.get("subscriptionId") or context.account.azure_subscription,
        "tenantId": config.get("tenantId") or context.account.azure_tenant,
    }


def get_client_token(context: Context, arguments: Json, config: Json) -> Json:
    """A token that nothing checks."""
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
        "IDENTITY_HEADER": credentials.deployer_header(context),
        "ARM_METADATA_HOSTNAME": resource_manager_host(context),
    }


PROFILE = CloudProfile(
    title="Azure",
    provider=PROVIDER,
    path="/azure",
    resource_types=RESOURCE_TYPES,
    invokes=INVOKES,
    routes=routes,
    environment=environment,
    require_for_step=partial(require_for_step, {each.token: each for each in RESOURCE_TYPES}),
)
