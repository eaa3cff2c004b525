"""Container registries, and the images that services pull from them."""

from __future__ import annotations

from pathlib import Path

from rehearsal.azure import container_registry_data_plane as data_plane
from rehearsal.azure import permissions
from rehearsal.azure.calls import Call
from rehearsal.azure.ids import by_id
from rehearsal.azure.resource_type import AzureResourceType, described
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name
from rehearsal.runtime.images import Image

REGISTRY = data_plane.REGISTRY
REPOSITORIES = "azure-repositories"
"""The namespace with the repositories of each registry."""


class Registry(AzureResourceType):
    """A container registry."""

    token = REGISTRY
    source = "https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftcontainerregistry"
    executes = "builds images by `scheduleRun`; at its login server, tells who may pull the digest of a tag"
    path = "Microsoft.ContainerRegistry/registries/{registryName}"
    name = Name(
        property="registryName",
        pattern=r"[a-zA-Z0-9]*",
        min=5,
        max=50,
        rule="5 to 50 letters and digits",
        taken="AlreadyInUse",
    )

    def on_create(self, context: Context, record: Record) -> None:
        record.outputs["loginServer"] = data_plane.login_server(context, record)

    def delete(self, context: Context, record: Record) -> None:
        for repository in context.kv.get(REPOSITORIES, record.id) or ():
            context.images.drop_repository(repository)
        context.kv.delete(REPOSITORIES, record.id)
        data_plane.close(context, record)


class TaskRun(AzureResourceType):
    """A run of a task as a resource, as which no build ends well.

    Resource Manager answers with the address of an operation that does not exist, so azure-native waits for it in vain,
    and fails, though the run succeeds.
    """

    token = "azure-native:containerregistry:TaskRun"
    source = "https://github.com/pulumi/pulumi-azure-native/issues/1713"
    path = "Microsoft.ContainerRegistry/registries/{registryName}/taskRuns/{taskRunName}"

    def on_create(self, context: Context, record: Record) -> None:
        # https://github.com/Azure/azure-rest-api-specs/issues/19159
        raise Refusal(
            "Creating",
            "Future#WaitForCompletion: the number of retries has been exceeded: StatusCode=404 --"
            ' Original Error: Code="Creating" Message="The async operation failed."',
        )


def get_registry(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/container-registry/registries/get"""
    record = called_registry(call, call.url.path, "read")
    properties = {"loginServer": record.outputs["loginServer"], "provisioningState": "Succeeded"}
    return described(record) | {"properties": properties}


def called_registry(call: Call, id_: str, action: str) -> Record:
    """The registry in a request's address, if the caller may do this to it."""
    record = by_id(call.context, REGISTRY, id_)
    if record is None:
        raise Refusal("ResourceNotFound", f"The Resource '{id_}' was not found.")
    call.require(f"Microsoft.ContainerRegistry/registries/{action}", record.id)
    return record


def keep_repository(context: Context, registry: Record, repository: str) -> None:
    """Note that a repository is a registry's: it is deleted with it."""
    known = {*(context.kv.get(REPOSITORIES, registry.id) or ()), repository}
    context.kv.put(REPOSITORIES, registry.id, sorted(known))


def pulled_image(context: Context, reference: str, principal: str) -> Image:
    """The image that a service pulls as a principal, or Azure's refusal. One from elsewhere has no files."""
    host, _, name = reference.partition("/")
    registry = data_plane.registry_at(context, host)
    if registry is None:
        raise Refusal("ImagePullFailure", f"no registry exists for {reference}")
    if not permissions.allowed(context, principal, data_plane.PULL, registry.id):
        raise Refusal(
            "ImagePullUnauthorized",
            f"unauthorized: authentication required: the identity {principal} does not have AcrPull"
            f" on {registry.id}",
        )
    stored = data_plane.stored_name(registry, name)
    if context.images.is_from_elsewhere(stored):
        repository, _, digest = stored.rpartition("@")
        return Image(repository, digest, {}, Path(), ())
    found = context.images.find(stored)
    if found is None:
        raise Refusal("ImagePullFailure", f"manifest for {reference} not found: manifest unknown")
    return found
