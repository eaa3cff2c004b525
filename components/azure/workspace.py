"""The Azure ML workspace that a model endpoint needs, with its logs, its vault, its identity and its roles."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import applicationinsights, managedidentity, operationalinsights
from pulumi_azure_native import machinelearningservices as ml

from components import names
from components.azure import roles
from components.azure.data_lake import DataLake
from components.azure.dynamic.grants_in_force import GrantsInForce
from components.azure.foundation import Foundation
from components.azure.key_vault import key_vault

LOG_DAYS = 30


@dataclass(frozen=True)
class Workspace:
    """A workspace, and the role assignments that a use of the lake through it depends on."""

    workspace: ml.Workspace
    attachments: list[pulumi.Resource]


def create_workspace(
    name: str, foundation: Foundation, lake: DataLake, child: pulumi.ResourceOptions
) -> Workspace:
    """The workspace, as the identity that `_attachments` gives its roles."""
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
    return Workspace(workspace, attachments)


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
