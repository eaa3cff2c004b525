"""The data lake on Azure: a storage account with a blob container for each zone."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import authorization, storage

from components import contracts, names
from components.azure import roles
from components.azure.foundation import Foundation

SOFT_DELETE_DAYS = 7
"""A blob or version that was deleted, also by the lifecycle policy, can be restored for at most so long: as on Google
Cloud, where it is the shortest time. With `noncurrent_days` here, captures would exist so much longer.
https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-policy-delete"""


class DataLake(contracts.DataLake):
    """A private storage account: Entra ID only, TLS only, versioned, encrypted by the service."""

    uri: pulumi.Output[str]
    """The blob service's endpoint, without trailing slash: ``https://<account>.blob.core.windows.net``"""
    account: storage.StorageAccount
    containers: dict[contracts.Zone, storage.BlobContainer]
    keeper: authorization.RoleAssignment
    """What lets the deployer write blobs; an upload depends on it."""

    def __init__(
        self, name: str, args: contracts.DataLakeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:DataLake", name, None, opts)
        foundation = Foundation.of(args.foundation)
        # With keep_data a destroy forgets the account together with all that is about its data: without the lifecycle
        # policy, captures would stay forever in an account that nobody manages.
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=foundation.args.keep_data)

        self.account = _account(name, foundation, kept)
        storage.BlobServiceProperties(
            f"{name}-blob-service",
            resource_group_name=foundation.group.name,
            account_name=self.account.name,
            blob_services_name="default",
            is_versioning_enabled=True,
            delete_retention_policy=storage.DeleteRetentionPolicyArgs(
                enabled=True, days=min(args.noncurrent_days, SOFT_DELETE_DAYS)
            ),
            # Azure takes 1 to 365 days. https://learn.microsoft.com/azure/storage/blobs/soft-delete-container-overview
            container_delete_retention_policy=storage.DeleteRetentionPolicyArgs(
                enabled=True, days=min(args.noncurrent_days, 365)
            ),
            opts=kept,
        )
        self.containers = {
            zone: storage.BlobContainer(
                f"{name}-{zone}",
                resource_group_name=foundation.group.name,
                account_name=self.account.name,
                container_name=zone.value,
                public_access=storage.PublicAccess.NONE,
                opts=kept,
            )
            for zone in contracts.Zone
        }
        # The deployer also copies the stack's state into the lake (`make adopt`) and the lake elsewhere
        # (`make backup`); being the subscription's owner does not allow anybody to read or write blobs.
        self.keeper = roles.assign_deployer(
            f"{name}-keeper",
            foundation,
            role="Storage Blob Data Contributor",
            scope=self.account.id,
            parent=self,
        )
        _expire(name, foundation, self.account, args, kept)

        self.uri = self.account.primary_endpoints.apply(lambda ends: ends.blob.rstrip("/"))
        self.register_outputs({"uri": self.uri})


def _account(
    name: str, foundation: Foundation, opts: pulumi.ResourceOptions
) -> storage.StorageAccount:
    # The one resource not called f"{name}-account": autonaming adds 8 characters to it, and an
    # account's name is 3 to 24 lower case letters and digits.
    # https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-name
    return storage.StorageAccount(
        names.short(name.replace("-", ""), 16, "a-z0-9"),
        resource_group_name=foundation.group.name,
        location=foundation.region,
        kind=storage.Kind.STORAGE_V2,
        # Locally redundant: the only kind that every region here offers. A change to ZRS is a
        # migration that Azure does on request, not a setting of this resource.
        sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
        access_tier=storage.AccessTier.HOT,
        enable_https_traffic_only=True,
        minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
        allow_blob_public_access=False,
        allow_shared_key_access=False,
        default_to_o_auth_authentication=True,
        allow_cross_tenant_replication=False,
        is_local_user_enabled=False,
        # Azure ML and App Service reach the account over its public endpoint, with an Entra
        # token; closing it takes a virtual network with private endpoints.
        public_network_access=storage.PublicNetworkAccess.ENABLED,
        tags=foundation.tags,
        opts=opts,
    )


def _expire(
    name: str,
    foundation: Foundation,
    account: storage.StorageAccount,
    args: contracts.DataLakeArgs,
    opts: pulumi.ResourceOptions,
) -> None:
    """Captures and old versions are deleted after some days.

    In a versioned account the deletion of a blob leaves its version. Of a capture none may be left after
    ``captures_days``, so the blob is deleted a day earlier. A version's age counts from when it was written
    (believed; there is no condition that counts from its replacement).
    https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-policy-structure
    """
    storage.ManagementPolicy(
        f"{name}-lifecycle",
        resource_group_name=foundation.group.name,
        account_name=account.name,
        management_policy_name="default",
        policy=storage.ManagementPolicySchemaArgs(
            rules=[
                _rule(
                    "old-versions",
                    storage.ManagementPolicyActionArgs(
                        version=_versions_deleted_after(args.noncurrent_days)
                    ),
                ),
                _rule(
                    "captures",
                    storage.ManagementPolicyActionArgs(
                        base_blob=storage.ManagementPolicyBaseBlobArgs(
                            delete=storage.DateAfterModificationArgs(
                                days_after_modification_greater_than=max(args.captures_days - 1, 1)
                            )
                        ),
                        version=_versions_deleted_after(args.captures_days),
                    ),
                    prefix=f"{contracts.Zone.CAPTURES}/",
                ),
            ]
        ),
        opts=opts,
    )


def _versions_deleted_after(days: int) -> storage.ManagementPolicyVersionArgs:
    return storage.ManagementPolicyVersionArgs(
        delete=storage.DateAfterCreationArgs(days_after_creation_greater_than=days)
    )


def _rule(
    name: str, actions: storage.ManagementPolicyActionArgs, prefix: str | None = None
) -> storage.ManagementPolicyRuleArgs:
    """A lifecycle rule for block blobs, of the whole account or below a prefix."""
    return storage.ManagementPolicyRuleArgs(
        name=name,
        type=storage.RuleType.LIFECYCLE,
        definition=storage.ManagementPolicyDefinitionArgs(
            actions=actions,
            filters=storage.ManagementPolicyFilterArgs(
                blob_types=["blockBlob"], prefix_match=[prefix] if prefix else None
            ),
        ),
    )
