"""Managed identities, and the tokens from elsewhere that are accepted for them."""

from __future__ import annotations

from typing import ClassVar

from rehearsal.azure.ids import guid, within
from rehearsal.azure.resource_type import IDENTITY, AzureResourceType
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name

FEDERATED_CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"


class UserAssignedIdentity(AzureResourceType):
    """A managed identity: a principal of its own in the directory."""

    token = IDENTITY
    source = "https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftmanagedidentity"
    executes = "a web app with it gets its tokens from the identity endpoint"
    path = "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}"
    name = Name(
        property="resourceName",
        pattern=r"[a-zA-Z0-9][a-zA-Z0-9_-]*",
        min=3,
        max=128,
        rule="3 to 128 letters, digits, hyphens and underscores, beginning with a letter or digit",
        unique=("resourceGroupName",),
    )

    def on_create(self, context: Context, record: Record) -> None:
        seed = f"{record.id}{record.created}"
        record.outputs |= {
            "principalId": guid(seed, "principal"),
            "clientId": guid(seed, "client"),
            "tenantId": context.account.azure_tenant,
        }


class FederatedIdentityCredential(AzureResourceType):
    """An issuer and a subject whose tokens are exchanged for tokens of a managed identity."""

    token = FEDERATED_CREDENTIAL
    source = (
        "https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations"
    )
    path = (
        "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}"
        "/federatedIdentityCredentials/{federatedIdentityCredentialResourceName}"
    )
    name = Name(
        property="federatedIdentityCredentialResourceName",
        pattern=r"[a-zA-Z0-9][a-zA-Z0-9_-]*",
        min=3,
        max=120,
        rule="3 to 120 letters, digits, hyphens and underscores, beginning with a letter or digit",
        unique=("resourceGroupName", "resourceName"),
    )
    references: ClassVar = {"resourceName": IDENTITY}
    MAX_CREDENTIALS = 20

    def on_create(self, context: Context, record: Record) -> None:
        identity, _, _ = record.id.partition("/federatedIdentityCredentials/")
        others = [each for each in context.all(self.token) if within(each.id, identity)]
        if len(others) >= self.MAX_CREDENTIALS:
            raise Refusal(
                "FederatedIdentityCredentialsLimitExceeded",
                f"An identity takes {self.MAX_CREDENTIALS} federated identity credentials at most.",
            )
        wanted = (record.inputs["issuer"], record.inputs["subject"])
        if wanted in [(each.inputs["issuer"], each.inputs["subject"]) for each in others]:
            raise Refusal(
                "Conflict",
                "Issuer and subject combination already exists for this managed identity.",
            )
