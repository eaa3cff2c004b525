"""The resource types of Azure that the rehearsal knows rules for."""

from __future__ import annotations

from rehearsal.azure import access, images, ml, monitor, storage, vaults, web
from rehearsal.azure.arm import GROUP, group_id
from rehearsal.azure.tags import check_tags
from rehearsal.kinds import Inputs, Kind, Name, Record
from rehearsal.world import World


class ResourceGroup(Kind):
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

    def check(self, world: World, inputs: Inputs) -> None:
        check_tags(inputs)

    def create(self, world: World, record: Record) -> None:
        record.id = group_id(world, record.inputs["resourceGroupName"])
        record.outputs |= {
            "type": "Microsoft.Resources/resourceGroups",
            "properties": {"provisioningState": "Succeeded"},
        }

    def delete(self, world: World, record: Record) -> None:
        # What refers to others comes after them in KINDS, and so is taken away before them.
        for kind in reversed(KINDS):
            for inside in world.all(kind.token) if kind is not ResourceGroup else ():
                if access.within(inside.id, record.id):
                    if kind is ml.OnlineDeployment:
                        continue  # goes with its endpoint, traffic or not
                    kind().delete(world, inside)
                    world.store.remove(inside)
                    world.ledger.note("deleted", inside, "with its resource group")


KINDS: tuple[type[Kind], ...] = (
    ResourceGroup,
    access.UserAssignedIdentity,
    access.FederatedIdentityCredential,
    access.RoleDefinition,
    access.RoleAssignment,
    storage.StorageAccount,
    storage.BlobServiceProperties,
    storage.BlobContainer,
    storage.ManagementPolicy,
    images.Registry,
    images.TaskRun,
    vaults.Vault,
    vaults.Secret,
    monitor.LogAnalyticsWorkspace,
    monitor.ApplicationInsights,
    ml.Workspace,
    ml.Datastore,
    ml.EnvironmentVersion,
    ml.ModelVersion,
    ml.OnlineEndpoint,
    ml.OnlineDeployment,
    monitor.AutoscaleSetting,
    web.AppServicePlan,
    web.WebApp,
)
