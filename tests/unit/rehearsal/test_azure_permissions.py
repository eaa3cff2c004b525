"""Which action a request to Azure's Resource Manager needs, and what roles allow."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
import pytest

from rehearsal.azure import (
    actions,
    app_service,
    credentials,
    key_vault,
    permissions,
    required_permissions,
    routes,
)
from rehearsal.azure.ids import guid
from rehearsal.azure.profile import PROFILE
from rehearsal.azure.resource_type import GROUP as GROUP_TYPE
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context
from tests.unit.rehearsal.azure_subscription import Subscription, deployed_endpoint

CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
GROUP = "/subscriptions/s/resourceGroups/rg"
APP = f"{GROUP}/providers/Microsoft.Web/sites/app"


@pytest.mark.parametrize(
    ("method", "path", "action", "scope"),
    [
        ("PUT", APP, "Microsoft.Web/sites/write", APP),
        ("PATCH", APP, "Microsoft.Web/sites/write", APP),
        ("DELETE", APP, "Microsoft.Web/sites/delete", APP),
        ("GET", f"{APP}/slots", "Microsoft.Web/sites/slots/read", APP),
        (
            "POST",
            f"{APP}/config/appsettings/list",
            "Microsoft.Web/sites/config/list/action",
            f"{APP}/config/appsettings",
        ),
        ("POST", f"{APP}/restart", "Microsoft.Web/sites/restart/action", APP),
        (
            "PUT",
            f"{APP}/providers/Microsoft.Authorization/roleAssignments/guid",
            "Microsoft.Authorization/roleAssignments/write",
            f"{APP}/providers/Microsoft.Authorization/roleAssignments/guid",
        ),
        ("DELETE", GROUP, "Microsoft.Resources/subscriptions/resourceGroups/delete", GROUP),
        ("GET", "/subscriptions/s", "Microsoft.Resources/subscriptions/read", "/subscriptions/s"),
        (
            "POST",
            "/providers/Microsoft.Authorization/elevateAccess",
            "Microsoft.Authorization/elevateAccess/action",
            "/providers/Microsoft.Authorization",
        ),
    ],
)
def test_the_action_of_a_request_follows_from_its_method_and_address(
    method: str, path: str, action: str, scope: str
) -> None:
    assert actions.needed(method, path) == (action, scope)


@pytest.fixture
def azure(live_context: Context) -> Subscription:
    return Subscription(live_context)


def allows(azure: Subscription, principal: str, action: str) -> bool:
    return permissions.allowed(azure.context, principal, action, azure.group.id)


def test_a_contributor_gives_nobody_a_role(azure: Subscription) -> None:
    principal = azure.identity().outputs["principalId"]
    azure.grant(principal, CONTRIBUTOR, azure.group.id)
    assert allows(azure, principal, "Microsoft.Web/sites/write")
    assert allows(azure, principal, "Microsoft.Authorization/roleAssignments/read")
    for verb in ("write", "delete"):
        assert not allows(azure, principal, f"Microsoft.Authorization/roleAssignments/{verb}")
    assert not allows(azure, principal, "Microsoft.Authorization/elevateAccess/action")


def test_a_custom_role_allows_nothing_that_it_excludes(azure: Subscription) -> None:
    principal = azure.identity().outputs["principalId"]
    role = azure.custom("role", actions=["Microsoft.Web/*"], notActions=["Microsoft.Web/*/delete"])
    azure.grant(principal, role.id, azure.group.id)
    assert allows(azure, principal, "Microsoft.Web/sites/write")
    assert not allows(azure, principal, "Microsoft.Web/sites/delete")


def test_an_assignment_whose_condition_is_not_evaluated_allows_nothing(azure: Subscription) -> None:
    principal = azure.identity().outputs["principalId"]
    assignment = azure.grant(principal, CONTRIBUTOR, azure.group.id)
    assignment.inputs |= {"condition": "@Resource[…] StringEquals 'a'", "conditionVersion": "2.0"}
    azure.context.save(assignment)
    assert not allows(azure, principal, "Microsoft.Web/sites/write")


def test_the_resource_manager_refuses_every_request_that_no_role_allows(
    azure: Subscription,
) -> None:
    """Also those that are not rehearsed: another client than the provider may make them."""
    endpoint = deployed_endpoint(azure)
    stranger = azure.identity("stranger").outputs["principalId"]
    host = routes.resource_manager_host(azure.context)

    def answer(principal: str, method: str, path: str, body: Any = None) -> tuple[int, str]:
        token, _ = credentials.token(azure.context, principal, "client", routes.MANAGEMENT)
        answer = httpx.request(
            method,
            f"https://{host}{path}?api-version=1",
            json=body,
            headers={"authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=azure.context.authority.bundle),
        )
        return answer.status_code, answer.json()["error"]["code"] if answer.is_error else ""

    for method in ("DELETE", "GET", "PATCH", "PUT"):
        assert answer(stranger, method, endpoint.id) == (403, "AuthorizationFailed"), method
    traffic = {"properties": {"traffic": {"blue": 100}}}
    assert answer(stranger, "PUT", endpoint.id, traffic) == (403, "AuthorizationFailed")
    keys = f"{azure.group.id}/providers/Microsoft.Storage/storageAccounts/lake/listKeys"
    assert answer(stranger, "POST", keys) == (403, "AuthorizationFailed")
    above = f"/subscriptions/{azure.context.account.azure_subscription}"
    for place in (azure.group.id, above):
        owner = f"{place}/providers/Microsoft.Authorization/roleAssignments/guid"
        assert answer(stranger, "PUT", owner, {}) == (403, "AuthorizationFailed")
    deployer = azure.context.account.azure_object
    assert answer(deployer, "PUT", endpoint.id, traffic)[0] == 200
    assert answer(deployer, "POST", keys) == (501, "NotRehearsed")


def test_a_resource_gets_only_an_identity_that_its_writer_may_assign(azure: Subscription) -> None:
    writer = azure.identity("writer").outputs["principalId"]
    role = azure.custom("role", actions=["Microsoft.Web/sites/write"])
    azure.grant(writer, role.id, azure.group.id)
    other = azure.identity("other")
    token, _ = credentials.token(azure.context, writer, "client", routes.MANAGEMENT)
    answer = httpx.put(
        f"https://{routes.resource_manager_host(azure.context)}{azure.group.id}"
        "/providers/Microsoft.Web/sites/app?api-version=1",
        json={"identity": {"type": "UserAssigned", "userAssignedIdentities": {other.id: {}}}},
        headers={"authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=azure.context.authority.bundle),
    )
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "LinkedAuthorizationFailed"


@pytest.mark.parametrize("method", ["DELETE", "GET", "PUT"])
def test_a_vault_tells_nobody_without_a_role_which_secrets_it_has(
    azure: Subscription, method: str
) -> None:
    vault = azure.create(
        key_vault.VAULT,
        vaultName="keys",
        location="westeurope",
        properties={"sku": {"name": "standard", "family": "A"}, "tenantId": "t"},
    )
    secret = azure.create(
        key_vault.SECRET, vaultName="keys", secretName="key", properties={"value": "hidden"}
    )
    stranger = azure.identity().outputs["principalId"]
    token, _ = credentials.token(azure.context, stranger, "client", key_vault.AUDIENCE)
    address = f"{vault.outputs['properties']['vaultUri']}secrets"
    assert secret.outputs["properties"]["secretUri"] == f"{address}/key"
    for name in ("key", "missing"):
        answer = httpx.request(
            method,
            f"{address}/{name}",
            headers={"authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=azure.context.authority.bundle),
        )
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "Forbidden"


class Pipeline:
    """azure-native with the settings of a pipeline that signs in as an identity."""

    def __init__(self, azure: Subscription) -> None:
        self.azure = azure
        identity = azure.identity("pipeline")
        self.principal = identity.outputs["principalId"]
        self.config = {"clientId": identity.outputs["clientId"]}

    def grant(self, scope: str, *allowed: str) -> None:
        role = self.azure.create(
            permissions.DEFINITION,
            roleDefinitionId=guid(scope, *allowed),
            roleName=f"{scope} {allowed}",
            scope=scope,
            permissions=[{"actions": list(allowed)}],
            assignableScopes=[scope],
        )
        self.azure.grant(self.principal, role.id, scope)

    def refusal(self, step: str, token: str, existing: Record | None = None, **inputs: Any) -> str:
        """Why a step is refused; empty: it is not."""
        assert PROFILE.require_for_step
        inputs = existing.inputs if existing else inputs
        try:
            PROFILE.require_for_step(self.azure.context, self.config, step, token, inputs, existing)
        except Refusal as refused:
            return str(refused)
        return ""


def test_a_custom_role_is_read_at_the_subscription_wherever_it_can_be_assigned(
    azure: Subscription,
) -> None:
    pipeline = Pipeline(azure)
    role = azure.custom("role", actions=["Microsoft.Web/sites/read"])
    read = "Microsoft.Authorization/roleDefinitions/read"
    pipeline.grant(azure.group.id, read)
    refusal = pipeline.refusal("read", permissions.DEFINITION, role)
    assert f"perform action '{read}' over scope '{role.id}'" in refusal
    pipeline.grant(f"/subscriptions/{azure.context.account.azure_subscription}", read)
    assert pipeline.refusal("read", permissions.DEFINITION, role) == ""


def test_a_step_of_the_engine_needs_the_rights_of_its_identity(azure: Subscription) -> None:
    pipeline = Pipeline(azure)
    site = app_service.WebApp.token
    app = {
        "resourceGroupName": "rg",
        "name": "app",
        "serverFarmId": f"{azure.group.id}/providers/Microsoft.Web/serverfarms/plan",
        "identity": {"userAssignedIdentities": [azure.identity("worker").id]},
    }
    for lacking in (
        "Microsoft.Web/sites/read",
        "Microsoft.Web/sites/write",
        required_permissions.ASSIGN,
        required_permissions.JOIN_PLAN,
    ):
        assert f"action '{lacking}'" in pipeline.refusal("create", site, **app)
        pipeline.grant(azure.group.id, lacking)
    assert pipeline.refusal("create", site, **app) == ""
    made = Record(
        "azure-native", site, f"{azure.group.id}/providers/Microsoft.Web/sites/app", "", app, {}
    )
    assert pipeline.refusal("update", site, made) == ""
    assert "action 'Microsoft.Web/sites/delete'" in pipeline.refusal("delete", site, made)
    assert "resourceGroups/delete'" in pipeline.refusal("delete", GROUP_TYPE, azure.group)


def test_a_step_without_an_identity_of_the_stack_in_the_settings_is_the_deployers(
    azure: Subscription,
) -> None:
    pipeline = Pipeline(azure)
    assert pipeline.refusal("delete", GROUP_TYPE, azure.group)
    for settings in ({}, {"clientId": azure.context.account.azure_client}):
        pipeline.config = settings
        assert pipeline.refusal("delete", GROUP_TYPE, azure.group) == ""


BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
SPACES = "Microsoft.MachineLearningServices/workspaces"
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
BUILT_IN: dict[str, tuple[str, list[str], list[str]]] = {
    # The role; what it allows; what it does not. Data actions begin with "data ".
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": (
        "Owner",
        [
            "Microsoft.Storage/storageAccounts/write",
            "Microsoft.Authorization/roleAssignments/write",
        ],
        [f"data {BLOB}/read"],
    ),
    "b24988ac-6180-42a0-ab88-20f7382dd24c": (
        "Contributor",
        ["Microsoft.Storage/storageAccounts/write", "Microsoft.Authorization/roleAssignments/read"],
        [
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "Microsoft.Authorization/elevateAccess/action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
            f"data {BLOB}/read",
        ],
    ),
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": (
        "Reader",
        ["Microsoft.Web/sites/read"],
        ["Microsoft.Web/sites/write", "Microsoft.Web/sites/config/list/action"],
    ),
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": (
        "Storage Blob Data Reader",
        ["Microsoft.Storage/storageAccounts/blobServices/containers/read", f"data {BLOB}/read"],
        ["Microsoft.Storage/storageAccounts/read", f"data {BLOB}/write", f"{BLOB}/read"],
    ),
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": (
        "Storage Blob Data Contributor",
        [
            "Microsoft.Storage/storageAccounts/blobServices/containers/write",
            *(f"data {BLOB}/{v}" for v in ("read", "write", "delete", "add/action", "move/action")),
        ],
        [f"data {BLOB}/manageOwnership/action", "Microsoft.Storage/storageAccounts/write"],
    ),
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": (
        "Storage Blob Data Owner",
        [
            "Microsoft.Storage/storageAccounts/blobServices/containers/delete",
            f"data {BLOB}/manageOwnership/action",
        ],
        ["Microsoft.Storage/storageAccounts/delete"],
    ),
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": (
        "AcrPull",
        ["Microsoft.ContainerRegistry/registries/pull/read"],
        ["Microsoft.ContainerRegistry/registries/push/write"],
    ),
    "8311e382-0749-4cb8-b61a-304f252e45ec": (
        "AcrPush",
        [
            "Microsoft.ContainerRegistry/registries/pull/read",
            "Microsoft.ContainerRegistry/registries/push/write",
        ],
        ["Microsoft.ContainerRegistry/registries/delete"],
    ),
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": (
        "Key Vault Administrator",
        ["Microsoft.KeyVault/vaults/secrets/read", "data Microsoft.KeyVault/vaults/keys/read"],
        ["Microsoft.KeyVault/vaults/write"],
    ),
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": (
        "Key Vault Secrets Officer",
        ["data Microsoft.KeyVault/vaults/secrets/setSecret/action"],
        ["data Microsoft.KeyVault/vaults/keys/read", "Microsoft.KeyVault/vaults/read"],
    ),
    "4633458b-17de-408a-b874-0445c86b69e6": (
        "Key Vault Secrets User",
        [
            "data Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "data Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
        ["data Microsoft.KeyVault/vaults/secrets/setSecret/action"],
    ),
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": (
        "AzureML Data Scientist",
        [f"{SPACES}/onlineEndpoints/write", f"{SPACES}/computes/read"],
        [
            f"{SPACES}/delete",
            f"{SPACES}/write",
            f"{SPACES}/computes/cpu/write",
            f"{SPACES}/computes/cpu/delete",
            f"{SPACES}/computes/listKeys/action",
            f"{SPACES}/listKeys/action",
            "Microsoft.Web/sites/read",
        ],
    ),
}


def test_a_built_in_role_allows_what_azure_lists_of_it(azure: Subscription) -> None:
    assert {id: name for id, (name, _, _) in permissions.BUILT_IN.items()} == {
        id: name for id, (name, _, _) in BUILT_IN.items()
    }
    for number, (role, (name, allowed, refused)) in enumerate(BUILT_IN.items()):
        principal = azure.identity(f"worker{number}").outputs["principalId"]
        azure.grant(principal, role, azure.group.id)
        for listed, expected in ((allowed, True), (refused, False)):
            for each in listed:
                action, is_data = each.removeprefix("data "), each.startswith("data ")
                found = permissions.allowed(
                    azure.context, principal, action, azure.group.id, data=is_data
                )
                assert found is expected, (name, each)
        elsewhere = azure.group.id.replace("/rg", "/other")
        action, is_data = allowed[0].removeprefix("data "), allowed[0].startswith("data ")
        assert not permissions.allowed(azure.context, principal, action, elsewhere, data=is_data)
