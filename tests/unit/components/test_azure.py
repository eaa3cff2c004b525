"""The Azure components under mocks: their resources, and the roles of their identities."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError

from components import build_context, dynamic
from components.azure import arm, roles
from components.azure.dynamic import (
    app_settings,
    blob_folder,
    built_image,
    endpoint_traffic,
    grants_in_force,
)
from components.azure.model_endpoint import deployment_name, environment_version
from components.resource_type import DYNAMIC
from policy.azure import UNTAGGED
from policy.mock_engine import Build, Built, Engine

VERSION = hashlib.sha256(b"model").hexdigest()
OWNER, CONTRIBUTOR = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", roles.BUILT_IN["Contributor"]


def assignments(engine: Engine, prefix: str) -> dict[str, str]:
    """Role (the end of its id) by scope (its resource's name), of the assignments with this prefix."""
    return {
        re.sub(r"[0-9a-f]{8}$", "", each.inputs["scope"]): each.inputs[
            "roleDefinitionId"
        ].rpartition("/")[2]
        for each in engine.of("azure-native:authorization:RoleAssignment")
        if each.name.startswith(prefix)
    }


def test_the_lake_is_private_versioned_and_takes_entra_ids_only(
    built: Built,
) -> None:
    engine, _ = built
    account = engine.one("azure-native:storage:StorageAccount").inputs
    assert account["allowBlobPublicAccess"] is False
    assert account["allowSharedKeyAccess"] is False
    assert account["enableHttpsTrafficOnly"] is True
    assert account["minimumTlsVersion"] == "TLS1_2"
    assert account["allowCrossTenantReplication"] is False
    service = engine.one("azure-native:storage:BlobServiceProperties").inputs
    assert service["isVersioningEnabled"] is True
    containers = engine.of("azure-native:storage:BlobContainer")
    assert {each.inputs["publicAccess"] for each in containers} == {"None"}


def test_names_of_accounts_and_vaults_leave_room_for_autonamings_suffix(built: Built) -> None:
    engine, _ = built
    account = engine.one("azure-native:storage:StorageAccount")
    assert re.fullmatch(r"[a-z0-9]{3,16}", account.name)
    for vault in engine.of("azure-native:keyvault:Vault"):
        assert len(vault.name) <= 16


def test_old_versions_expire(built: Built) -> None:
    rules = built[0].one("azure-native:storage:ManagementPolicy").inputs["policy"]["rules"]
    versions = rules[0]["definition"]
    assert "prefixMatch" not in versions["filters"]
    assert versions["actions"] == {"version": {"delete": {"daysAfterCreationGreaterThan": 7}}}


@pytest.mark.parametrize("days", [2, 31, 3650])
def test_a_capture_is_gone_in_all_its_versions_after_captures_days(
    platform: Build, days: int
) -> None:
    """A deleted blob leaves its version, whose age counts from when it was written, and of both a soft-deleted copy.

    https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-policy-delete
    """
    engine, _ = platform("azure", lake={"captures_days": days, "noncurrent_days": 365})
    rules = engine.one("azure-native:storage:ManagementPolicy").inputs["policy"]["rules"]
    actions = [
        each["definition"]["actions"]
        for each in rules
        if any(
            "captures/a.json".startswith(prefix)
            for prefix in each["definition"]["filters"].get("prefixMatch", [""])
        )
    ]
    blobs = [each["baseBlob"]["delete"] for each in actions if "baseBlob" in each]
    versions = [each["version"]["delete"] for each in actions if "version" in each]
    blob = min(each["daysAfterModificationGreaterThan"] for each in blobs)
    version = min(each["daysAfterCreationGreaterThan"] for each in versions)
    assert max(blob, version) <= days
    assert blob == days - 1
    soft = engine.one("azure-native:storage:BlobServiceProperties").inputs["deleteRetentionPolicy"]
    assert soft == {"enabled": True, "days": 7}


@pytest.mark.parametrize("keep", [True, False])
def test_a_lake_is_kept_with_all_that_is_about_its_data(platform: Build, keep: bool) -> None:
    engine, _ = platform("azure", keep_data=keep)
    of_the_lake = [each for each in engine if each.type.startswith("azure-native:storage:")]
    assert len(of_the_lake) > 3
    assert {each.type: engine.options(each).retainOnDelete for each in of_the_lake} == {
        each.type: keep for each in of_the_lake
    }


@pytest.mark.parametrize(("keep", "protected"), [(True, True), (False, None)])
def test_purge_protection_is_true_or_omitted_as_azure_refuses_false(
    platform: Build, keep: bool, protected: bool | None
) -> None:
    engine, _ = platform("azure", keep_data=keep)
    for vault in engine.of("azure-native:keyvault:Vault"):
        assert vault.inputs["properties"].get("enablePurgeProtection") is protected
        assert vault.inputs["properties"]["enableRbacAuthorization"] is True


def test_each_identity_has_its_grants_on_the_narrowest_scope(
    built: Built,
) -> None:
    engine, _ = built
    assert assignments(engine, "triplane-serving-") == {
        "triplane-lake-models": roles.BUILT_IN["Storage Blob Data Reader"],
        "triplaneregistry": roles.BUILT_IN["AcrPull"],
    }
    gateway = assignments(engine, "triplane-gateway-")
    assert gateway["triplaneregistry"] == roles.BUILT_IN["AcrPull"]
    assert gateway["triplane-key-secret"] == roles.BUILT_IN["Key Vault Secrets User"]
    assert gateway["triplane-lake-captures"].startswith("triplane-gateway-write-captures-role")
    assert gateway["triplane-flight-delay"].startswith("triplane-gateway-invoke-role")
    assert gateway["triplane-lake-models"] == roles.BUILT_IN["Storage Blob Data Reader"]
    assert len(gateway) == 5


def test_what_a_service_does_once_waits_until_its_grants_are_in_force(built: Built) -> None:
    engine, _ = built
    waits = {each.name: each for each in engine.of(f"{DYNAMIC}AzureGrantsInForce")}
    count = {name: len(each.inputs["granted"]) for name, each in waits.items()}
    assert count == {
        "triplane-endpoint-workspace-in-force": 5,
        "triplane-serving-flight-delay-in-force": 2,
        "triplane-gateway-in-force": 1,
    }
    for type_, wait in (
        ("machinelearningservices:Workspace", "triplane-endpoint-workspace-in-force"),
        ("machinelearningservices:OnlineDeployment", "triplane-serving-flight-delay-in-force"),
        ("web:WebApp", "triplane-gateway-in-force"),
    ):
        waiting = engine.options(engine.one(f"azure-native:{type_}")).dependencies
        assert [urn for urn in waiting if urn.endswith(f"::{wait}")], type_


def test_grants_are_in_force_when_the_youngest_is_ten_minutes_old() -> None:
    now = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    seconds_left = grants_in_force.seconds_left
    assert seconds_left(["2026-11-28T11:40:00.1234567Z", "2026-11-28T11:52:00+00:00"], now) == 120
    assert seconds_left(["2026-11-28T11:40:00Z", None], now) == 0
    assert seconds_left([], now) == 0
    # A clock that is an hour behind.
    assert seconds_left(["2026-11-28T13:00:00Z"], now) == 600


def test_a_wait_for_grants_that_was_interrupted_is_not_found_afterwards() -> None:
    provider = grants_in_force.GrantsInForceProvider()
    young = {"principal": "p", "granted": [datetime.now(UTC).isoformat()]}
    assert provider.read("p/in-force", young).id == ""
    old = {"principal": "p", "granted": ["2026-01-01T00:00:00Z"]}
    assert provider.create(old).id == provider.read("p/in-force", old).id == "p/in-force"


def test_only_the_workspace_is_a_contributor_and_nobody_is_an_owner(
    built: Built,
) -> None:
    engine, _ = built
    for each in engine.of("azure-native:authorization:RoleAssignment"):
        role = each.inputs["roleDefinitionId"].rpartition("/")[2]
        assert role != OWNER
        assert role != CONTRIBUTOR or each.name.startswith("triplane-endpoint-workspace-")


def test_the_writer_of_captures_cannot_read_overwrite_or_delete_them(
    built: Built,
) -> None:
    engine, _ = built
    (role,) = (
        each
        for each in engine.of("azure-native:authorization:RoleDefinition")
        if "captures" in each.name
    )
    (permission,) = role.inputs["permissions"]
    assert permission == {
        "dataActions": [
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action"
        ]
    }


def test_a_role_assignment_has_the_same_name_in_every_run(platform: Build) -> None:
    names = [
        {
            each.name: each.inputs["roleAssignmentName"]
            for each in platform("azure")[0].of("azure-native:authorization:RoleAssignment")
        }
        for _ in range(2)
    ]
    assert names[0] == names[1]
    assert all(
        re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", n) for n in names[0].values()
    )
    assert (
        len({roles.guid("/s", "p", "r"), roles.guid("/s/c", "p", "r"), roles.guid("/s", "q", "r")})
        == 3
    )


def test_the_web_app_has_the_image_by_digest_and_the_address_of_the_key(
    built: Built,
) -> None:
    engine, outputs = built
    app = engine.one("azure-native:web:WebApp").inputs
    config = app["siteConfig"]
    assert config["linuxFxVersion"] == f"DOCKER|{outputs['image']}"
    assert config["acrUseManagedIdentityCreds"] is True
    assert (app["httpsOnly"], config["minTlsVersion"], config["ftpsState"]) == (
        True,
        "1.2",
        "Disabled",
    )
    settings = {each["name"]: each["value"] for each in config["appSettings"]}
    assert settings["API_KEY_SECRET_URI"].startswith("https://")
    assert "@Microsoft.KeyVault(" not in str(app)
    assert outputs["gateway_key"] not in str(settings)
    model = outputs["models"]["flight-delay"]
    assert settings["ENDPOINT_KIND"] == "azureml"
    assert json.loads(settings["MODELS"]) == {
        "flight-delay": [model["version"], model["endpoint_url"]]
    }
    assert settings["MAX_CONCURRENCY"] == "5"


def test_the_app_service_plan_has_the_size_of_the_setting_and_its_tier(platform: Build) -> None:
    engine, _ = platform("azure", gateway={"app_service_plan": "P0v3", "max_concurrency": 0})
    plan = engine.one("azure-native:web:AppServicePlan").inputs
    assert plan["sku"] == {"name": "P0v3", "tier": "Premium0V3", "capacity": 1}
    settings = engine.one("azure-native:web:WebApp").inputs["siteConfig"]["appSettings"]
    assert "MAX_CONCURRENCY" not in {each["name"] for each in settings}


def test_nobody_deploys_to_the_web_app_by_its_publishing_password(built: Built) -> None:
    engine, _ = built
    app = engine.one("azure-native:web:WebApp")
    for method in ("Ftp", "Scm"):
        policy = engine.one(f"azure-native:web:WebApp{method}Allowed")
        assert policy.inputs["name"] == app.id
        assert policy.inputs["allow"] is False
        assert engine.options(policy).deletedWith.endswith(f"WebApp::{app.name}")


def test_the_vault_takes_the_key_along_as_an_owner_may_not_delete_it(built: Built) -> None:
    engine, _ = built
    (secret,) = engine.of("azure-native:keyvault:Secret")
    urn = engine.options(secret).deletedWith
    assert urn.endswith("azure-native:keyvault:Vault::triplane-key-kv")


def test_a_public_gateway_has_no_key_and_no_secret(platform: Build) -> None:
    engine, _ = platform("azure", gateway={"access": "public"})
    config = engine.one("azure-native:web:WebApp").inputs["siteConfig"]
    settings = {each["name"]: each["value"] for each in config["appSettings"]}
    assert settings["ACCESS"] == "public"
    assert not [name for name in settings if name.startswith("API_KEY")]
    assert not engine.of("azure-native:keyvault:Secret")


def test_the_endpoint_takes_entra_tokens_and_no_keys(built: Built) -> None:
    engine, _ = built
    endpoint = engine.one("azure-native:machinelearningservices:OnlineEndpoint").inputs
    assert endpoint["properties"]["authMode"] == "AADToken"
    assert "traffic" not in endpoint["properties"]
    store = engine.one("azure-native:machinelearningservices:Datastore").inputs["properties"]
    assert store["credentials"] == {"credentialsType": "None"}


@pytest.mark.parametrize("type_", ["ModelVersion", "EnvironmentVersion", "OnlineDeployment"])
def test_what_serves_is_replaced_by_its_successor_first(built: Built, type_: str) -> None:
    engine, _ = built
    options = engine.options(engine.one(f"azure-native:machinelearningservices:{type_}"))
    assert options.deleteBeforeReplaceDefined
    assert not options.deleteBeforeReplace


def test_azure_looks_up_whether_the_deployer_is_a_person_or_a_service_principal(
    built: Built,
) -> None:
    engine, _ = built
    types = {
        each.name: each.inputs.get("principalType")
        for each in engine.of("azure-native:authorization:RoleAssignment")
    }
    deployers = {"triplane-lake-keeper", "triplane-key-keeper"}
    assert {types.pop(name) for name in deployers} == {None}
    assert set(types.values()) == {"ServicePrincipal"}


def test_another_role_is_granted_before_the_former_one_is_taken_away(built: Built) -> None:
    engine, _ = built
    deployers = {"triplane-lake-keeper", "triplane-key-keeper"}
    for each in engine.of("azure-native:authorization:RoleAssignment"):
        options = engine.options(each)
        assert options.deleteBeforeReplaceDefined, each.name
        assert options.deleteBeforeReplace == (each.name in deployers), each.name


def test_the_same_digest_in_another_registry_is_another_environment() -> None:
    versions = {environment_version(f"{host}.azurecr.io/i@sha256:00") for host in ("a", "b")}
    assert len(versions) == 2


def test_another_deployment_gets_an_autoscale_setting_of_its_own(built: Built) -> None:
    engine, _ = built
    options = engine.options(engine.one("azure-native:monitor:AutoscaleSetting"))
    assert list(options.replaceOnChanges) == ["targetResourceUri"]
    assert options.deleteBeforeReplaceDefined
    assert not options.deleteBeforeReplace


def test_a_fixed_number_of_instances_is_not_scaled(platform: Build) -> None:
    engine, _ = platform("azure", endpoint={"min_instances": 1, "max_instances": 1})
    assert not engine.of("azure-native:monitor:AutoscaleSetting")


def test_everything_that_takes_tags_is_tagged(built: Built) -> None:
    engine, _ = built
    for each in engine:
        if each.type.startswith("azure-native:") and each.type not in UNTAGGED:
            # These two take 15 tags: they have the platform's own.
            few = ("azure-native:keyvault:Secret", "azure-native:monitor:AutoscaleSetting")
            extra = None if each.type in few else "flights"
            assert each.inputs["tags"].get("team") == extra, each.name
            assert each.inputs["tags"]["managed-by"] == "pulumi", each.name


def test_the_same_files_pack_to_the_same_bytes_whatever_their_time(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print(1)")
    first = build_context.packed(tmp_path)
    os.utime(tmp_path / "app.py", (1, 1))
    assert build_context.packed(tmp_path) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert archive.getnames() == ["app.py"]


def test_the_registry_builds_as_itself_without_an_identity_of_the_platform(built: Built) -> None:
    engine, _ = built
    names = [each.name for each in engine.of("azure-native:managedidentity:UserAssignedIdentity")]
    assert not [name for name in names if "build" in name]
    request = built_image.build_request(
        {
            "repository": "images.azurecr.io/triplane",
            "tag": "abc",
            "arguments": {"RUN_AS": "root"},
        },
        "source/c.tar.gz",
    )
    assert request["arguments"] == [{"name": "RUN_AS", "value": "root"}]
    # The default is that the run is logged in to its own registry, and to no other.
    assert "credentials" not in request
    assert request["imageNames"] == ["triplane:abc"]


def test_another_folder_of_the_same_context_is_no_other_image() -> None:
    props = {"registry": "/r", "repository": "images.azurecr.io/triplane", "tag": "abc"}
    provider = built_image.BuiltImageProvider()
    here, there = {**props, "context": "lambda"}, {**props, "context": "../clone/lambda"}
    assert not provider.diff("id", here, there).changes
    assert provider.diff("id", here, {**here, "tag": "def"}).replaces == ["tag"]


def test_a_deployments_name_has_all_that_cannot_change_in_place() -> None:
    name = deployment_name(VERSION, "images.azurecr.io/triplane@sha256:00", "Standard_DS3_v2")
    assert re.fullmatch(r"[a-z][a-z0-9-]{2,31}", name)
    others = {
        deployment_name("0" * 64, "images.azurecr.io/triplane@sha256:00", "Standard_DS3_v2"),
        deployment_name(VERSION, "images.azurecr.io/triplane@sha256:01", "Standard_DS3_v2"),
        deployment_name(VERSION, "images.azurecr.io/triplane@sha256:00", "Standard_DS4_v2"),
    }
    assert len(others - {name}) == 3


class FakeManager:
    """One endpoint in a Resource Manager that finishes everything at once."""

    def __init__(self) -> None:
        self.endpoint: dict[str, Any] | None = {
            "location": "westeurope",
            "tags": {"team": "flights"},
            "identity": {
                "type": "UserAssigned",
                "userAssignedIdentities": {"/identity": {"principalId": "p"}},
            },
            "properties": {
                "authMode": "AADToken",
                "provisioningState": "Succeeded",
                "scoringUri": "https://…/score",
                "traffic": {},
            },
        }

    def get(self, resource: str) -> dict[str, Any] | None:
        return self.endpoint

    def put(self, resource: str, body: dict[str, Any]) -> None:
        assert self.endpoint is not None
        self.endpoint["properties"]["traffic"] = body["properties"]["traffic"]
        self.written = body


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> FakeManager:
    fake = FakeManager()
    monkeypatch.setattr(arm, "get", fake.get)
    monkeypatch.setattr(arm, "put", fake.put)
    return fake


SHIFT = {
    "endpoint_id": "/endpoint",
    "endpoint_tags": {},
    "deployment": "m-new",
    "model_version": VERSION,
}


def test_the_model_version_is_known_once_it_takes_the_traffic(manager: FakeManager) -> None:
    result = endpoint_traffic.EndpointTrafficProvider().create(SHIFT)
    assert manager.get("")["properties"]["traffic"] == {"m-new": 100}  # type: ignore[index]
    assert result.outs is not None
    assert result.outs["serving"] == VERSION


def test_a_shift_writes_no_property_that_is_read_only(manager: FakeManager) -> None:
    endpoint_traffic.EndpointTrafficProvider().create(SHIFT)
    assert manager.written["properties"] == {"authMode": "AADToken", "traffic": {"m-new": 100}}
    assert manager.written["identity"]["userAssignedIdentities"] == {"/identity": {}}


def test_traffic_that_was_shifted_by_hand_is_a_difference(manager: FakeManager) -> None:
    provider = endpoint_traffic.EndpointTrafficProvider()
    state = dict(provider.create(SHIFT).outs or {})
    assert not provider.diff("id", provider.read("id", state).outs, SHIFT).changes  # type: ignore[arg-type]
    manager.put("", {"properties": {"traffic": {"m-new": 10, "m-old": 90}}})
    found = provider.read("id", state).outs or {}
    assert found["deployment"] == "m-new=10%, m-old=90%"
    assert provider.diff("id", dict(found), SHIFT).changes


def test_a_delete_takes_the_traffic_from_the_deployment(manager: FakeManager) -> None:
    provider = endpoint_traffic.EndpointTrafficProvider()
    provider.create(SHIFT)
    provider.delete("id", SHIFT)
    assert manager.get("")["properties"]["traffic"] == {}  # type: ignore[index]


def test_a_deleted_endpoint_has_no_traffic(manager: FakeManager) -> None:
    manager.endpoint = None
    assert endpoint_traffic.EndpointTrafficProvider().read("id", SHIFT).id == ""
    endpoint_traffic.EndpointTrafficProvider().delete("id", SHIFT)


class FakeApp:
    """The settings of one app in a Resource Manager."""

    def __init__(self, **settings: str) -> None:
        self.settings: dict[str, str] | None = settings
        self.writes = 0

    def post(self, _resource: str, _version: str) -> dict[str, Any] | None:
        return None if self.settings is None else {"properties": dict(self.settings)}

    def put(self, _resource: str, body: dict[str, Any], _version: str) -> None:
        self.settings, self.writes = body["properties"], self.writes + 1


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    fake = FakeApp(ACCESS="key", PORT="8080")
    monkeypatch.setattr(arm, "post", fake.post)
    monkeypatch.setattr(arm, "put", fake.put)
    return fake


SETTINGS = {"app": "/app", "settings": {"ACCESS": "key", "PORT": "8080"}}


def test_settings_that_app_service_has_already_are_not_written_again(app: FakeApp) -> None:
    provider = app_settings.AppSettingsProvider()
    created = provider.create(SETTINGS)
    assert (created.id, created.outs) == ("/app/config/appsettings", SETTINGS)
    provider.update("id", {}, SETTINGS)
    assert app.writes == 0  # each write is a restart


@pytest.mark.parametrize(
    "by_hand",
    [
        {"ACCESS": "public", "PORT": "8080"},
        {"PORT": "8080"},
        {**SETTINGS["settings"], "DEBUG": "1"},
    ],  # type: ignore[dict-item]
    ids=["changed", "removed", "added"],
)
def test_settings_that_were_changed_by_hand_are_a_difference_and_are_taken_back(
    app: FakeApp, by_hand: dict[str, str]
) -> None:
    provider = app_settings.AppSettingsProvider()
    app.settings = by_hand
    found = dict(provider.read("id", SETTINGS).outs or {})
    assert provider.diff("id", found, SETTINGS).changes
    assert provider.read("id", found).outs == found
    assert provider.update("id", found, SETTINGS).outs == SETTINGS
    assert app.settings == SETTINGS["settings"]
    assert provider.read("id", SETTINGS).outs == SETTINGS


def test_a_setting_that_was_changed_by_hand_is_not_in_the_state_in_clear(app: FakeApp) -> None:
    app.settings = {"ACCESS": "key", "PORT": "a-password"}
    outs = app_settings.AppSettingsProvider().read("id", SETTINGS).outs or {}
    assert outs["settings"]["ACCESS"] == "key"
    assert "a-password" not in str(outs)


def test_a_deleted_app_has_no_settings(app: FakeApp) -> None:
    app.settings = None
    assert app_settings.AppSettingsProvider().read("id", SETTINGS).id == ""


def test_another_folder_with_the_same_files_is_no_change() -> None:
    provider = blob_folder.BlobFolderProvider()
    here = {
        "account_url": "https://a",
        "container": "models",
        "prefix": "m/1",
        "directory": "x",
        "files": {"model.onnx": "00"},
    }
    assert not provider.diff("id", here, {**here, "directory": "../elsewhere"}).changes
    assert provider.diff("id", here, {**here, "files": {"model.onnx": "01"}}).changes
    assert provider.diff("id", here, {**here, "prefix": "m/2"}).replaces == ["prefix"]


FILES: Any = {
    "account_url": "https://a.blob.core.windows.net",
    "container": "models",
    "container_id": "/subscriptions/1/containers/models",
    "prefix": "m/1",
    "directory": ".",
    "files": {"model.onnx": "00"},
}


class FakeContainer:
    """A container whose listing answers each of these in turn: an error, or that nothing is there."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)

    def list_blobs(self, **_: object) -> list[Any]:
        if self.answers and (error := self.answers.pop(0)):
            raise error
        return [SimpleNamespace(name="m/1/model.onnx", metadata={"sha256": "00"})]


def status(code: int) -> HttpResponseError:
    error = HttpResponseError(f"answered {code}")
    error.status_code = code
    return error


def test_files_are_gone_only_if_azure_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is not reached is the sign of a deleted account, and of a network that is down, too."""
    provider = blob_folder.BlobFolderProvider()
    in_azure: list[Any] = []
    monkeypatch.setattr(arm, "get", lambda *_: in_azure[0])
    of_before = {key: value for key, value in FILES.items() if key != "container_id"}

    def read(answer: Exception | None, props: Any = FILES) -> Any:
        monkeypatch.setattr(blob_folder, "_client", lambda _: FakeContainer(answer))
        return provider.read("id", props)

    unreachable = ServiceRequestError("Failed to resolve 'a.blob.core.windows.net'")
    in_azure[:] = [{"id": FILES["container_id"]}]
    with pytest.raises(ServiceRequestError):
        read(unreachable)
    in_azure[:] = [None]
    with pytest.raises(ServiceRequestError):
        read(unreachable, of_before)
    assert read(unreachable).id == ""
    assert read(ResourceNotFoundError("ContainerNotFound")).id == ""
    assert read(status(403)).outs == FILES, "not known"
    for code in (401, 500):
        with pytest.raises(HttpResponseError):
            read(status(code))
    assert read(None).outs == FILES


def test_an_upload_waits_for_its_role_and_then_gives_azures_own_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dynamic.time, "sleep", lambda _: None)
    container = FakeContainer(status(403), status(403))
    monkeypatch.setattr(blob_folder, "_client", lambda _: container)
    assert blob_folder.BlobFolderProvider().create(FILES).id
    assert container.answers == []
    monkeypatch.setattr(dynamic, "LONGEST_GRANT_SECONDS", 0)
    container.answers = [status(403)]
    with pytest.raises(HttpResponseError, match="answered 403"):
        blob_folder.BlobFolderProvider().create(FILES)


def test_traffic_is_not_shifted_on_an_endpoint_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arm, "get", lambda *_: None)
    props = {"endpoint_id": "/e", "deployment": "d", "model_version": "v"}
    with pytest.raises(RuntimeError, match="there is no endpoint /e"):
        endpoint_traffic.EndpointTrafficProvider().create(props)
    endpoint_traffic.EndpointTrafficProvider().delete("/e/traffic", props)


def test_what_is_in_a_subscription_that_is_not_seen_is_not_known_to_be_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shell that is signed in to another tenant: its refresh would drop everything from the state."""

    def answered(code: str) -> None:
        answer = requests.Response()
        answer.status_code, answer.url = 404, "https://management.azure.com/r"
        answer.request = requests.Request("GET", answer.url).prepare()
        answer._content = json.dumps({"error": {"code": code, "message": "not found"}}).encode()
        monkeypatch.setattr(arm, "_send", lambda *_, **__: answer)

    answered("ResourceNotFound")
    assert arm.get("/r") is None
    assert arm.post("/r", "1") is None
    answered("SubscriptionNotFound")
    for ask in (lambda: arm.get("/r"), lambda: arm.post("/r", "1"), lambda: list(arm.listed("/r"))):
        with pytest.raises(arm.ResourceManagerError, match="SubscriptionNotFound"):
            ask()
