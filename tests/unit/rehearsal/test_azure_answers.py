"""What the Resource Manager answers about a resource that exists, and how Azure refuses one that cannot be.

Names of inputs and outputs are judged by the SDK (`known_names`); the tests hold what the answers say, each with the page that
states it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from starlette.testclient import TestClient

from rehearsal.azure import (
    app_service,
    container_registry,
    credentials,
    key_vault,
    limits,
    machine_learning,
    monitor,
    permissions,
    routes,
    storage,
)
from rehearsal.azure.ids import guid
from rehearsal.azure.profile import INVOKES, environment
from rehearsal.core.behaviour import BEHAVIOURS
from rehearsal.core.records import CheckFailure, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.runtime.containers import ContainerFailed
from tests.unit.rehearsal.azure_subscription import (
    Credential,
    Subscription,
    deployed_endpoint,
)

BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
MACHINE_LEARNING = "providers/Microsoft.MachineLearningServices/locations/westeurope"


@pytest.fixture
def azure(live_context: Context) -> Subscription:
    return Subscription(live_context)


def arm(azure: Subscription, method: str, path: str, body: Any = None, principal: str = "") -> Any:
    """One request to the Resource Manager, below the subscription unless the path is absolute."""
    account = azure.context.account
    token, _ = credentials.token(
        azure.context, principal or account.azure_object, "client", routes.MANAGEMENT
    )
    client = TestClient(routes.resource_manager(azure.context), base_url="https://manager")
    url = path if path.startswith("/") else f"/subscriptions/{account.azure_subscription}/{path}"
    headers = {"Authorization": f"Bearer {token}"}
    return client.request(method, url, json=body, headers=headers)


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_function_of_the_provider_names_the_deployer_and_the_subscription(
    live_context: Context,
) -> None:
    # https://www.pulumi.com/registry/packages/azure-native/api-docs/authorization/getclientconfig/
    config = INVOKES["azure-native:authorization:getClientConfig"]
    account = live_context.account
    usual = {
        "clientId": account.azure_client,
        "objectId": account.azure_object,
        "subscriptionId": account.azure_subscription,
        "tenantId": account.azure_tenant,
    }
    assert config(live_context, {}, {}) == usual
    given = {"clientId": "c", "subscriptionId": "s", "tenantId": "t"}
    assert config(live_context, {}, given) == {**usual, **given}
    assert INVOKES["azure-native:authorization:getClientToken"](live_context, {}, {})["token"]


def test_azures_clients_get_the_addresses_of_tokens_and_of_the_resource_manager(
    live_context: Context,
) -> None:
    # https://learn.microsoft.com/azure/app-service/overview-managed-identity
    assert environment(live_context) == {
        "IDENTITY_ENDPOINT": f"{live_context.base_url}/azure/identity/token",
        "IDENTITY_HEADER": credentials.deployer_header(live_context),
        "ARM_METADATA_HOSTNAME": routes.resource_manager_host(live_context),
    }
    client = TestClient(routes.resource_manager(live_context), base_url="https://manager:1")
    found = client.get("/metadata/endpoints?api-version=2015-01-01").json()
    assert found["name"] == "AzureCloud"
    assert found["resourceManager"] == "https://manager:1/"
    assert found["authentication"]["loginEndpoint"] == "https://login.microsoftonline.com"
    assert "https://management.azure.com/" in found["authentication"]["audiences"]
    assert found["suffixes"]["keyVaultDns"] == "vault.azure.net"


def test_a_subscription_is_described_to_who_has_a_token_of_its_own(azure: Subscription) -> None:
    # https://learn.microsoft.com/rest/api/resources/subscriptions/get
    number = azure.context.account.azure_subscription
    expected = {
        "id": f"/subscriptions/{number}",
        "subscriptionId": number,
        "displayName": "Rehearsal",
        "state": "Enabled",
        "subscriptionPolicies": {
            "quotaId": azure.context.behaviour.quotas.offer,
            "spendingLimit": "Off",
        },
    }
    assert arm(azure, "GET", f"/subscriptions/{number}").json() == expected
    assert arm(azure, "GET", "/subscriptions").json() == {"value": [expected]}
    other = arm(azure, "GET", "/subscriptions/00000000-0000-0000-0000-000000000000")
    assert refused(other) == (404, "SubscriptionNotFound")
    client = TestClient(routes.resource_manager(azure.context), base_url="https://manager")
    assert refused(client.get("/subscriptions")) == (401, "AuthenticationFailed")


def test_what_a_caller_may_do_in_the_subscription_is_everything_or_nothing(
    azure: Subscription,
) -> None:
    # https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group
    path = "providers/Microsoft.Authorization/permissions"
    everything = {"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}
    assert arm(azure, "GET", path).json() == {"value": [everything]}
    worker = azure.identity().outputs["principalId"]
    assert arm(azure, "GET", path, principal=worker).json() == {"value": []}


def test_a_resource_provider_is_registered_once_it_is_asked_for(live_context: Context) -> None:
    # https://learn.microsoft.com/azure/azure-resource-manager/management/resource-providers-and-types
    fresh = replace(live_context, behaviour=BEHAVIOURS["fresh-account"])
    azure = Subscription(fresh)
    listed = arm(azure, "GET", "providers").json()["value"]
    states = {each["namespace"]: each["registrationState"] for each in listed}
    name = "Microsoft.ContainerRegistry"
    assert states[name] == "NotRegistered"
    types = {each["namespace"]: each["resourceTypes"] for each in listed}
    assert [each["resourceType"] for each in types["Microsoft.Web"]] == ["serverfarms", "sites"]
    assert "West Europe" in types["Microsoft.Web"][0]["locations"]
    registered = arm(azure, "POST", f"providers/{name}/register").json()
    assert (registered["namespace"], registered["registrationState"]) == (name, "Registered")
    again = arm(azure, "GET", "providers").json()["value"]
    assert {e["namespace"]: e["registrationState"] for e in again}[name] == "Registered"
    everywhere = Subscription(replace(live_context, behaviour=BEHAVIOURS["instant"]), "rg2")
    states = {
        each["registrationState"] for each in arm(everywhere, "GET", "providers").json()["value"]
    }
    assert states == {"Registered"}


def test_the_quotas_of_machine_learning_count_the_cores_of_its_deployments(
    azure: Subscription,
) -> None:
    # https://learn.microsoft.com/rest/api/azureml/usages/list
    sizes = arm(azure, "GET", f"{MACHINE_LEARNING}/vmSizes").json()["value"]
    by_name = {each["name"]: each for each in sizes}
    assert by_name["Standard_DS3_v2"] == {
        "name": "Standard_DS3_v2",
        "family": "standardDSv2Family",
        "vCPUs": 4,
        "supportedComputeTypes": ["AmlCompute", "ComputeInstance", "MIR"],
    }
    deployed_endpoint(azure)
    for each in azure.context.all(machine_learning.DEPLOYMENT):
        each.inputs["properties"] = {"instanceType": "Standard_DS3_v2"}
        each.inputs["sku"] = {"capacity": 2, "name": "Default"}
        azure.context.save(each)
    found = arm(azure, "GET", f"{MACHINE_LEARNING}/usages").json()["value"]
    by_family = {each["name"]["value"]: each for each in found}
    quotas = azure.context.behaviour.quotas
    # Two of two machines, with a reserve of 20 %: three each, of four cores.
    # https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#virtual-machine-quota-allocation-for-deployment
    assert by_family["standardDSv2Family"] == {
        "name": {"value": "standardDSv2Family", "localizedValue": "standardDSv2Family"},
        "type": "Microsoft.MachineLearningServices/vmFamily/dedicatedCores/usages",
        "unit": "Count",
        "currentValue": 24,
        "limit": quotas.machine_learning_family_cores,
    }
    assert by_family["standardESv3Family"]["currentValue"] == 0
    total = by_family["Total Cluster Dedicated Regional vCPUs"]
    assert (total["currentValue"], total["limit"]) == (24, quotas.machine_learning_cores)
    assert total["type"] == "Microsoft.MachineLearningServices/dedicatedCores/usages"


def test_the_quotas_of_app_service_count_the_machines_of_its_plans(azure: Subscription) -> None:
    # https://learn.microsoft.com/rest/api/appservice/get-usages-in-location/list
    azure.create(app_service.PLAN, name="a", sku={"tier": "Basic", "name": "B1", "capacity": 2})
    azure.create(app_service.PLAN, name="b", sku={"tier": "Basic", "name": "B1"})
    path = "providers/Microsoft.Web/locations/westeurope/usages"
    found = {each["name"]["value"]: each for each in arm(azure, "GET", path).json()["value"]}
    assert list(found) == ["Basic VMs", "Standard VMs", "Premium0V3 VMs", "PremiumV3 VMs"]
    assert found["Basic VMs"]["currentValue"] == 3
    assert found["Standard VMs"]["currentValue"] == 0
    assert found["Basic VMs"]["limit"] == limits.machines(azure.context, "Basic")


def quotas(context: Context, **changed: Any) -> Context:
    behaviour = context.behaviour
    return replace(
        context, behaviour=replace(behaviour, quotas=replace(behaviour.quotas, **changed))
    )


@pytest.mark.parametrize(
    ("family", "total", "fits"), [(8, 100, True), (7, 100, False), (100, 7, False), (8, 8, True)]
)
def test_a_deployment_needs_the_cores_of_its_family_and_of_the_region(
    live_context: Context, family: int, total: int, fits: bool
) -> None:
    # https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#error-outofquota
    context = quotas(
        live_context, machine_learning_family_cores=family, machine_learning_cores=total
    )
    # One machine of four cores, and its reserve: two.
    wanted = {"properties": {"instanceType": "Standard_DS3_v2"}, "sku": {"capacity": 1}}
    if fits:
        limits.require_cores(context, wanted)
    else:
        with pytest.raises(Refusal, match="Not enough quota available for Standard_DS3_v2") as no:
            limits.require_cores(context, wanted)
        assert no.value.code == "OutOfQuota"


@pytest.mark.parametrize(("wanted", "fits"), [(2, True), (3, False), (None, True)])
def test_a_plan_needs_machines_of_its_tier(
    live_context: Context, wanted: int | None, fits: bool
) -> None:
    azure = Subscription(quotas(live_context, app_service_machines={"Basic": 3}))
    azure.create(app_service.PLAN, name="a", sku={"tier": "Basic", "name": "B1"})
    sku = {"tier": "Basic", "name": "B1"} | ({"capacity": wanted} if wanted else {})
    if fits:
        azure.create(app_service.PLAN, name="b", sku=sku)
    else:
        words = r"Current Limit \(Basic VMs\): 3 Current Usage: 1 Amount required .*: 3 "
        with pytest.raises(Refusal, match=words) as no:
            azure.create(app_service.PLAN, name="b", sku=sku)
        assert no.value.code == "Unauthorized"


def test_a_list_has_what_its_caller_may_read_and_a_part_is_listed_by_its_owner(
    azure: Subscription,
) -> None:
    # https://learn.microsoft.com/rest/api/resources/resources/list-by-resource-group
    worker = azure.identity("worker")
    azure.create(
        "azure-native:managedidentity:FederatedIdentityCredential",
        resourceName="worker",
        federatedIdentityCredentialResourceName="github",
        issuer="https://token.actions.githubusercontent.com",
        subject="repo:a/b:ref:refs/heads/main",
        audiences=["api://AzureADTokenExchange"],
    )
    (found,) = arm(azure, "GET", f"{worker.id}/federatedIdentityCredentials").json()["value"]
    assert found == {"id": f"{worker.id}/federatedIdentityCredentials/github", "name": "github"}
    missing = arm(azure, "GET", "resourceGroups/none/resources")
    assert refused(missing) == (404, "ResourceGroupNotFound")
    odd = arm(azure, "GET", "resourcegroups?$skiptoken=x")
    assert refused(odd) == (400, "InvalidSkipToken")
    (group,) = arm(azure, "GET", "resourcegroups").json()["value"]
    assert group == {
        "id": azure.group.id,
        "name": "rg",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "tags": {},
    }
    principal = worker.outputs["principalId"]
    assert arm(azure, "GET", "resourcegroups", principal=principal).json() == {"value": []}


def lake(azure: Subscription, *blobs: str) -> Record:
    """An account with a container `models`, and these blobs in it, each with its own name as content."""
    account = azure.create(
        storage.ACCOUNT,
        accountName="triplanelake",
        location="westeurope",
        sku={"name": "Standard_LRS"},
        kind="StorageV2",
    )
    azure.create(storage.CONTAINER, accountName="triplanelake", containerName="models")
    if blobs:
        azure.grant(azure.context.account.azure_object, BLOB_CONTRIBUTOR, account.id)
        with ContainerClient(
            account.outputs["primaryEndpoints"]["blob"],
            "models",
            credential=Credential(azure.context, azure.context.account.azure_object),
            connection_verify=str(azure.context.authority.bundle),
        ) as client:
            for blob in blobs:
                client.upload_blob(blob, blob.encode())
    return account


def test_a_storage_account_has_the_addresses_of_its_services(azure: Subscription) -> None:
    # https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list
    account = lake(azure)
    (found,) = arm(azure, "GET", "providers/Microsoft.Storage/storageAccounts").json()["value"]
    assert found["id"] == account.id
    assert found["name"] == "triplanelake"
    addresses = found["properties"]["primaryEndpoints"]
    assert addresses == account.outputs["primaryEndpoints"]
    assert addresses["blob"].endswith("/triplanelake/")
    for service in ("dfs", "file", "queue", "table", "web"):
        assert addresses[service] == f"https://triplanelake.{service}.core.windows.net/"
    assert account.outputs["statusOfPrimary"] == "available"
    assert account.outputs["primaryLocation"] == "westeurope"


def test_a_container_that_is_gone_is_read_as_gone_and_not_refused(azure: Subscription) -> None:
    lake(azure)
    (record,) = azure.context.all(storage.CONTAINER)
    assert azure.lifecycle.read(record.token, record.id)
    address = f"{azure.context.object_stores.blob('triplanelake')}/models?restype=container"
    storage._send(azure.context, "DELETE", address, (202,))
    assert azure.lifecycle.read(record.token, record.id) is None
    with pytest.raises(Refusal, match="Azurite answered 404"):
        storage._send(azure.context, "GET", address, (200,))
    with pytest.raises(Refusal, match="storageAccounts/none' was not found"):
        storage.container_id(azure.context, "none", "models")


@pytest.mark.parametrize(
    ("token", "inputs", "property"),
    [
        (
            storage.BlobServiceProperties.token,
            {"blobServicesName": "other"},
            "blobServicesName",
        ),
        *(
            (
                storage.BlobServiceProperties.token,
                {"blobServicesName": "default", policy: {"days": days, "enabled": True}},
                f"{policy}.days",
            )
            for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy")
            for days in (0, 366)
        ),
        (
            storage.ManagementPolicy.token,
            {"managementPolicyName": "other", "policy": {"rules": []}},
            "managementPolicyName",
        ),
        (
            machine_learning.DEPLOYMENT,
            {"deploymentName": "blue", "sku": {"name": "Default", "capacity": 0}},
            "sku.capacity",
        ),
        (
            monitor.AutoscaleSetting.token,
            {"profiles": [{"capacity": {"minimum": "2", "default": "1", "maximum": "3"}}]},
            "profiles.capacity",
        ),
        (
            monitor.AutoscaleSetting.token,
            {"profiles": [{"capacity": {"minimum": "1", "default": "4", "maximum": "3"}}]},
            "profiles.capacity",
        ),
    ],
)
def test_a_setting_beyond_its_limits_is_refused_at_the_preview(
    azure: Subscription, token: str, inputs: Json, property: str
) -> None:
    # The limits: `source` of each type.
    with pytest.raises(CheckFailure) as failure:
        azure.create(token, **inputs)
    assert failure.value.property == property


def test_a_setting_at_its_limits_is_taken(azure: Subscription) -> None:
    lake(azure)
    for number, days in enumerate((1, 365)):
        service = azure.create(
            storage.BlobServiceProperties.token,
            accountName="triplanelake",
            blobServicesName="default",
            deleteRetentionPolicy={"days": days, "enabled": True},
        )
        assert service.id.endswith("/triplanelake/blobServices/default"), number
        azure.delete(service)
    deployed_endpoint(azure)
    (blue, _) = azure.context.all(machine_learning.DEPLOYMENT)
    capacity = {"minimum": "1", "default": "1", "maximum": "1"}
    made = azure.create(
        monitor.AutoscaleSetting.token,
        autoscaleSettingName="scaling",
        targetResourceUri=blue.id,
        profiles=[{"name": "one", "capacity": capacity, "rules": []}],
    )
    with pytest.raises(Refusal, match="The target resource reference is immutable") as refusal:
        azure.update(made, targetResourceUri=blue.id.replace("blue", "green"))
    assert refusal.value.code == "TargetResourceIdIsImmutable"


def test_monitoring_has_keys_of_its_own(azure: Subscription) -> None:
    # https://learn.microsoft.com/rest/api/application-insights/components/get
    logs = azure.create(monitor.LOGS, workspaceName="logs")
    assert logs.outputs["customerId"] == guid(logs.id, "customer")
    made = azure.create(
        monitor.INSIGHTS, resourceName="insights", workspaceResourceId=logs.id, kind="web"
    )
    key = made.outputs["instrumentationKey"]
    assert made.outputs["connectionString"] == f"InstrumentationKey={key}"
    assert made.outputs["appId"] != key
    assert made.outputs["tenantId"] == azure.context.account.azure_tenant


class Serving:
    """A workspace in which a model of the lake can be deployed; no container runs."""

    def __init__(self, azure: Subscription, patch: pytest.MonkeyPatch) -> None:
        self.azure = azure
        self.account = lake(azure, "model/1/model.onnx", "model/1/more/card.json", "model/2/x")
        self.worker = azure.identity()
        self.started: list[tuple[str, Any]] = []
        patch.setattr(
            azure.context.containers, "run", lambda key, what: self.started.append((key, what))
        )
        self.pulled: list[tuple[str, str]] = []
        patch.setattr(container_registry, "pulled_image", self._pulled)
        self.space = azure.create(machine_learning.WORKSPACE, workspaceName="space")
        self.store = azure.create(
            machine_learning.DATASTORE,
            workspaceName="space",
            name="models",
            properties={
                "datastoreType": "AzureBlob",
                "accountName": "triplanelake",
                "containerName": "models",
                "credentials": {"credentialsType": "None"},
            },
        )
        self.image = azure.create(
            machine_learning.ENVIRONMENT,
            workspaceName="space",
            name="image",
            version="1",
            properties={
                "image": "images.azurecr.io/triplane@sha256:00",
                "inferenceConfig": {
                    "livenessRoute": {"path": "/health", "port": 8000},
                    "readinessRoute": {"path": "/ready", "port": 8000},
                    "scoringRoute": {"path": "/predict", "port": 8000},
                },
            },
        )
        self.model = self.version("1")

    def _pulled(self, context: Context, reference: str, principal: str) -> Any:
        self.pulled.append((reference, principal))
        return SimpleNamespace(reference="pulled")

    def version(self, version: str, path: str = "model/{}", store: str = "models") -> Record:
        uri = f"azureml://subscriptions/s/datastores/{store}/paths/{path.format(version)}"
        return self.azure.create(
            machine_learning.MODEL,
            workspaceName="space",
            name="flights",
            version=version,
            properties={"modelUri": uri, "modelType": "custom_model"},
        )

    def endpoint(self, **inputs: Any) -> Record:
        identity = {"type": "UserAssigned", "userAssignedIdentities": [self.worker.id]}
        return self.azure.create(
            machine_learning.ENDPOINT,
            **{
                "workspaceName": "space",
                "endpointName": "endpoint",
                "location": "westeurope",
                "identity": identity,
                "properties": {"authMode": "AADToken"},
                **inputs,
            },
        )

    def may_read(self) -> None:
        principal = self.worker.outputs["principalId"]
        self.azure.grant(principal, BLOB_READER, self.account.id)

    def deployment(self, name: str = "blue", **properties: Any) -> Record:
        return self.azure.create(
            machine_learning.DEPLOYMENT,
            workspaceName="space",
            endpointName="endpoint",
            deploymentName=name,
            location="westeurope",
            sku={"name": "Default", "capacity": 1},
            properties={
                "endpointComputeType": "Managed",
                "environmentId": self.image.id,
                "environmentVariables": {"A": "1"},
                "instanceType": "Standard_DS3_v2",
                "model": self.model.id,
                **properties,
            },
        )


@pytest.fixture
def serving(azure: Subscription, monkeypatch: pytest.MonkeyPatch) -> Serving:
    return Serving(azure, monkeypatch)


def test_a_deployment_runs_its_image_with_its_model_as_its_endpoints_identity(
    serving: Serving,
) -> None:
    # https://learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container
    endpoint = serving.endpoint()
    serving.may_read()
    made = serving.deployment()
    assert made.id == f"{endpoint.id}/deployments/blue"
    principal = serving.worker.outputs["principalId"]
    assert serving.pulled == [("images.azurecr.io/triplane@sha256:00", principal)]
    ((key, container),) = serving.started
    assert (
        key
        == machine_learning.container_key(made)
        == ("azure/space/onlineEndpoints/endpoint/deployments/blue")
    )
    mounted = "/var/azureml-app/azureml-models/flights/1"
    assert (container.image, container.health) == ("pulled", "/ready")
    assert container.env == {"AZUREML_MODEL_DIR": mounted, "A": "1"}
    folder = container.files[mounted]
    files = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    assert files == {"1/model.onnx", "1/more/card.json"}
    assert (folder / "1/model.onnx").read_text() == "model/1/model.onnx"
    assert made.outputs["properties"]["provisioningState"] == "Succeeded"
    # https://learn.microsoft.com/rest/api/azureml/online-endpoints/get
    described = arm(serving.azure, "GET", endpoint.id).json()["properties"]
    where = f"{serving.azure.context.base_url}/azure/ml/westeurope/endpoint"
    assert described["scoringUri"] == f"{where}/score"
    assert described["swaggerUri"] == f"{where}/swagger.json"
    assert (described["traffic"], described["mirrorTraffic"]) == ({}, {})
    assert described["publicNetworkAccess"] == "Enabled"
    assert (described["provisioningState"], described["authMode"]) == ("Succeeded", "AADToken")
    serving.azure.update(made, tags={"a": "b"})
    assert len(serving.started) == 1
    changed = {**made.inputs["properties"], "environmentVariables": {"A": "2"}}
    serving.azure.update(made, properties=changed)
    assert serving.started[-1][1].env["A"] == "2"


def test_a_deployment_with_traffic_stays_and_one_without_takes_its_files_along(
    serving: Serving,
) -> None:
    # https://learn.microsoft.com/azure/machine-learning/how-to-safely-rollout-online-endpoints
    endpoint = serving.endpoint()
    serving.may_read()
    blue, green = serving.deployment("blue"), serving.deployment("green")
    folder = next(iter(serving.started[0][1].files.values()))

    def put(**traffic: int) -> Any:
        body = {"location": "westeurope", "properties": {"traffic": traffic}, "tags": {"a": "b"}}
        return arm(serving.azure, "PUT", endpoint.id, body)

    answer = put(blue=90, green=10)
    assert answer.json()["properties"]["traffic"] == {"blue": 90, "green": 10}
    assert answer.json()["tags"] == {"a": "b"}
    operation = answer.headers["azure-asyncoperation"]
    assert operation.startswith("https://manager/subscriptions/")
    done = arm(serving.azure, "GET", operation.removeprefix("https://manager")).json()
    assert (done["status"], operation.endswith(done["name"])) == ("Succeeded", True)
    unknown = arm(serving.azure, "GET", f"{MACHINE_LEARNING}/mfeOperationsStatus/oeidp:no")
    assert refused(unknown) == (404, "ResourceNotFound")
    for traffic in ({"blue": 90}, {"blue": 60, "green": 50}, {"red": 100}):
        assert refused(put(**traffic)) == (400, "BadArgument")
    with pytest.raises(Refusal, match="it has live traffic allocated to it") as refusal:
        serving.azure.delete(green)
    assert refusal.value.code == "BadArgument"
    assert put(blue=0, green=100).json()["properties"]["traffic"] == {"green": 100}
    assert folder.exists()
    serving.azure.delete(blue)
    assert not folder.exists()
    assert [each.id for each in serving.azure.context.all(green.token)] == [green.id]
    stored = serving.azure.context.get(endpoint.token, endpoint.id)
    assert stored
    # A PUT of the resource writes the traffic, too.
    updated = serving.azure.update(stored, tags={"c": "d"})
    assert updated.outputs["properties"]["traffic"] == {}
    serving.azure.delete(updated)
    assert serving.azure.context.all(green.token) == []
    assert refused(arm(serving.azure, "GET", endpoint.id)) == (404, "ResourceNotFound")


def test_a_deployment_is_refused_for_what_its_identity_may_not_or_cannot_read(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    # https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
    serving.endpoint()
    with pytest.raises(Refusal, match="does not have Storage Blob Data Reader") as no:
        serving.deployment()
    assert no.value.code == "BadArgument"
    serving.may_read()

    def broken(key: str, container: Any) -> None:
        raise ContainerFailed("no", "the log")

    monkeypatch.setattr(serving.azure.context.containers, "run", broken)
    with pytest.raises(Refusal, match="User container has crashed or terminated") as crashed:
        serving.deployment()
    assert crashed.value.code == "ResourceNotReady"
    system = serving.endpoint(endpointName="system", identity={"type": "SystemAssigned"})
    assert system.outputs["name"] == "system"


def test_a_model_has_a_path_in_a_datastore_with_something_in_it(serving: Serving) -> None:
    for change, words in (
        ({"path": "model/9"}, "There is nothing at the model's path"),
        ({"path": "model/1/model.onnx"}, "There is nothing at the model's path"),
        ({"store": "none"}, "Could not find datastore: none"),
        ({"path": ""}, "does not know the model URI"),
    ):
        with pytest.raises(Refusal, match=words) as refusal:
            serving.version("2", **change)
        assert refusal.value.code == "UserError"
    properties = {**serving.store.inputs["properties"], "containerName": "none"}
    with pytest.raises(Refusal, match="The container 'none' does not exist") as refusal:
        serving.azure.create(
            machine_learning.DATASTORE, workspaceName="space", name="no", properties=properties
        )
    assert refusal.value.code == "UserError"


def test_a_new_endpoint_has_no_traffic_and_another_method_needs_its_right(
    serving: Serving,
) -> None:
    with pytest.raises(Refusal, match="Traffic rules cannot be set on a new endpoint"):
        serving.endpoint(properties={"authMode": "AADToken", "traffic": {"blue": 100}})
    endpoint = serving.endpoint()
    principal = serving.worker.outputs["principalId"]
    assert refused(arm(serving.azure, "GET", endpoint.id, principal=principal)) == (
        403,
        "AuthorizationFailed",
    )
    assert refused(arm(serving.azure, "PATCH", endpoint.id, {})) == (501, "NotRehearsed")
    assert refused(arm(serving.azure, "PUT", endpoint.id, {})) == (400, "InvalidRequestContent")


def test_a_deleted_workspace_keeps_its_name_for_14_days(
    azure: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    # https://learn.microsoft.com/azure/machine-learning/concept-soft-delete
    space = azure.create(machine_learning.WORKSPACE, workspaceName="space")
    assert space.outputs["workspaceId"] == guid(space.id, "workspace")
    assert space.outputs["tenantId"] == azure.context.account.azure_tenant
    discovery = "https://westeurope.api.azureml.ms/discovery"
    assert space.outputs["discoveryUrl"] == discovery
    tracking = f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{space.id}"
    assert space.outputs["mlFlowTrackingUri"] == tracking
    azure.delete(space)
    now, day = time.time(), 24 * 3600
    with pytest.raises(Refusal, match="Soft-deleted workspace exists") as refusal:
        azure.create(machine_learning.WORKSPACE, workspaceName="Space")
    assert refusal.value.code == "Conflict"
    monkeypatch.setattr(machine_learning.time, "time", lambda: now + 14 * day + 60)
    azure.create(machine_learning.WORKSPACE, workspaceName="space")


def test_a_workspace_uses_an_account_without_keys_by_identity_only(azure: Subscription) -> None:
    # https://learn.microsoft.com/azure/machine-learning/how-to-disable-local-auth-storage
    account = azure.create(
        storage.ACCOUNT,
        accountName="keyless",
        location="westeurope",
        sku={"name": "Standard_LRS"},
        kind="StorageV2",
        allowSharedKeyAccess=False,
    )
    inputs: Json = {"workspaceName": "space", "storageAccount": account.id}
    for mode in ({}, {"systemDatastoresAuthMode": "accessKey"}):
        with pytest.raises(Refusal, match="Set systemDatastoresAuthMode to identity") as refusal:
            azure.create(machine_learning.WORKSPACE, **inputs, **mode)
        assert refusal.value.code == "KeyBasedAuthenticationNotPermitted"
    worker = azure.identity()
    inputs |= {
        "systemDatastoresAuthMode": "Identity",
        "primaryUserAssignedIdentity": worker.id,
        "identity": {"type": "UserAssigned", "userAssignedIdentities": [worker.id]},
    }
    words = "does not have authorization to perform action 'Microsoft.Storage/storageAccounts/read'"
    with pytest.raises(Refusal, match=words):
        azure.create(machine_learning.WORKSPACE, **inputs)
    reader = azure.custom("reader", actions=["Microsoft.Storage/storageAccounts/read"])
    azure.grant(worker.outputs["principalId"], reader.id, account.id)
    azure.create(machine_learning.WORKSPACE, **inputs)


def test_a_key_of_a_vault_is_read_with_the_role_in_the_newest_version(azure: Subscription) -> None:
    # https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
    vault = azure.create(
        key_vault.VAULT,
        vaultName="triplane-keys",
        location="westeurope",
        properties={
            "tenantId": azure.context.account.azure_tenant,
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
        },
    )
    assert vault.outputs["properties"]["vaultUri"].startswith("https://")
    assert vault.outputs["properties"]["provisioningState"] == "Succeeded"
    assert permissions.allowed(
        azure.context,
        azure.context.account.azure_object,
        "Microsoft.KeyVault/vaults/read",
        vault.id,
    )
