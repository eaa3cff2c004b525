"""The Azure ML workspace that the model endpoints share, with its logs, its vault, its identity and its roles."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import applicationinsights, managedidentity, operationalinsights
from pulumi_azure_native import machinelearningservices as ml

from components import contracts, names
from components.azure import roles
from components.azure.data_lake import DataLake
from components.azure.dynamic.grants_in_force import GrantsInForce
from components.azure.foundation import Foundation
from components.azure.key_vault import key_vault

LOG_DAYS = 30


class Workspace(contracts.Workspace):
    """The workspace, as the identity that `_attachments` gives its roles, and its way to the lake's models."""

    workspace: ml.Workspace
    datastore: ml.Datastore
    """The lake's models container, as the workspace reads it."""

    def __init__(
        self, name: str, args: contracts.WorkspaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        # When there was one endpoint, all of this was part of it.
        former = pulumi.Alias(type_="triplane:azure:ModelEndpoint")
        super().__init__(
            "triplane:azure:Workspace",
            name,
            None,
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=[former])),
        )
        foundation, lake = Foundation.of(args.foundation), DataLake.of(args.lake)
        child = pulumi.ResourceOptions(parent=self)

        self.workspace, attachments = _workspace(name, foundation, lake, child)
        self.datastore = _datastore(
            f"{name}-models",
            foundation,
            lake,
            self.workspace,
            pulumi.ResourceOptions(parent=self, depends_on=attachments),
        )
        self.register_outputs({})


def _workspace(
    name: str, foundation: Foundation, lake: DataLake, child: pulumi.ResourceOptions
) -> tuple[ml.Workspace, list[pulumi.Resource]]:
    """The workspace, and the role assignments that a use of the lake through it depends on."""
    place = {"resource_group_name": foundation.group.name, "location": foundation.region}
    logs = operationalinsights.Workspace(
        f"{name}-logs",
        **place,
        sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
        retention_in_days=LOG_DAYS,
        tags=foundation.tags,
        opts=child,
    )
    insights = applicationinsights.Component(
        f"{name}-insights",
        **place,
        kind="web",
        application_type="web",
        ingestion_mode="LogAnalytics",
        workspace_resource_id=logs.id,
        tags=foundation.tags,
        opts=child,
    )
    vault = key_vault(f"{name}-kv", foundation, child)
    identity = managedidentity.UserAssignedIdentity(
        f"{name}-workspace-identity", **place, tags=foundation.tags, opts=child
    )
    scopes = {"lake": lake.account.id, "vault": vault.id, "insights": insights.id}
    attachments = _attachments(name, foundation, identity, scopes, child)
    workspace = ml.Workspace(
        # 3 to 33 characters; autonaming adds 8. A deleted workspace keeps its name for 14 days, so one
        # with a fixed name could not be created again. https://learn.microsoft.com/azure/machine-learning/concept-soft-delete
        names.short(f"{name}-ws", 25),
        **place,
        kind="Default",
        sku=ml.SkuArgs(name="Basic", tier="Basic"),
        identity=ml.ManagedServiceIdentityArgs(
            type=ml.ManagedServiceIdentityType.USER_ASSIGNED,
            user_assigned_identities=[identity.id],
        ),
        primary_user_assigned_identity=identity.id,
        storage_account=lake.account.id,
        system_datastores_auth_mode=ml.SystemDatastoresAuthMode.IDENTITY,
        key_vault=vault.id,
        application_insights=insights.id,
        public_network_access=ml.PublicNetworkAccessType.ENABLED,
        v1_legacy_mode=False,
        tags=foundation.tags,
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=attachments)),
    )
    return workspace, attachments


def _attachments(
    name: str,
    foundation: Foundation,
    identity: managedidentity.UserAssignedIdentity,
    scopes: dict[str, pulumi.Output[str]],
    child: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """The roles that the documentation requires for a user-assigned identity, each on the one resource.

    A system-assigned identity would get its roles from Azure ML itself: Azure AI Administrator of the whole resource
    group. No container registry is attached, because Azure ML builds no image here; so no role on one is needed.
    https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication#workspace
    """
    assignments = [
        roles.assign(
            f"{name}-workspace-{label}",
            principal=identity.principal_id,
            role=roles.built_in(foundation, role),
            scope=scopes[scope],
            opts=child,
        )
        for label, role, scope in (
            ("storage", "Contributor", "lake"),
            ("blobs", "Storage Blob Data Contributor", "lake"),
            ("vault", "Contributor", "vault"),
            ("secrets", "Key Vault Administrator", "vault"),
            ("insights", "Contributor", "insights"),
        )
    ]
    in_force = GrantsInForce(
        f"{name}-workspace-in-force", identity.principal_id, assignments, child
    )
    return [*assignments, in_force]


def _datastore(
    name: str,
    foundation: Foundation,
    lake: DataLake,
    workspace: ml.Workspace,
    opts: pulumi.ResourceOptions,
) -> ml.Datastore:
    return ml.Datastore(
        name,
        resource_group_name=foundation.group.name,
        workspace_name=workspace.name,
        name="models",
        properties=ml.AzureBlobDatastoreArgs(
            datastore_type="AzureBlob",
            account_name=lake.account.name,
            container_name=lake.containers[contracts.Zone.MODELS].name,
            # No secret: every reader has an identity of its own.
            credentials=ml.NoneDatastoreCredentialsArgs(credentials_type="None"),
            service_data_access_auth_identity=(
                ml.ServiceDataAccessAuthIdentity.WORKSPACE_USER_ASSIGNED_IDENTITY
            ),
            subscription_id=foundation.subscription,
            resource_group=foundation.group.name,
        ),
        opts=opts,
    )
