"""The project's APIs on Google Cloud, which has no resource group below a project."""

from __future__ import annotations

import pulumi
from pulumi_gcp import projects

from components import contracts
from config.tags import label_value

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


class Foundation(contracts.Foundation):
    """The APIs that everything else needs; every resource's place and labels.

    Service agents are left to Google: they appear at a service's first use and then have their own
    roles, while one that is requested beforehand (projects.ServiceIdentity) has none.
    https://cloud.google.com/iam/docs/create-service-agents
    """

    project: str
    labels: dict[str, str]

    def __init__(
        self, name: str, args: contracts.FoundationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        # An input, because a preview shows inputs: so operations/engine/guards.py sees that it is another one.
        super().__init__("triplane:gcp:Foundation", name, {"account": args.project}, opts)
        if args.project is None:
            raise pulumi.RunError(
                "gcp:project is not set: Google Cloud needs a project to build in"
            )
        self.args = args
        self.project = args.project
        self.region = args.region
        self.labels = {key: label_value(value) for key, value in args.tags.items()}

        self._apis = [
            projects.Service(
                f"{name}-{api}",
                service=f"{api}.googleapis.com",
                # Others in the project may use the API; disabling it would delete their resources, too.
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for api in APIS
        ]
        self.register_outputs({"project": self.project, "region": self.region})

    def child(
        self, parent: pulumi.Resource, *depends_on: pulumi.Resource
    ) -> pulumi.ResourceOptions:
        """Options of a resource that cannot be created before the APIs are enabled."""
        return pulumi.ResourceOptions(parent=parent, depends_on=[*self._apis, *depends_on])
