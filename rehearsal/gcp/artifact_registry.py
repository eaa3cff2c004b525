"""Artifact Registry: repositories of images that Cloud Build makes."""

from __future__ import annotations

from typing import ClassVar

from rehearsal.core.records import Inputs, Json, Record, Refusal
from rehearsal.gcp import iam
from rehearsal.gcp.calls import Call
from rehearsal.gcp.permissions import Resource, of_record
from rehearsal.gcp.tags import check_labels
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

REPOSITORY = "gcp:artifactregistry/repository:Repository"
REPOSITORY_BINDING = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
PACKAGES = "gcp/packages"
"""The namespace with the images' names in each repository."""


class Repository(ResourceType):
    """A repository of images."""

    token = REPOSITORY
    source = "https://cloud.google.com/artifact-registry/docs/repositories/create-repos"
    executes = "images are kept and run; clean-up policies are only recorded"
    needs = "artifactregistry.googleapis.com"
    name = Name(
        property="repositoryId",
        pattern=r"[a-z]([a-z0-9-]*[a-z0-9])?",
        max=63,
        rule="lower-case letters, digits and hyphens, beginning with a letter, no hyphen at the end",
        unique=("project", "location"),
        taken="alreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_labels(inputs)

    def create(self, context: Context, record: Record) -> None:
        place, repository = record.outputs, record.inputs["repositoryId"]
        location = f"projects/{place['project']}/locations/{place['location']}"
        record.id = f"{location}/repositories/{repository}"
        host = f"{place['location']}-docker.pkg.dev"
        record.outputs |= {
            "name": repository,
            "registryUri": f"{host}/{place['project']}/{repository}",
        }

    def delete(self, context: Context, record: Record) -> None:
        for image in context.kv.get(PACKAGES, record.id, []):
            context.images.drop_repository(f"{record.outputs['registryUri']}/{image}")
        context.kv.delete(PACKAGES, record.id)


class RepositoryMember(iam.Member):
    """A role for a member on a repository."""

    token = REPOSITORY_BINDING
    references: ClassVar = {"repository": REPOSITORY}
    property = "repository"
    import_name = "projects/{project}/locations/{location}/repositories/{repository}"


def resource(record: Record) -> Resource:
    """A repository, for a permission check."""
    return of_record(REPOSITORY_BINDING, "repository", record)


def get_tag(call: Call) -> Json:
    """``tags.get``: the digest that a tag names.

    https://cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories.packages.tags/get
    """
    context, path = call.context, call.path
    id = f"{call.parent}/repositories/{path['repository']}"
    host = f"{path['location']}-docker.pkg.dev"
    url = f"{host}/{call.project}/{path['repository']}/{path['package']}"
    image = context.images.get(url, path["tag"]) if context.get(REPOSITORY, id) else None
    name = f"{id}/packages/{path['package']}"
    if image is None:
        raise Refusal("NOT_FOUND", f"Requested entity was not found: {name}/tags/{path['tag']}.")
    return {"name": f"{name}/tags/{path['tag']}", "version": f"{name}/versions/{image.digest}"}


def repository_of(context: Context, image: str) -> Record | None:
    """The Artifact Registry repository that an image's name belongs to."""
    for record in context.all(REPOSITORY):
        if image.startswith(f"{record.outputs['registryUri']}/"):
            return record
    return None


def require_image(context: Context, image: str, *, own: bool = False) -> None:
    """Raise Google's refusal unless the image exists. ``own``: it may be somebody's own, which was not built here.

    The permission of the service's agent to pull it is not checked: the agent has it in its own project from the start.
    Believed: it is in force when an image is there, as it is as old as the API.
    """
    known = context.images.find(image) or (own and context.images.is_from_elsewhere(image))
    if repository_of(context, image) is None or not known:
        raise Refusal("NOT_FOUND", f"Image '{image}' not found.")
