"""The rules of the rehearsed Azure: what it refuses, in the words of Azure, and what it allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.azure.dynamic.grants_in_force import GrantsInForceProvider
from rehearsal.azure import app_service, key_vault, machine_learning, permissions, storage
from rehearsal.azure.ids import guid
from rehearsal.azure.resource_type import GROUP, IDENTITY
from rehearsal.core import behaviour
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.grants import Grants
from tests.unit.rehearsal.azure_subscription import (
    READER,
    SECRETS_USER,
    Subscription,
    deployed_endpoint,
)


@pytest.fixture
def azure(live_context: Context) -> Subscription:
    return Subscription(live_context)


def test_every_resource_needs_an_existing_resource_group(azure: Subscription) -> None:
    with pytest.raises(Refusal, match="ResourceGroupNotFound: Resource group 'no'"):
        azure.create(IDENTITY, resourceName="worker", resourceGroupName="no")


@pytest.mark.parametrize("name", ["UPPER", "with-hyphen", "ab", "a" * 25])
def test_the_name_of_a_storage_account_is_short_lower_case_letters_and_digits(
    azure: Subscription, name: str
) -> None:
    with pytest.raises(CheckFailure, match="accountName"):
        azure.create(storage.ACCOUNT, accountName=name)


def many(count: int) -> dict[str, str]:
    return {f"key-{number}": "" for number in range(count)}


@pytest.mark.parametrize(
    ("token", "taken", "refused", "reason"),
    [
        (key_vault.SECRET, many(15), many(16), "at most 15 tags are allowed, not 16"),
        (
            "azure-native:monitor:AutoscaleSetting",
            many(15),
            many(16),
            "at most 15 tags are allowed, not 16",
        ),
        (GROUP, many(50), many(51), "at most 50 tags are allowed, not 51"),
        (
            key_vault.VAULT,
            {"k" * 512: "v" * 256},
            {"k" * 513: ""},
            "a name has 1 to 512 characters",
        ),
        (storage.ACCOUNT, {"k" * 128: ""}, {"k" * 129: ""}, "a name has 1 to 128 characters"),
        (GROUP, {}, {"cost/centre": ""}, "InvalidTagNameCharacters"),
        (GROUP, {}, {"team": "", "Team": ""}, "differ in case alone"),
        (GROUP, {}, {"Microsoft-team": ""}, "which Azure reserves"),
    ],
)
def test_tags_follow_the_limits_of_each_service(
    azure: Subscription, token: str, taken: dict[str, str], refused: dict[str, str], reason: str
) -> None:
    rules = azure.types[token]
    rules.check(azure.context, Inputs({"tags": taken}))
    with pytest.raises(CheckFailure, match=reason):
        rules.check(azure.context, Inputs({"tags": refused}))


def test_a_second_assignment_of_the_same_role_is_refused(azure: Subscription) -> None:
    principal = azure.identity().outputs["principalId"]
    azure.grant(principal, READER, azure.group.id)
    with pytest.raises(Refusal, match="RoleAssignmentExists: The role assignment already exists"):
        azure.create(
            permissions.ASSIGNMENT,
            roleAssignmentName=guid("another name"),
            principalId=principal,
            roleDefinitionId=f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{READER}",
            scope=azure.group.id,
        )


def test_a_role_assignment_needs_an_existing_principal_and_definition(azure: Subscription) -> None:
    with pytest.raises(Refusal, match="PrincipalNotFound"):
        azure.grant("00000000-0000-4000-8000-000000000000", READER, azure.group.id)
    principal = azure.identity().outputs["principalId"]
    with pytest.raises(Refusal, match="RoleDefinitionDoesNotExist"):
        azure.grant(principal, "00000000-0000-4000-8000-000000000000", azure.group.id)


@pytest.mark.parametrize("actual", ["User", "ServicePrincipal"])
def test_a_role_assignment_names_the_type_of_its_principal_or_none(
    live_context: Context, actual: str
) -> None:
    account = replace(live_context.account, azure_principal_type=actual)
    azure = Subscription(replace(live_context, account=account))
    other = {"User": "ServicePrincipal", "ServicePrincipal": "User"}[actual]
    inputs = {
        "roleAssignmentName": guid("a"),
        "principalId": account.azure_object,
        "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{READER}",
        "scope": azure.group.id,
    }
    with pytest.raises(Refusal, match=f"has type '{actual}' , which is different .* '{other}'"):
        azure.create(permissions.ASSIGNMENT, **inputs, principalType=other)
    made = azure.create(permissions.ASSIGNMENT, **inputs)
    assert made.outputs["principalType"] == actual


def test_a_custom_role_is_assigned_in_its_scopes_and_not_deleted_while_assigned(
    azure: Subscription,
) -> None:
    principal = azure.identity().outputs["principalId"]
    role = azure.custom("caller", actions=[machine_learning.SCORE])
    with pytest.raises(Refusal, match="RoleAssignmentScopeNotAssignableToRoleDefinition"):
        azure.grant(principal, role.id, "/subscriptions/other")
    azure.grant(principal, role.id, azure.group.id)
    with pytest.raises(Refusal, match="RoleDefinitionHasAssignments"):
        azure.delete(role)
    with pytest.raises(Refusal, match="RoleDefinitionWithSameNameExists"):
        azure.create(
            permissions.DEFINITION,
            **{**role.inputs, "roleDefinitionId": guid("other")},
        )


def test_a_role_applies_to_its_scope_and_below_and_nowhere_else(azure: Subscription) -> None:
    context = azure.context
    principal = azure.identity().outputs["principalId"]
    role = azure.custom("caller", actions=[machine_learning.SCORE])
    azure.grant(principal, role.id, f"{azure.group.id}/providers/a/one")
    assert permissions.allowed(
        context, principal, machine_learning.SCORE, f"{azure.group.id}/providers/a/one"
    )
    assert permissions.allowed(
        context, principal, machine_learning.SCORE, f"{azure.group.id}/providers/a/one/b/two"
    )
    assert not permissions.allowed(
        context, principal, machine_learning.SCORE, f"{azure.group.id}/providers/a/one-more"
    )
    assert not permissions.allowed(context, principal, machine_learning.SCORE, azure.group.id)


def test_the_engineer_reads_the_lake_and_writes_only_with_a_role(azure: Subscription) -> None:
    owner = azure.context.account.azure_object
    assert permissions.allowed(azure.context, owner, machine_learning.SCORE, azure.group.id)
    assert permissions.allowed(
        azure.context, owner, f"{permissions.BLOBS}/read", azure.group.id, data=True
    )
    assert not permissions.allowed(
        azure.context, owner, f"{permissions.BLOBS}/write", azure.group.id, data=True
    )


def test_purge_protection_cannot_be_set_to_false(azure: Subscription) -> None:
    properties = {"sku": {"family": "A", "name": "standard"}, "enablePurgeProtection": False}
    with pytest.raises(CheckFailure, match='"enablePurgeProtection" cannot be set to false'):
        azure.create(key_vault.VAULT, vaultName="vault", properties=properties)


def test_a_deleted_vault_and_a_deleted_workspace_keep_their_names(azure: Subscription) -> None:
    properties = {"sku": {"family": "A", "name": "standard"}, "tenantId": "t"}
    azure.delete(azure.create(key_vault.VAULT, vaultName="vault", properties=properties))
    with pytest.raises(Refusal, match="already exists in deleted state"):
        azure.create(key_vault.VAULT, vaultName="vault", properties=properties)
    azure.delete(azure.create(machine_learning.WORKSPACE, workspaceName="space"))
    with pytest.raises(Refusal, match="Soft-deleted workspace exists"):
        azure.create(machine_learning.WORKSPACE, workspaceName="space")


def test_a_secret_reference_is_resolved_only_for_an_identity_with_a_role(
    azure: Subscription,
) -> None:
    properties = {"sku": {"family": "A", "name": "standard"}, "tenantId": "t"}
    azure.create(key_vault.VAULT, vaultName="vault", properties=properties)
    secret = azure.create(
        key_vault.SECRET, vaultName="vault", secretName="key", properties={"value": "open sesame"}
    )
    assert "value" not in secret.outputs["properties"]
    uri = secret.outputs["properties"]["secretUriWithVersion"]
    reference = f"@Microsoft.KeyVault(SecretUri={uri})"
    reader, other = azure.identity("reader"), azure.identity("other")
    azure.grant(reader.outputs["principalId"], SECRETS_USER, secret.id)
    resolve = key_vault.resolve
    assert resolve(azure.context, reference, reader.outputs["principalId"]) == "open sesame"
    assert resolve(azure.context, reference, other.outputs["principalId"]) is None
    rotated = azure.update(secret, properties={"value": "another"})
    assert rotated.outputs["properties"]["secretUriWithVersion"] != uri


def test_an_owner_without_a_role_in_the_vault_deletes_the_vault_and_no_secret(
    azure: Subscription,
) -> None:
    vault = azure.create(key_vault.VAULT, vaultName="vault", properties={})
    secret = azure.create(
        key_vault.SECRET, vaultName="vault", secretName="key", properties={"value": "v"}
    )
    reads = azure.grant(azure.context.account.azure_object, SECRETS_USER, secret.id)
    with pytest.raises(Refusal, match="ForbiddenByRbac"):
        azure.delete(secret)
    azure.delete(reads)
    azure.delete(vault)
    assert azure.context.all(key_vault.SECRET) == []


def test_an_officer_of_secrets_deletes_one(azure: Subscription) -> None:
    azure.create(key_vault.VAULT, vaultName="vault", properties={})
    secret = azure.create(
        key_vault.SECRET, vaultName="vault", secretName="key", properties={"value": "v"}
    )
    officer = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
    azure.grant(azure.context.account.azure_object, officer, secret.id)
    azure.delete(secret)
    assert azure.context.all(key_vault.SECRET) == []


def test_a_new_endpoint_is_refused_with_traffic(azure: Subscription) -> None:
    azure.create(machine_learning.WORKSPACE, workspaceName="space")
    with pytest.raises(Refusal, match="Traffic rules cannot be set on a new endpoint"):
        azure.create(
            machine_learning.ENDPOINT,
            workspaceName="space",
            endpointName="endpoint",
            location="westeurope",
            properties={"authMode": "AADToken", "traffic": {"blue": 100}},
        )


@pytest.fixture
def endpoint(azure: Subscription) -> Record:
    """An endpoint with two deployments that are only recorded."""
    return deployed_endpoint(azure)


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        ({"blue": 60}, "need to sum to 0 or 100, not 60"),
        ({"blue": 60, "green": 50}, "need to sum to 0 or 100, not 110"),
        ({"red": 100}, "do not exist: red"),
    ],
)
def test_traffic_adds_up_to_100_and_goes_to_existing_deployments(
    azure: Subscription, endpoint: Record, split: dict[str, int], reason: str
) -> None:
    with pytest.raises(Refusal, match=reason):
        machine_learning.set_traffic(azure.context, endpoint, split)


def test_a_deployment_with_traffic_is_not_deleted(azure: Subscription, endpoint: Record) -> None:
    machine_learning.set_traffic(azure.context, endpoint, {"blue": 100})
    azure.context.save(endpoint)
    blue, green = machine_learning.deployments(azure.context, endpoint)
    with pytest.raises(Refusal, match="live traffic allocated"):
        azure.delete(blue)
    azure.delete(green)
    azure.delete(endpoint)
    assert azure.context.all(machine_learning.DEPLOYMENT) == []


def test_an_update_of_an_endpoint_removes_the_traffic_that_it_does_not_name(
    azure: Subscription, endpoint: Record
) -> None:
    machine_learning.set_traffic(azure.context, endpoint, {"blue": 100})
    azure.context.save(endpoint)
    assert azure.update(endpoint, tags={"a": "b"}).outputs["properties"]["traffic"] == {}


def test_the_target_of_an_autoscale_setting_cannot_be_changed(azure: Subscription) -> None:
    plans = [azure.create("azure-native:web:AppServicePlan", name=name) for name in ("a", "b")]
    setting = azure.create(
        "azure-native:monitor:AutoscaleSetting",
        autoscaleSettingName="load",
        targetResourceUri=plans[0].id,
        profiles=[],
    )
    azure.update(setting, enabled=True)
    with pytest.raises(Refusal, match="TargetResourceIdIsImmutable"):
        azure.update(setting, targetResourceUri=plans[1].id)


def test_an_app_takes_its_publishing_policies_along(azure: Subscription) -> None:
    plan = azure.create(app_service.PLAN, name="plan", sku={"tier": "Basic", "name": "B1"})
    app = azure.create(app_service.SITE, name="app", serverFarmId=plan.id, siteConfig={})
    for token, method in ((app_service.FTP, "ftp"), (app_service.SCM, "scm")):
        policy = azure.create(token, name="app", allow=False)
        assert policy.id == f"{app.id}/basicPublishingCredentialsPolicies/{method}"
        assert azure.update(policy, allow=True).outputs["name"] == method
    azure.delete(app)
    assert not azure.context.all(app_service.FTP)
    assert not azure.context.all(app_service.SCM)


def test_a_plan_is_not_deleted_while_it_has_an_app(azure: Subscription) -> None:
    plan = azure.create(app_service.PLAN, name="plan", sku={"tier": "Basic", "name": "B1"})
    app = azure.create(app_service.SITE, name="app", serverFarmId=plan.id, siteConfig={})
    with pytest.raises(Refusal, match="has web app"):
        azure.delete(plan)
    azure.delete(app)
    azure.delete(plan)


def test_a_workspace_needs_roles_that_are_in_force_which_the_program_waits_for(
    live_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behaviour, "CLOCK", 600)
    realistic = behaviour.BEHAVIOURS["realistic"]
    late = Grants(live_context.store, realistic)
    azure = Subscription(replace(live_context, behaviour=realistic, grants=late))
    vault = azure.create(key_vault.VAULT, vaultName="vault-of-it", properties={})
    identity = azure.identity("workspace")
    contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c"
    granted = azure.grant(identity.outputs["principalId"], contributor, vault.id)

    def workspace() -> Record:
        return azure.create(
            machine_learning.WORKSPACE,
            workspaceName="space",
            keyVault=vault.id,
            primaryUserAssignedIdentity=identity.id,
            identity={"type": "UserAssigned", "userAssignedIdentities": [identity.id]},
        )

    with pytest.raises(Refusal, match=r"AuthorizationFailed.*'Microsoft\.KeyVault/vaults/read'"):
        workspace()
    GrantsInForceProvider().create({"principal": "p", "granted": [granted.outputs["createdOn"]]})
    workspace()
