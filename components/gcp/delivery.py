"""Delivery on Google Cloud: a service account that GitHub Actions impersonates by its own token."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_gcp import artifactregistry, iam, projects, secretmanager, serviceaccount, storage

from components import contracts
from components.gcp.api_key import ApiKey
from components.gcp.data_lake import DataLake
from components.gcp.foundation import Foundation
from components.gcp.identity import Identity, zone_condition
from components.gcp.image_registry import ImageRegistry
from components.gcp.resource_types import IMAGES, OBJECTS, RESOURCE_TYPES, SECRET_VERSIONS
from components.resource_type import DeployPermissions
from config import github
from config.tags import tags_as_text

APIS = ("iamcredentials", "sts")
"""The exchange of tokens needs them, beside `foundation.APIS`."""
PERMISSIONS = DeployPermissions.of(RESOURCE_TYPES).permissions
QUOTAS = "serviceusage.quotas.get"
"""What `make check-account` asks before a release. https://cloud.google.com/service-usage/docs/access-control"""


class Delivery(contracts.Delivery):
    """A service account without keys, a pool that takes GitHub's tokens, and a custom role for each place."""

    def __init__(
        self, name: str, args: contracts.DeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:Delivery", name, None, opts)
        foundation = Foundation.of(args.foundation)
        self._name, self._foundation = name, foundation
        child = foundation.child(self)

        apis = [
            projects.Service(
                f"{name}-{api}",
                service=f"{api}.googleapis.com",
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for api in APIS
        ]
        self._account = serviceaccount.Account(
            f"{name}-sa",
            display_name=f"Triplane delivery ({foundation.args.environment})",
            description=tags_as_text(foundation.labels),
            opts=child,
        )
        pool = iam.WorkloadIdentityPool(
            f"{name}-pool",
            # At most 32 characters. A deleted pool keeps its id for 30 days; the account's unique id
            # is never used twice.
            # https://cloud.google.com/iam/docs/manage-workload-identity-pools-providers#delete-pool
            workload_identity_pool_id=pulumi.Output.concat("triplane-", self._account.unique_id),
            display_name="Triplane delivery",
            opts=foundation.child(self, *apis),
        )
        provider = iam.WorkloadIdentityPoolProvider(
            f"{name}-github",
            workload_identity_pool_id=pool.workload_identity_pool_id,
            workload_identity_pool_provider_id="github",
            display_name="GitHub Actions",
            oidc={"issuer_uri": github.ISSUER},
            attribute_mapping={"google.subject": "assertion.sub"},
            # The branch too: the subject of a job in an environment does not name it.
            attribute_condition=f"assertion.sub == '{args.subject}' && assertion.ref == '{args.ref}'",
            opts=child,
        )
        serviceaccount.IAMMember(
            f"{name}-impersonate",
            service_account_id=self._account.name,
            role="roles/iam.workloadIdentityUser",
            member=pulumi.Output.format(
                "principal://iam.googleapis.com/{}/subject/{}", pool.name, args.subject
            ),
            opts=child,
        )
        self._allow_deploying()
        self._allow_pulling(args)
        self._allow_uploading(args)
        if args.key:
            self._allow_rotating(ApiKey.of(args.key))
        for identity in args.identities:
            self._allow_assigning(Identity.of(identity))

        self.identity = self._account.email
        self.provider = provider.name
        self.register_outputs({"identity": self.identity})

    def _allow_deploying(self) -> None:
        """Permissions in the project: to create a resource is a permission on its project."""
        projects.IAMMember(
            f"{self._name}-deploy",
            project=self._foundation.project,
            role=self._custom_role(
                "deployer",
                [
                    *(p for p in PERMISSIONS if p not in (*IMAGES, *OBJECTS, *SECRET_VERSIONS)),
                    QUOTAS,
                ],
            ),
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _allow_pulling(self, args: contracts.DeliveryArgs) -> None:
        """Images of the one repository that it deploys from."""
        registry = ImageRegistry.of(args.registry).registry
        artifactregistry.RepositoryIamMember(
            f"{self._name}-pull",
            repository=registry.name,
            location=registry.location,
            role=self._custom_role("puller", IMAGES),
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _allow_uploading(self, args: contracts.DeliveryArgs) -> None:
        """Objects of the zones that a deployment writes to."""
        lake = DataLake.of(args.lake)
        role = self._custom_role("uploader", OBJECTS)
        for zone in args.zones:
            storage.BucketIAMMember(
                f"{self._name}-upload-{zone}",
                bucket=lake.bucket.name,
                role=role,
                member=self._account.member,
                condition={
                    "title": f"upload {zone}",
                    "expression": lake.bucket.name.apply(zone_condition(zone)),
                },
                opts=self._foundation.child(self),
            )

    def _allow_rotating(self, key: ApiKey) -> None:
        """The gateway's key: an update without a change reads its value, too."""
        secretmanager.SecretIamMember(
            f"{self._name}-rotate-key",
            secret_id=key.secret.id,
            role=self._custom_role("rotator", SECRET_VERSIONS),
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _allow_assigning(self, identity: Identity) -> None:
        """A service that it sets up can run as one of the platform's accounts, and as no other."""
        serviceaccount.IAMMember(
            f"{self._name}-as-{identity.workload}",
            service_account_id=identity.account.name,
            role="roles/iam.serviceAccountUser",
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _custom_role(self, title: str, permissions: Sequence[str]) -> pulumi.Output[str]:
        """A custom role. Its id is never used twice: `Identity` has the reason."""
        role = projects.IAMCustomRole(
            f"{self._name}-{title}",
            role_id=pulumi.Output.concat(f"triplane{title.title()}", self._account.unique_id),
            title=f"Triplane {title}",
            permissions=list(permissions),
            stage="GA",
            opts=self._foundation.child(self),
        )
        name: pulumi.Output[str] = role.name
        return name
