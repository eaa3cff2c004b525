"""Identities on Google Cloud: one service account a workload, and a role for each grant on its one target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import pulumi
from pulumi_gcp import artifactregistry, projects, secretmanager, serviceaccount, storage, vertex

from components import contracts
from components.gcp.api_key import ApiKey
from components.gcp.data_lake import DataLake
from components.gcp.foundation import Foundation
from components.gcp.image_registry import ImageRegistry
from components.gcp.model_endpoint import ModelEndpoint
from config.tags import tags_as_text

LAKE_ROLES = {
    contracts.Access.READ: "roles/storage.objectViewer",
    # May neither read nor delete: https://cloud.google.com/storage/docs/access-control/iam-roles
    contracts.Access.WRITE: "roles/storage.objectCreator",
}


class Identity(contracts.Identity):
    """A service account without keys: workloads get its tokens from their metadata server."""

    account: serviceaccount.Account

    def __init__(
        self, name: str, args: contracts.IdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:Identity", name, None, opts)
        foundation = Foundation.of(args.foundation)
        self._name, self._foundation = name, foundation
        self.workload, self.label = args.workload, args.label or args.workload

        self.account = serviceaccount.Account(
            # Short: the account id made from this name has 30 characters at most, 8 of them random.
            f"{name}-sa",
            display_name=f"Triplane {args.workload} ({foundation.args.environment})",
            # Accounts take no labels.
            description=tags_as_text(foundation.labels),
            opts=foundation.child(self),
        )
        self.attachments = [each for grant in args.grants for each in self._attachments(grant)]
        if args.workload is contracts.Workload.BUILD:
            # A build that runs as an account of our own writes its log to Cloud Logging:
            # https://cloud.google.com/build/docs/securing-builds/configure-user-specified-service-accounts
            self.attachments.append(
                projects.IAMMember(
                    f"{name}-write-log",
                    project=foundation.project,
                    role="roles/logging.logWriter",
                    member=self.account.member,
                    opts=foundation.child(self),
                )
            )

        self.principal = self.account.email
        self.register_outputs({"principal": self.principal})

    def _attachments(self, grant: contracts.Grant) -> list[pulumi.Resource]:
        name, child = self._name, self._foundation.child(self)
        member: pulumi.Resource
        match grant.target:
            case DataLake() as lake if grant.zone and grant.access in LAKE_ROLES:
                return self._on_the_lake(lake, grant, grant.zone)
            case ImageRegistry() if grant.access is contracts.Access.PULL:
                # The account of a running workload never pulls: the service agents of Vertex AI and
                # Cloud Run do, and have the permission in their own project.
                # https://cloud.google.com/artifact-registry/docs/access-control#gcp
                return []
            case ImageRegistry(registry=registry) if grant.access is contracts.Access.PUSH:
                member = artifactregistry.RepositoryIamMember(
                    f"{name}-push-images",
                    repository=registry.name,
                    location=registry.location,
                    role="roles/artifactregistry.writer",
                    member=self.account.member,
                    opts=child,
                )
            case ModelEndpoint(endpoint=endpoint, label=label) if (
                grant.access is contracts.Access.INVOKE
            ):
                member = vertex.AiEndpointIamMember(
                    f"{name}-invoke-{label}",
                    endpoint=endpoint.name,
                    location=endpoint.location,
                    role=self._predictor_role,
                    member=self.account.member,
                    opts=child,
                )
            case ApiKey(secret=secret) if grant.access is contracts.Access.READ:
                member = secretmanager.SecretIamMember(
                    f"{name}-read-key",
                    secret_id=secret.id,
                    role="roles/secretmanager.secretAccessor",
                    member=self.account.member,
                    opts=child,
                )
            case other:
                raise TypeError(f"Google Cloud has no role for {grant.access} on {other!r}")
        return [member]

    def _on_the_lake(
        self, lake: DataLake, grant: contracts.Grant, zone: contracts.Zone
    ) -> list[pulumi.Resource]:
        """A binding for the zone, or one for each of its folders.

        Not one for all folders: a condition has 12 logical operators at most, and one principal has 20 bindings of one role
        with different conditions at most, as many as a stack has models.
        https://cloud.google.com/iam/quotas
        """
        folders: list[tuple[str, ...]] = [(prefix,) for prefix in grant.prefixes] or [()]
        return [
            storage.BucketIAMMember(
                "-".join((self._name, grant.access, zone, *folder)),
                bucket=lake.bucket.name,
                role=LAKE_ROLES[grant.access],
                member=self.account.member,
                condition={
                    "title": " ".join((grant.access, "/".join((zone, *folder)))),
                    "expression": lake.bucket.name.apply(
                        condition("/".join((zone, *folder)), grant.files)
                    ),
                },
                opts=self._foundation.child(self),
            )
            for folder in folders
        ]

    @cached_property
    def _predictor_role(self) -> pulumi.Output[str]:
        """A role that may predict and nothing else.

        The narrowest predefined one that may, aiplatform.user, may also deploy and delete.
        https://cloud.google.com/vertex-ai/docs/general/access-control#aiplatform.user
        """
        role = projects.IAMCustomRole(
            f"{self._name}-predictor",
            # A deleted role keeps its id for up to 37 days, so after a destroy a fixed id would be
            # refused; the account's unique id is never used twice.
            # https://cloud.google.com/iam/docs/creating-custom-roles#deleting-custom-role
            role_id=pulumi.Output.concat("triplanePredictor", self.account.unique_id),
            title="Triplane predictor",
            permissions=["aiplatform.endpoints.predict"],
            stage="GA",
            opts=self._foundation.child(self),
        )
        name: pulumi.Output[str] = role.name
        return name


def condition(folder: str, files: Sequence[str] = ()) -> Callable[[str], str]:
    """The condition that a request is for an object of a zone or of a folder of it; or for some files there, by their names.

    A listing is a request for the bucket, so its prefix is compared. Who may read some files only may not list the others.
    https://cloud.google.com/iam/docs/conditions-attribute-reference#resource-attributes
    """
    listed = 'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
    named = " || ".join(f'resource.name.endsWith("/{file}")' for file in files)
    more = f" && ({named})" if files else f' || {listed}.startsWith("{folder}/")'
    return lambda bucket: (
        f'resource.name.startsWith("projects/_/buckets/{bucket}/objects/{folder}/"){more}'
    )
