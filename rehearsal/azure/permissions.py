"""What a caller may do: role assignments, built-in and custom roles.

Each service refuses in words of its own, so there is only `allowed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from rehearsal.azure import conditions
from rehearsal.azure.ids import same, within
from rehearsal.core.records import Record
from rehearsal.provider.context import Context

ASSIGNMENT = "azure-native:authorization:RoleAssignment"
DEFINITION = "azure-native:authorization:RoleDefinition"
BLOBS = conditions.BLOBS

# Of the built-in roles what the rehearsal checks: their actions and data actions.
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
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


# What two of them exclude of their actions.
NOT_ACTIONS = {
    "b24988ac-6180-42a0-ab88-20f7382dd24c": (
        "Microsoft.Authorization/*/Delete",
        "Microsoft.Authorization/*/Write",
        "Microsoft.Authorization/elevateAccess/Action",
        "Microsoft.Blueprint/blueprintAssignments/write",
        "Microsoft.Blueprint/blueprintAssignments/delete",
        "Microsoft.Compute/galleries/share/action",
    ),
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": (
        "Microsoft.MachineLearningServices/workspaces/delete",
        "Microsoft.MachineLearningServices/workspaces/write",
        "Microsoft.MachineLearningServices/workspaces/computes/*/write",
        "Microsoft.MachineLearningServices/workspaces/computes/*/delete",
        "Microsoft.MachineLearningServices/workspaces/computes/listKeys/action",
        "Microsoft.MachineLearningServices/workspaces/listKeys/action",
    ),
}


def allowed(
    context: Context,
    principal: str,
    action: str,
    scope: str,
    *,
    data: bool = False,
    suboperation: str = "",
    attributes: Mapping[str, str] | None = None,
) -> bool:
    """Whether a principal holds a role that allows an action on a scope.

    The deployer is Owner of the subscription, which allows every action and no data action, and
    Storage Blob Data Reader of it, to read what is in the lake.
    https://learn.microsoft.com/azure/role-based-access-control/role-definitions#control-and-data-actions
    ``suboperation`` and ``attributes`` are what the conditions of assignments compare (`conditions`).
    """
    asked = conditions.Asked(action, suboperation, attributes or {})
    if principal == context.account.azure_object and (not data or action == f"{BLOBS}/read"):
        return True
    return any(
        within(scope, each.inputs["scope"])
        and _allows(context, each.inputs["roleDefinitionId"], action.lower(), data)
        for each in context.in_force(ASSIGNMENT)
        if each.inputs["principalId"] == principal and _is_fulfilled(each, asked)
    )


def _is_fulfilled(assignment: Record, asked: conditions.Asked) -> bool:
    """Whether an assignment's condition allows what is asked for. One that is not evaluated allows nothing."""
    condition = assignment.inputs.get("condition")
    try:
        return not condition or conditions.holds(condition, asked)
    except conditions.Unsupported:
        return False


def custom_role(context: Context, role: str) -> Record | None:
    """The custom role with this id, if the id is one of a custom role."""
    return next((r for r in context.all(DEFINITION) if same(r.id, role)), None)


def _allows(context: Context, role: str, action: str, data: bool) -> bool:
    """Whether a role allows an action: a block of its permissions has it, and does not exclude it.

    A custom role that is not in force yet allows nothing.
    """
    custom = next((r for r in context.in_force(DEFINITION) if same(r.id, role)), None)
    if custom is None:
        guid = role.rpartition("/")[2]
        _, actions, data_actions = BUILT_IN.get(guid, ("", (), ()))
        excluded = () if data else NOT_ACTIONS.get(guid, ())
        return _matches(action, data_actions if data else actions) and not _matches(
            action, excluded
        )
    kinds = ("dataActions", "notDataActions") if data else ("actions", "notActions")
    return any(
        _matches(action, block.get(kinds[0]) or ())
        and not _matches(action, block.get(kinds[1]) or ())
        for block in custom.inputs["permissions"]
    )


def _matches(action: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(action, pattern.lower()) for pattern in patterns)
