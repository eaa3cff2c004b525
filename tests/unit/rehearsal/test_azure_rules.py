"""The rules of the rehearsed Azure: what it refuses, in the words of Azure, and what it allows."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import ContainerClient
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from rehearsal.azure import (
    app_service,
    credentials,
    key_vault,
    machine_learning,
    permissions,
    routes,
    storage,
)
from rehearsal.azure.container_registry import REGISTRY
from rehearsal.azure.ids import guid
from rehearsal.azure.profile import RESOURCE_TYPES, environment
from rehearsal.azure.resource_type import GROUP, IDENTITY
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.core.schema import Schemas
from rehearsal.provider.context import Context
from rehearsal.provider.lifecycle import Lifecycle

SCHEMAS = Schemas("azure-native")
READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
PUSH = "8311e382-0749-4cb8-b61a-304f252e45ec"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"


class Subscription:
    """A rehearsed subscription with one resource group, created as the engine does it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.types = {each.token: each() for each in RESOURCE_TYPES}
        self.lifecycle = Lifecycle(context, "azure-native", self.types, SCHEMAS)
        self.group = self.make(GROUP, resourceGroupName="rg", location="westeurope")
        self.http = TestClient(Starlette(routes=[Mount("/azure", routes=routes.routes(context))]))

    def make(self, token: str, /, **inputs: Any) -> Record:
        rules = self.types[token]
        if token not in (GROUP, permissions.ASSIGNMENT, permissions.DEFINITION):
            inputs.setdefault("resourceGroupName", "rg")
        self.lifecycle.check_name(rules, inputs)
        rules.check(self.context, Inputs(inputs))
        urn = f"urn:pulumi:test::triplane::{token}::thing{len(inputs)}"
        return self.lifecycle.create(token, urn, inputs, [], {"location": "westeurope"})

    def update(self, record: Record, **changes: Any) -> Record:
        inputs = record.inputs | changes
        return self.lifecycle.update(record.token, record.id, record.urn, inputs, [])

    def delete(self, record: Record) -> None:
        self.lifecycle.delete(record.token, record.id)

    def grant(self, principal: str, role: str, scope: str) -> Record:
        if "/" not in role:
            role = f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role}"
        return self.make(
            permissions.ASSIGNMENT,
            roleAssignmentName=guid(principal, role, scope),
            principalId=principal,
            roleDefinitionId=role,
            scope=scope,
        )

    def identity(self, name: str = "worker") -> Record:
        return self.make(IDENTITY, resourceName=name)

    def custom(self, name: str, **permission: list[str]) -> Record:
        return self.make(
            permissions.DEFINITION,
            roleDefinitionId=guid(name),
            roleName=name,
            scope=self.group.id,
            permissions=[permission],
            assignableScopes=[self.group.id],
        )


@pytest.fixture
def azure(live_context: Context) -> Subscription:
    return Subscription(live_context)


def test_every_resource_needs_an_existing_resource_group(azure: Subscription) -> None:
    with pytest.raises(Refusal, match="ResourceGroupNotFound: Resource group 'no'"):
        azure.make(IDENTITY, resourceName="worker", resourceGroupName="no")


@pytest.mark.parametrize("name", ["UPPER", "with-hyphen", "ab", "a" * 25])
def test_the_name_of_a_storage_account_is_short_lower_case_letters_and_digits(
    azure: Subscription, name: str
) -> None:
    with pytest.raises(CheckFailure, match="accountName"):
        azure.make(storage.ACCOUNT, accountName=name)


def many(count: int) -> dict[str, str]:
    return {f"key-{number}": "" for number in range(count)}


@pytest.mark.parametrize(
    ("token", "taken", "refused", "says"),
    [
        (key_vault.SECRET, many(15), many(16), "16 tags are more than 15"),
        ("azure-native:monitor:AutoscaleSetting", many(15), many(16), "16 tags are more than 15"),
        (GROUP, many(50), many(51), "51 tags are more than 50"),
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
    azure: Subscription, token: str, taken: dict[str, str], refused: dict[str, str], says: str
) -> None:
    rules = azure.types[token]
    rules.check(azure.context, Inputs({"tags": taken}))
    with pytest.raises(CheckFailure, match=says):
        rules.check(azure.context, Inputs({"tags": refused}))


def test_a_second_assignment_of_the_same_role_is_refused(azure: Subscription) -> None:
    principal = azure.identity().outputs["principalId"]
    azure.grant(principal, READER, azure.group.id)
    with pytest.raises(Refusal, match="RoleAssignmentExists: The role assignment already exists"):
        azure.make(
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
        azure.make(
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
        azure.make(key_vault.VAULT, vaultName="vault", properties=properties)


def test_a_deleted_vault_and_a_deleted_workspace_keep_their_names(azure: Subscription) -> None:
    properties = {"sku": {"family": "A", "name": "standard"}, "tenantId": "t"}
    azure.delete(azure.make(key_vault.VAULT, vaultName="vault", properties=properties))
    with pytest.raises(Refusal, match="already exists in deleted state"):
        azure.make(key_vault.VAULT, vaultName="vault", properties=properties)
    azure.delete(azure.make(machine_learning.WORKSPACE, workspaceName="space"))
    with pytest.raises(Refusal, match="Soft-deleted workspace exists"):
        azure.make(machine_learning.WORKSPACE, workspaceName="space")


def test_a_secret_reference_is_resolved_only_for_an_identity_with_a_role(
    azure: Subscription,
) -> None:
    properties = {"sku": {"family": "A", "name": "standard"}, "tenantId": "t"}
    azure.make(key_vault.VAULT, vaultName="vault", properties=properties)
    secret = azure.make(
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


def test_a_new_endpoint_is_refused_with_traffic(azure: Subscription) -> None:
    azure.make(machine_learning.WORKSPACE, workspaceName="space")
    with pytest.raises(Refusal, match="Traffic rules cannot be set on a new endpoint"):
        azure.make(
            machine_learning.ENDPOINT,
            workspaceName="space",
            endpointName="endpoint",
            location="westeurope",
            properties={"authMode": "AADToken", "traffic": {"blue": 100}},
        )


@pytest.fixture
def endpoint(azure: Subscription) -> Record:
    """An endpoint with two deployments that are only recorded."""
    azure.make(machine_learning.WORKSPACE, workspaceName="space")
    made = azure.make(
        machine_learning.ENDPOINT,
        workspaceName="space",
        endpointName="endpoint",
        location="westeurope",
        properties={"authMode": "AADToken"},
    )
    for name in ("blue", "green"):
        azure.context.save(
            Record(
                *(
                    "azure-native",
                    machine_learning.DEPLOYMENT,
                    f"{made.id}/deployments/{name}",
                    f"u::{name}",
                ),
                inputs={},
                outputs={"name": name},
            )
        )
    return made


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ({"blue": 60}, "need to sum to 0 or 100, not 60"),
        ({"blue": 60, "green": 50}, "need to sum to 0 or 100, not 110"),
        ({"red": 100}, "do not exist: red"),
    ],
)
def test_traffic_adds_up_to_100_and_goes_to_existing_deployments(
    azure: Subscription, endpoint: Record, split: dict[str, int], says: str
) -> None:
    with pytest.raises(Refusal, match=says):
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


def test_scoring_needs_a_token_of_its_audience_and_the_role(
    azure: Subscription, endpoint: Record
) -> None:
    url = "/azure/ml/westeurope/endpoint/score"
    worker = azure.identity()
    principal, client = worker.outputs["principalId"], worker.outputs["clientId"]

    def status(audience: str) -> int:
        token, _ = credentials.token(azure.context, principal, client, audience)
        answer = azure.http.post(url, json={}, headers={"authorization": f"Bearer {token}"})
        return int(answer.status_code)

    assert azure.http.post(url, json={}).status_code == 401
    assert status("https://management.azure.com") == 401
    assert status("https://ml.azure.com") == 403
    role = azure.custom("caller", actions=[machine_learning.SCORE])
    azure.grant(principal, role.id, endpoint.id)
    # The caller is allowed, and no deployment has traffic.
    assert status("https://ml.azure.com") == 404


def test_the_identity_endpoint_gives_an_app_tokens_of_its_own_identity_only(
    azure: Subscription,
) -> None:
    mine, other = azure.identity("mine"), azure.identity("other")
    azure.context.kv.put("azure-callers", "secret-header", [mine.id])

    def request_token(header: str, client: str) -> Any:
        return azure.http.get(
            "/azure/identity/token",
            params={"resource": "https://ml.azure.com", "client_id": client},
            headers={"x-identity-header": header},
        )

    assert request_token("guessed", mine.outputs["clientId"]).status_code == 400
    assert request_token("secret-header", other.outputs["clientId"]).status_code == 400
    token = request_token("secret-header", mine.outputs["clientId"]).json()["access_token"]
    principal = credentials.principal_of(azure.context, f"Bearer {token}", "https://ml.azure.com")
    assert principal == mine.outputs["principalId"]


def test_a_task_run_pushes_only_as_an_assigned_identity_with_the_role(azure: Subscription) -> None:
    registry = azure.make(REGISTRY, registryName="images", sku={"name": "Basic"})
    builder = azure.identity("builder")
    content = base64.b64encode(b"version: v1.1.0\nsteps:\n  - cmd: bash -c true\n").decode()

    def run(name: str) -> Record:
        return azure.make(
            "azure-native:containerregistry:TaskRun",
            registryName="images",
            taskRunName=name,
            identity={"type": "UserAssigned", "userAssignedIdentities": {builder.id: {}}},
            runRequest={
                "type": "EncodedTaskRunRequest",
                "encodedTaskContent": content,
                "platform": {"os": "Linux"},
                "credentials": {
                    "sourceRegistry": {"loginMode": "None"},
                    "customRegistries": {
                        "images.azurecr.io": {"identity": builder.outputs["clientId"]}
                    },
                },
            },
        )

    with pytest.raises(Refusal, match="unauthorized: authentication required"):
        run("first")
    azure.grant(builder.outputs["principalId"], PUSH, registry.id)
    assert run("second").outputs["runResult"]["status"] == "Succeeded"


def test_a_task_run_fails_with_the_output_of_its_failed_step(azure: Subscription) -> None:
    azure.make(REGISTRY, registryName="images", sku={"name": "Basic"})
    content = b'version: v1.1.0\nsteps:\n  - cmd: bash -c "echo no such thing; false"\n'
    with pytest.raises(Refusal, match=r"Run ID ca1 failed at step acb_step_0: no such thing"):
        azure.make(
            "azure-native:containerregistry:TaskRun",
            registryName="images",
            taskRunName="run",
            runRequest={
                "type": "EncodedTaskRunRequest",
                "encodedTaskContent": base64.b64encode(content).decode(),
                "platform": {"os": "Linux"},
            },
        )


def test_a_plan_is_not_deleted_while_it_has_an_app(azure: Subscription) -> None:
    plan = azure.make(app_service.PLAN, name="plan", sku={"tier": "Basic", "name": "B1"})
    app = azure.make(app_service.SITE, name="app", serverFarmId=plan.id, siteConfig={})
    with pytest.raises(Refusal, match="has web app"):
        azure.delete(plan)
    azure.delete(app)
    azure.delete(plan)


def test_an_app_that_cannot_pull_its_image_exists_and_answers_503(azure: Subscription) -> None:
    import ssl
    import urllib.error
    import urllib.request

    azure.make(REGISTRY, registryName="images", sku={"name": "Basic"})
    plan = azure.make(app_service.PLAN, name="plan", sku={"tier": "Basic", "name": "B1"})
    app = azure.make(
        app_service.SITE,
        name="app",
        serverFarmId=plan.id,
        siteConfig={"linuxFxVersion": "DOCKER|images.azurecr.io/triplane@sha256:00"},
    )
    trust = ssl.create_default_context(cafile=str(azure.context.authority.bundle))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(
            f"https://{app.outputs['defaultHostName']}/", context=trust, timeout=10
        )
    assert refused.value.code == 503
    refused.value.close()  # or the endpoint waits for this caller when it closes


class Credential:
    """Tokens of one identity of the rehearsal, for Azure's own clients."""

    def __init__(self, context: Context, principal: str) -> None:
        self.context, self.principal = context, principal

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(*credentials.token(self.context, self.principal, "client", scopes[0]))


@pytest.fixture
def lake(azure: Subscription) -> tuple[Subscription, Record]:
    azure.make(
        storage.ACCOUNT,
        accountName="triplanelake",
        location="westeurope",
        sku={"name": "Standard_LRS"},
        kind="StorageV2",
        allowSharedKeyAccess=False,
    )
    captures = azure.make(storage.CONTAINER, accountName="triplanelake", containerName="captures")
    return azure, captures


@contextmanager
def container(azure: Subscription, credential: Any) -> Iterator[ContainerClient]:
    """The captures, as somebody's client sees them; closed at the end, or its endpoint waits for it."""
    account = azure.context.find(storage.ACCOUNT)
    assert account is not None
    with ContainerClient(
        account.outputs["primaryEndpoints"]["blob"],
        "captures",
        credential=credential,
        connection_verify=str(azure.context.authority.bundle),
        retry_total=0,
    ) as client:
        yield client


def test_the_right_to_add_blobs_allows_nothing_else(
    lake: tuple[Subscription, Record],
) -> None:
    azure, captures = lake
    gateway = azure.identity().outputs["principalId"]
    with container(azure, Credential(azure.context, gateway)) as client:
        with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"):
            client.upload_blob("a.json", b"{}")
        role = azure.custom("creator", dataActions=[f"{permissions.BLOBS}/add/action"])
        azure.grant(gateway, role.id, captures.id)
        client.upload_blob("a.json", b"{}")
        for forbidden in (
            lambda: client.upload_blob("a.json", b"{}", overwrite=True),
            lambda: client.download_blob("a.json"),
            lambda: client.delete_blob("a.json"),
            lambda: list(client.list_blobs()),
        ):
            with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"):
                forbidden()
    deployer = Credential(azure.context, azure.context.account.azure_object)
    with container(azure, deployer) as client:
        assert client.download_blob("a.json").readall() == b"{}"


def test_shared_keys_are_refused(lake: tuple[Subscription, Record]) -> None:
    azure, _ = lake
    key = {"account_name": "triplanelake", "account_key": base64.b64encode(b"key").decode()}
    with (
        container(azure, key) as client,
        pytest.raises((ClientAuthenticationError, HttpResponseError), match="KeyBasedAuth"),
    ):
        list(client.list_blobs())


def test_a_public_container_is_refused_in_an_account_that_allows_none(
    lake: tuple[Subscription, Record],
) -> None:
    azure, _ = lake
    with pytest.raises(Refusal, match="PublicAccessNotPermitted"):
        azure.make(
            storage.CONTAINER,
            accountName="triplanelake",
            containerName="open",
            publicAccess="Blob",
        )


def test_a_resource_group_is_deleted_with_its_contents(lake: tuple[Subscription, Record]) -> None:
    azure, _ = lake
    azure.delete(azure.group)
    assert not azure.context.all(storage.ACCOUNT)
    assert not azure.context.all(storage.CONTAINER)


def test_azures_clients_find_the_rehearsal_by_their_own_variables(azure: Subscription) -> None:
    variables = environment(azure.context)
    assert variables["IDENTITY_ENDPOINT"].endswith("/azure/identity/token")
    assert variables["ARM_METADATA_HOSTNAME"].startswith("127.0.0.1:")
