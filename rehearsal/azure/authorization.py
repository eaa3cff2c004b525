"""Who may do what on Azure: identities, roles, assignments, and the tokens that prove who asks."""

from __future__ import annotations

import secrets
import time
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import jwt

from rehearsal.azure.resource_manager import IDENTITY, AzureResourceType, guid
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

ASSIGNMENT = "azure-native:authorization:RoleAssignment"
DEFINITION = "azure-native:authorization:RoleDefinition"
ROLES = "https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"
GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"

# Of the built-in roles: what they allow (actions, data actions), as far as anything here asks.
BUILT_IN: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": ("Owner", ("*",), ()),
    "b24988ac-6180-42a0-ab88-20f7382dd24c": ("Contributor", ("*",), ()),
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": ("Reader", ("*/read",), ()),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": (
        "Storage Blob Data Reader",
        ("Microsoft.Storage/storageAccounts/blobServices/containers/read",),
        (f"{BLOBS}/read",),
    ),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": (
        "Storage Blob Data Contributor",
        ("Microsoft.Storage/storageAccounts/blobServices/containers/*",),
        tuple(
            f"{BLOBS}/{verb}" for verb in ("read", "write", "delete", "add/action", "move/action")
        ),
    ),
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": (
        "Storage Blob Data Owner",
        ("Microsoft.Storage/storageAccounts/blobServices/containers/*",),
        (f"{BLOBS}/*",),
    ),
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": (
        "AcrPull",
        ("Microsoft.ContainerRegistry/registries/pull/read",),
        (),
    ),
    "8311e382-0749-4cb8-b61a-304f252e45ec": (
        "AcrPush",
        (
            "Microsoft.ContainerRegistry/registries/pull/read",
            "Microsoft.ContainerRegistry/registries/push/write",
        ),
        (),
    ),
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": (
        "Key Vault Administrator",
        ("Microsoft.KeyVault/vaults/*/read",),
        ("Microsoft.KeyVault/vaults/*",),
    ),
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": (
        "Key Vault Secrets Officer",
        (),
        ("Microsoft.KeyVault/vaults/secrets/*",),
    ),
    "4633458b-17de-408a-b874-0445c86b69e6": (
        "Key Vault Secrets User",
        (),
        (
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ),
    ),
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": (
        "AzureML Data Scientist",
        ("Microsoft.MachineLearningServices/workspaces/*",),
        (),
    ),
}


class UserAssignedIdentity(AzureResourceType):
    """A managed identity: a principal of its own in the directory."""

    token = IDENTITY
    source = "https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftmanagedidentity"
    executes = "the web app that carries it gets tokens of its name from the identity endpoint"
    path = "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}"
    name = Name(
        property="resourceName",
        pattern=r"[a-zA-Z0-9][a-zA-Z0-9_-]*",
        min=3,
        max=128,
        says="3 to 128 letters, digits, hyphens and underscores, beginning with a letter or digit",
        unique=("resourceGroupName",),
    )

    def make(self, context: Context, record: Record) -> None:
        seed = f"{record.id}{record.created}"
        record.outputs |= {
            "principalId": guid(seed, "principal"),
            "clientId": guid(seed, "client"),
            "tenantId": context.account.azure_tenant,
        }


class FederatedIdentityCredential(AzureResourceType):
    """Whose tokens a managed identity is given out for."""

    token = "azure-native:managedidentity:FederatedIdentityCredential"
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
        says="3 to 120 letters, digits, hyphens and underscores, beginning with a letter or digit",
        unique=("resourceGroupName", "resourceName"),
    )
    references: ClassVar = {"resourceName": IDENTITY}
    MOST = 20

    def make(self, context: Context, record: Record) -> None:
        identity, _, _ = record.id.partition("/federatedIdentityCredentials/")
        others = [each for each in context.all(self.token) if within(each.id, identity)]
        if len(others) >= self.MOST:
            raise Refusal(
                "FederatedIdentityCredentialsLimitExceeded",
                f"An identity takes {self.MOST} federated identity credentials at most.",
            )
        wanted = (record.inputs["issuer"], record.inputs["subject"])
        if wanted in [(each.inputs["issuer"], each.inputs["subject"]) for each in others]:
            raise Refusal(
                "Conflict",
                "Issuer and subject combination already exists for this managed identity.",
            )


class RoleDefinition(ResourceType):
    """A custom role."""

    token = DEFINITION
    source = "https://learn.microsoft.com/azure/role-based-access-control/custom-roles"
    executes = "checked wherever the rehearsal checks roles"
    name = Name(
        property="roleDefinitionId",
        pattern=GUID,
        max=36,
        says="a GUID",
        form="uuid",
        taken="RoleDefinitionAlreadyExists",
    )

    def create(self, context: Context, record: Record) -> None:
        title = record.inputs.get("roleName")
        if any(r.inputs.get("roleName") == title for r in context.all(self.token)):
            raise Refusal(
                "RoleDefinitionWithSameNameExists",
                f"A custom role with the name '{title}' exists already in this directory; the names"
                " of custom roles are unique in it.",
            )
        identifier = record.inputs["roleDefinitionId"]
        record.id = (
            f"/subscriptions/{context.account.azure_subscription}"
            f"/providers/Microsoft.Authorization/roleDefinitions/{identifier}"
        )
        record.outputs |= {"name": identifier, "type": "Microsoft.Authorization/roleDefinitions"}

    def delete(self, context: Context, record: Record) -> None:
        if any(same(r.inputs["roleDefinitionId"], record.id) for r in context.all(ASSIGNMENT)):
            raise Refusal(
                "RoleDefinitionHasAssignments",
                "There are existing role assignments referencing role "
                f"(code: {record.outputs['name']}); delete them first.",
            )


class RoleAssignment(ResourceType):
    """A role, to a principal, on a scope."""

    token = ASSIGNMENT
    source = "https://learn.microsoft.com/azure/role-based-access-control/troubleshooting"
    executes = (
        "checked at the scoring route, the blobs, image pulls and pushes, and Key Vault references"
    )
    replace_on = frozenset({"principalId", "roleDefinitionId", "scope"})
    name = Name(
        property="roleAssignmentName",
        pattern=GUID,
        max=36,
        says="a GUID",
        form="uuid",
        unique=("scope",),
        taken="RoleAssignmentExists",
    )

    def create(self, context: Context, record: Record) -> None:
        wanted = {key: record.inputs[key] for key in ("principalId", "roleDefinitionId", "scope")}
        for other in context.all(self.token):
            if all(same(other.inputs[key], value) for key, value in wanted.items()):
                raise Refusal("RoleAssignmentExists", "The role assignment already exists.")
        principal = wanted["principalId"]
        if principal != context.account.azure_object and not context.find(
            IDENTITY, principalId=principal
        ):
            raise Refusal(
                "PrincipalNotFound",
                f"Principal {principal.replace('-', '')} does not exist in the directory"
                f" {context.account.azure_tenant}. Check that you have the correct principal ID.",
            )
        role = wanted["roleDefinitionId"]
        custom = definition(context, role)
        if custom is None and role.rpartition("/")[2] not in BUILT_IN:
            raise Refusal(
                "RoleDefinitionDoesNotExist",
                f"The specified role definition with ID '{role.rpartition('/')[2]}' does not exist.",
            )
        scope = wanted["scope"]
        if custom and not any(within(scope, s) for s in custom.inputs["assignableScopes"]):
            raise Refusal(
                "RoleAssignmentScopeNotAssignableToRoleDefinition",
                f"The custom role '{custom.inputs['roleName']}' is not assignable at '{scope}'.",
            )
        identifier = record.inputs["roleAssignmentName"]
        record.id = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{identifier}"
        record.outputs |= {"name": identifier, "type": "Microsoft.Authorization/roleAssignments"}


def definition(context: Context, role: str) -> Record | None:
    """The custom role with this id, if it is one."""
    return next((r for r in context.all(DEFINITION) if same(r.id, role)), None)


def may(context: Context, principal: str, action: str, scope: str, *, data: bool = False) -> bool:
    """Whether a principal holds a role that allows an action on a scope.

    Who runs Pulumi is Owner of the subscription, which allows every action and no data action, and
    Storage Blob Data Reader of it, so as to look into the lake.
    https://learn.microsoft.com/azure/role-based-access-control/role-definitions#control-and-data-actions
    """
    if principal == context.account.azure_object and (not data or action == f"{BLOBS}/read"):
        return True
    return any(
        within(scope, each.inputs["scope"])
        and any(
            fnmatchcase(action.lower(), pattern.lower())
            for pattern in _allowed(context, each.inputs["roleDefinitionId"], data)
        )
        for each in context.all(ASSIGNMENT)
        if each.inputs["principalId"] == principal
    )


def _allowed(context: Context, role: str, data: bool) -> list[str]:
    custom = definition(context, role)
    if custom is None:
        _, actions, data_actions = BUILT_IN[role.rpartition("/")[2]]
        return list(data_actions if data else actions)
    key = "dataActions" if data else "actions"
    return [each for block in custom.inputs["permissions"] for each in block.get(key) or ()]


def within(scope: str, outer: str) -> bool:
    """Whether a scope is another one, or below it."""
    return f"{scope}/".lower().startswith(f"{outer.rstrip('/')}/".lower())


def same(one: str, other: str) -> bool:
    """Whether two ids are the same: Azure does not mind the case."""
    return one.lower() == other.lower()


# Tokens: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference


def key(context: Context, name: str) -> str:
    """A secret of this rehearsal, made at its first use."""
    found: str | None = context.kv.get("azure-keys", name)
    if found is None:
        found = secrets.token_urlsafe(32)
        context.kv.put("azure-keys", name, found)
    return found


def token(context: Context, principal: str, client: str, audience: str) -> tuple[str, int]:
    """An access token and when it ends; signed with the rehearsal's own key."""
    now = int(time.time())
    claims: Json = {
        "aud": audience.removesuffix("/.default").rstrip("/"),
        "iss": f"https://sts.windows.net/{context.account.azure_tenant}/",
        "tid": context.account.azure_tenant,
        "oid": principal,
        "sub": principal,
        "appid": client,
        "ver": "1.0",
        "iat": now,
        "nbf": now - 60,
        "exp": now + 3600,
    }
    return jwt.encode(claims, key(context, "tokens"), algorithm="HS256"), claims["exp"]


def bearer(context: Context, authorization: str | None, audience: str) -> str | None:
    """The principal of an ``Authorization`` header; None if it proves nothing for this audience."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        claims: dict[str, Any] = jwt.decode(
            value, key(context, "tokens"), algorithms=["HS256"], audience=audience
        )
    except jwt.InvalidTokenError:
        return None
    return str(claims["oid"])


def callers(context: Context, header: str) -> list[Record] | None:
    """The identities that the bearer of an ``IDENTITY_HEADER`` may use; None: the header is wrong."""
    ids = context.kv.get("azure-callers", header)
    if ids is None:
        return None
    return [record for record in context.all(IDENTITY) if record.id in ids]
