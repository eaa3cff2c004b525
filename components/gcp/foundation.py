"""The project's APIs, and the service agents that must exist before they can be granted anything."""

from __future__ import annotations

import pulumi
from pulumi_gcp import projects

from components import contracts as c
from components import names

APIS = (
    "aiplatform",
    "artifactregistry",
    "cloudbuild",
    "cloudresourcemanager",
    "iam",
    "logging",
    "run",
    "secretmanager",
    "storage",
)

# A service agent is made at the service's first use, after the first grant to it would have failed.
# https://cloud.google.com/iam/docs/create-service-agents
PULLING_AGENTS = {
    c.Workload.SERVING: "aiplatform.googleapis.com",
    c.Workload.GATEWAY: "run.googleapis.com",
}


class Foundation(c.Foundation):
    """The enabled APIs and the service agents that pull images; no resource group on this cloud."""

    project: str
    region: str
    labels: dict[str, str]
    puller: dict[c.Workload, pulumi.Output[str]]
    """IAM member of the Google-managed account that pulls a workload's image."""

    def __init__(
        self, name: str, args: c.FoundationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:Foundation", name, None, opts)
        if args.project is None:
            raise pulumi.RunError(
                "gcp:project is not set: Google Cloud needs a project to build in"
            )
        self.args = args
        self.project = args.project
        self.region = args.region
        self.labels = {key: names.label_value(value) for key, value in args.tags.items()}

        self._apis = [
            projects.Service(
                f"{name}-{api}",
                service=f"{api}.googleapis.com",
                # Other things in the project may use the API; disabling it would delete theirs too.
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for api in APIS
        ]
        self.puller = {
            workload: projects.ServiceIdentity(
                f"{name}-{workload}-agent", service=service, opts=self.child(self)
            ).member
            for workload, service in PULLING_AGENTS.items()
        }
        self.register_outputs({})

    def child(
        self, parent: pulumi.Resource, *depends_on: pulumi.Resource
    ) -> pulumi.ResourceOptions:
        """Options of a resource that cannot be made before the APIs are enabled."""
        return pulumi.ResourceOptions(parent=parent, depends_on=[*self._apis, *depends_on])
