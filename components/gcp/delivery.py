"""Delivery on Google Cloud: a service account that GitHub Actions impersonates by its own token."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_gcp import (
    artifactregistry,
    cloudrunv2,
    iam,
    projects,
    secretmanager,
    serviceaccount,
    storage,
    vertex,
)

from components import contracts
from components.gcp.api_key import ApiKey
from components.gcp.data_lake import DataLake
from components.gcp.foundation import Foundation
from components.gcp.gateway import Gateway
from components.gcp.identity import Identity, condition
from components.gcp.image_registry import ImageRegistry
from components.gcp.model_endpoint import ModelEndpoint
from components.gcp.resource_types import Place, delivery_permissions
from config import github
from config.tags import tags_as_text

APIS = ("iamcredentials", "sts")
"""The exchange of tokens needs them, beside `foundation.APIS`."""
USER = "roles/iam.serviceAccountUser"


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
        self._allow_in_project()
        self._allow_images(ImageRegistry.of(args.registry))
        self._allow_lake(DataLake.of(args.lake), args.zones)
        endpoints = [ModelEndpoint.of(endpoint) for endpoint in args.endpoints]
        self._allow_rolling(endpoints, Gateway.of(args.gateway))
        if args.key:
            self._allow_rotating(ApiKey.of(args.key))
        self._allow_assigning([Identity.of(identity) for identity in args.identities])

        self.identity = self._account.email
        self.provider = provider.name
        self.register_outputs({"identity": self.identity})

    def _allow_in_project(self) -> None:
        """What has no smaller place: to upload a model and to build are permissions on the project."""
        projects.IAMMember(
            f"{self._name}-deploy",
            project=self._foundation.project,
            role=self._custom_role("deployer", Place.PROJECT),
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _allow_images(self, registry: ImageRegistry) -> None:
        """The one repository that it deploys from: its images and its settings, to read."""
        artifactregistry.RepositoryIamMember(
            f"{self._name}-pull",
            repository=registry.registry.name,
            location=registry.registry.location,
            role=self._custom_role("puller", Place.REGISTRY),
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _allow_lake(self, lake: DataLake, zones: Sequence[contracts.Zone]) -> None:
        """Objects of the zones that a deployment writes to, and the bucket's settings, to read."""
        storage.BucketIAMMember(
            f"{self._name}-read-lake",
            bucket=lake.bucket.name,
            role=self._custom_role("lakereader", Place.LAKE),
            member=self._account.member,
            opts=self._foundation.child(self),
        )
        role = self._custom_role("uploader", Place.ZONES)
        for zone in zones:
            storage.BucketIAMMember(
                f"{self._name}-upload-{zone}",
                bucket=lake.bucket.name,
                role=role,
                member=self._account.member,
                condition={
                    "title": f"upload {zone}",
                    "expression": lake.bucket.name.apply(condition(zone)),
                },
                opts=self._foundation.child(self),
            )

    def _allow_rolling(self, endpoints: Sequence[ModelEndpoint], gateway: Gateway) -> None:
        """Another model on each endpoint, and another revision of the one service.

        That to deploy and to undeploy ask for rights on the endpoint alone is believed.
        https://cloud.google.com/vertex-ai/docs/general/endpoint-access-control
        https://cloud.google.com/run/docs/securing/managing-access
        """
        role = self._custom_role("roller", Place.ENDPOINT)
        for endpoint in endpoints:
            vertex.AiEndpointIamMember(
                f"{self._name}-roll-{endpoint.label}",
                endpoint=endpoint.endpoint.name,
                location=endpoint.endpoint.location,
                role=role,
                member=self._account.member,
                opts=self._foundation.child(self),
            )
        cloudrunv2.ServiceIamMember(
            f"{self._name}-update-gateway",
            name=gateway.service.name,
            location=gateway.service.location,
            role=self._custom_role("updater", Place.GATEWAY),
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _allow_rotating(self, key: ApiKey) -> None:
        """The gateway's key: an update without a change reads its value, too."""
        secretmanager.SecretIamMember(
            f"{self._name}-rotate-key",
            secret_id=key.secret.id,
            role=self._custom_role("rotator", Place.KEY),
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _allow_assigning(self, identities: Sequence[Identity]) -> None:
        """A service that it sets up can run as one of the platform's accounts, and as no other.

        It reads all of them, its own too: an account has its own policy.
        """
        reader = self._custom_role("accountreader", Place.ACCOUNTS)
        for identity in identities:
            self._allow_account(f"as-{identity.label}", identity.account, USER)
        for name, account in (
            ("itself", self._account),
            *((str(each.label), each.account) for each in identities),
        ):
            self._allow_account(f"read-{name}", account, reader)

    def _allow_account(
        self, name: str, account: serviceaccount.Account, role: pulumi.Input[str]
    ) -> None:
        serviceaccount.IAMMember(
            f"{self._name}-{name}",
            service_account_id=account.name,
            role=role,
            member=self._account.member,
            opts=self._foundation.child(self),
        )

    def _custom_role(self, title: str, place: Place) -> pulumi.Output[str]:
        """A custom role with the permissions on a place. Its id is never used twice: `Identity` has the reason."""
        role = projects.IAMCustomRole(
            f"{self._name}-{title}",
            role_id=pulumi.Output.concat(f"triplane{title.title()}", self._account.unique_id),
            title=f"Triplane {title}",
            permissions=delivery_permissions(place),
            stage="GA",
            opts=self._foundation.child(self),
        )
        name: pulumi.Output[str] = role.name
        return name
