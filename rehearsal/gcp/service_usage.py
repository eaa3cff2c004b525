"""Service Usage: the APIs that are enabled in a project."""

from __future__ import annotations

from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

SERVICE = "gcp:projects/service:Service"


class Service(ResourceType):
    """An API that is enabled."""

    token = SERVICE
    source = "https://cloud.google.com/service-usage/docs/enable-disable"
    name = Name(
        property="service",
        pattern=r"[a-z0-9.-]+\.googleapis\.com",
        max=100,
        rule="the name of an API ends in .googleapis.com",
        unique=None,
    )

    def create(self, context: Context, record: Record) -> None:
        record.id = f"{record.outputs['project']}/{record.inputs['service']}"

    def stays(self, record: Record) -> bool:
        """It stays enabled, for the other stacks of the project too."""
        return record.inputs.get("disableOnDestroy") is False


def require_api(context: Context, project: str, api: str) -> None:
    """Raise Google's refusal unless the API is enabled in the project."""
    for record in context.all(SERVICE):
        if record.inputs["service"] == api and record.outputs.get("project") in (None, project):
            return
    url = f"https://console.developers.google.com/apis/api/{api}/overview?project={project}"
    raise Refusal(
        "PERMISSION_DENIED",
        f"{api} has not been used in project {project} before or it is disabled. Enable it by"
        f" visiting {url} then retry. If you enabled this API recently, wait a few minutes for the"
        " action to propagate to our systems and retry.",
    )
