"""What Vertex AI and Cloud Run have in common when they run a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rehearsal.core.records import Refusal
from rehearsal.gcp import iam

if TYPE_CHECKING:
    from rehearsal.core.records import Record
    from rehearsal.provider.context import Context

REPOSITORY = "gcp:artifactregistry/repository:Repository"


def identity(context: Context, email: str) -> dict[str, str]:
    """Environment that makes Google's clients act as this service account.

    Who asks is in the address: the storage client sends no token to an emulator.
    """
    here = context.base_url.removeprefix("http://")
    return {
        "GCE_METADATA_HOST": f"{here}/gcp/as/{email}",
        "GCE_METADATA_IP": f"{here}/gcp/as/{email}",
        "STORAGE_EMULATOR_HOST": f"{context.base_url}/gcp/as/{email}",
    }


def repository_of(context: Context, image: str) -> Record | None:
    """The Artifact Registry repository that an image's name lies in."""
    for record in context.all(REPOSITORY):
        if image.startswith(f"{record.outputs['registryUri']}/"):
            return record
    return None


def require_image(context: Context, image: str) -> None:
    """Raise Google's refusal unless the image is there.

    That the service's agent may pull it is not asked: it holds that in its own project from the start.
    """
    if repository_of(context, image) is None or context.images.find(image) is None:
        raise Refusal("NOT_FOUND", f"Image '{image}' not found.")


def require_account(context: Context, email: str) -> None:
    """Raise Google's refusal unless there is such a service account."""
    if context.find(iam.ACCOUNT, email=email) is None:
        raise Refusal("INVALID_ARGUMENT", f"Service account {email} does not exist.")
