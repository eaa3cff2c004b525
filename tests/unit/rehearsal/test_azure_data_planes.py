"""What really runs on the rehearsed Azure: tokens, scoring, apps, blobs, and their permissions."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import ContainerClient
from starlette.testclient import TestClient

from components.azure import roles
from config import github
from rehearsal.azure import (
    app_service,
    container_registry,
    credentials,
    machine_learning,
    permissions,
    routes,
    storage,
)
from rehearsal.azure.container_registry import REGISTRY
from rehearsal.azure.container_registry_data_plane import PULL as PULL_ACTION
from rehearsal.azure.managed_identity import FEDERATED_CREDENTIAL
from rehearsal.azure.profile import environment
from rehearsal.core import behaviour
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context
from tests.fuzz.odd_tokens import encoded, odd_tokens
from tests.unit.rehearsal.azure_subscription import (
    PULL,
    SECRETS_USER,
    Credential,
    Subscription,
    deployed_endpoint,
)

CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"


@pytest.fixture
def azure(live_context: Context) -> Subscription:
    return Subscription(live_context)


@pytest.fixture
def endpoint(azure: Subscription) -> Record:
    """An endpoint with two deployments that are only recorded."""
    return deployed_endpoint(azure)


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


def test_an_assertion_with_odd_claims_is_refused_and_no_fault(azure: Subscription) -> None:
    identity = azure.identity("delivery")
    good = {"iss": github.ISSUER, "aud": "api://AzureADTokenExchange", "sub": "repo:a/b:main"}
    azure.create(
        FEDERATED_CREDENTIAL,
        resourceName="delivery",
        federatedIdentityCredentialResourceName="github",
        issuer=good["iss"],
        subject=good["sub"],
        audiences=[good["aud"]],
    )
    entra = TestClient(routes.resource_manager(azure.context))

    def status(assertion: str) -> int:
        form = {"client_id": identity.outputs["clientId"], "client_assertion": assertion}
        answer = entra.post("/tenant/oauth2/v2.0/token", data=form)
        assert answer.status_code == 200 or answer.json()["error"] == "invalid_client"
        return answer.status_code

    assert status(encoded(json.dumps({**good, "exp": time.time() + 300}))) == 200
    for assertion in odd_tokens(good):
        if assertion:  # an empty field is none
            assert status(assertion) == 401, assertion[:200]


def test_an_app_that_cannot_pull_its_image_exists_and_answers_503(azure: Subscription) -> None:
    import ssl
    import urllib.error
    import urllib.request

    azure.create(REGISTRY, registryName="images", sku={"name": "Basic"})
    plan = azure.create(app_service.PLAN, name="plan", sku={"tier": "Basic", "name": "B1"})
    app = azure.create(
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


def test_an_app_whose_image_it_may_not_pull_yet_starts_by_itself_and_resolves_no_key_again(
    azure: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unresolved reference to a key stays so until the configuration is changed, or for 24 hours."""
    started: list[dict[str, str]] = []
    monkeypatch.setattr(
        azure.context.containers, "run", lambda key, container: started.append(container.env)
    )
    monkeypatch.setattr(app_service.NotStarted, "_pause", lambda _: 0.0)
    monkeypatch.setattr(
        container_registry, "pulled_image", lambda *given: allowed_image(azure, given[-1])
    )
    worker = azure.identity()
    principal = worker.outputs["principalId"]
    azure.create(
        "azure-native:keyvault:Vault",
        vaultName="vault-of-keys",
        properties={"sku": {"name": "standard", "family": "A"}, "tenantId": "t"},
    )
    secret = azure.create(
        "azure-native:keyvault:Secret",
        vaultName="vault-of-keys",
        secretName="key",
        properties={"value": "the key"},
    )
    reference = (
        f"@Microsoft.KeyVault(SecretUri={secret.outputs['properties']['secretUriWithVersion']})"
    )
    plan = azure.create(app_service.PLAN, name="plan", sku={"tier": "Basic", "name": "B1"})
    registry = azure.create(REGISTRY, registryName="images", sku={"name": "Basic"})
    app = azure.create(
        app_service.SITE,
        name="app",
        serverFarmId=plan.id,
        identity={"type": "UserAssigned", "userAssignedIdentities": [worker.id]},
        keyVaultReferenceIdentity=worker.id,
        siteConfig={
            "linuxFxVersion": "DOCKER|images.azurecr.io/triplane@sha256:00",
            "acrUseManagedIdentityCreds": True,
            "acrUserManagedIdentityID": worker.outputs["clientId"],
            "appSettings": [{"name": "API_KEY", "value": reference}],
        },
    )
    assert not started
    azure.grant(principal, PULL, registry.id)
    azure.grant(principal, SECRETS_USER, secret.id)
    app_service.NotStarted(azure.context, app.id)._start_again()
    assert [env["API_KEY"] for env in started] == [reference]
    azure.update(app, tags={"another": "configuration"})
    assert started[-1]["API_KEY"] == "the key"


def test_the_former_container_answers_for_a_while_after_a_change(
    live_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behaviour, "CLOCK", 60)
    azure = Subscription(replace(live_context, behaviour=behaviour.BEHAVIOURS["realistic"]))
    started: list[str] = []
    monkeypatch.setattr(
        azure.context.containers, "run", lambda key, container: started.append(container.image)
    )
    monkeypatch.setattr(
        container_registry,
        "pulled_image",
        lambda context, reference, principal: SimpleNamespace(reference=reference),
    )
    worker = azure.identity()
    plan = azure.create(app_service.PLAN, name="plan", sku={"tier": "Basic", "name": "B1"})

    def config(image: str) -> dict[str, object]:
        return {
            "linuxFxVersion": f"DOCKER|{image}",
            "acrUseManagedIdentityCreds": True,
            "acrUserManagedIdentityID": worker.outputs["clientId"],
        }

    app = azure.create(
        app_service.SITE,
        name="app",
        serverFarmId=plan.id,
        identity={"type": "UserAssigned", "userAssignedIdentities": [worker.id]},
        siteConfig=config("former"),
    )
    azure.update(app, siteConfig=config("new"))
    assert started == ["former"]
    deadline = time.monotonic() + 30
    while started != ["former", "new"]:
        assert time.monotonic() < deadline, started
        time.sleep(0.1)


def allowed_image(azure: Subscription, principal: str) -> Any:
    """An image that who has AcrPull may pull."""
    (registry,) = azure.context.all(REGISTRY)
    if not permissions.allowed(azure.context, principal, PULL_ACTION, registry.id):
        raise Refusal("ImagePullUnauthorized", "unauthorized: authentication required")
    return SimpleNamespace(reference="images.azurecr.io/triplane@sha256:00")


def test_the_settings_of_an_app_are_listed_and_written_by_who_may(azure: Subscription) -> None:
    plan = azure.create(app_service.PLAN, name="plan", sku={"tier": "Basic", "name": "B1"})
    config = {"appSettings": [{"name": "ACCESS", "value": "key"}]}
    app = azure.create(app_service.SITE, name="app", serverFarmId=plan.id, siteConfig=config)
    worker = azure.identity().outputs["principalId"]

    def send(method: str, path: str, principal: str, body: object = None) -> Any:
        token, _ = credentials.token(azure.context, principal, "client", routes.MANAGEMENT)
        client = TestClient(routes.resource_manager(azure.context), base_url="https://manager")
        headers = {"Authorization": f"Bearer {token}"}
        return client.request(method, f"{app.id}/config/{path}", json=body, headers=headers)

    deployer = azure.context.account.azure_object
    assert send("POST", "appsettings/list", deployer).json() == {"properties": {"ACCESS": "key"}}
    public = {"properties": {"ACCESS": "public"}}
    assert send("PUT", "appsettings", deployer, public).json() == public
    assert send("POST", "appsettings/list", deployer).json() == public
    assert send("POST", "appsettings/list", worker).status_code == 403
    assert send("PUT", "appsettings", worker, public).status_code == 403


@pytest.fixture
def lake(azure: Subscription) -> tuple[Subscription, Record]:
    azure.create(
        storage.ACCOUNT,
        accountName="triplanelake",
        location="westeurope",
        sku={"name": "Standard_LRS"},
        kind="StorageV2",
        allowSharedKeyAccess=False,
    )
    captures = azure.create(storage.CONTAINER, accountName="triplanelake", containerName="captures")
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


def test_a_condition_narrows_a_right_to_read_to_folders_of_a_container(
    lake: tuple[Subscription, Record],
) -> None:
    azure, captures = lake
    deployer = azure.context.account.azure_object
    azure.grant(deployer, CONTRIBUTOR, captures.id)
    with container(azure, Credential(azure.context, deployer)) as client:
        for name in ("digits/1/contract.json", "digits/1/model.onnx", "churn/1/contract.json"):
            client.upload_blob(name, b"{}")
    found: dict[str, set[str]] = {}
    for who, files in (("server", ()), ("gateway", ("contract.json",))):
        principal = azure.identity(who).outputs["principalId"]
        assignment = azure.grant(principal, BLOB_READER, captures.id)
        assignment.inputs["condition"] = roles.reading_condition(["digits/"], files)
        azure.context.save(assignment)
        with container(azure, Credential(azure.context, principal)) as client:
            attempts: dict[str, Callable[[], object]] = {
                "digits/1/contract.json": partial(client.download_blob, "digits/1/contract.json"),
                "digits/1/model.onnx": partial(client.download_blob, "digits/1/model.onnx"),
                "churn/1/contract.json": partial(client.download_blob, "churn/1/contract.json"),
                "all": lambda: list(client.list_blobs()),  # called in this turn
                "list of digits": lambda: list(client.list_blobs(name_starts_with="digits/1")),
            }
            found[who] = {name for name, attempt in attempts.items() if succeeds(attempt)}
    assert found == {
        "server": {"digits/1/contract.json", "digits/1/model.onnx", "list of digits"},
        "gateway": {"digits/1/contract.json"},
    }


def succeeds(attempt: Callable[[], object]) -> bool:
    """Whether a request is not refused by the caller's roles."""
    try:
        attempt()
    except HttpResponseError as error:
        if error.error_code != "AuthorizationPermissionMismatch":
            raise
        return False
    return True


def test_a_copy_reads_only_what_its_caller_may_read(lake: tuple[Subscription, Record]) -> None:
    azure, captures = lake
    context, secret = azure.context, b"what only the owner may read"
    azure.create(storage.CONTAINER, accountName="triplanelake", containerName="secret")
    deployer = context.account.azure_object
    for container_name in ("captures", "secret"):
        scope = captures.id.replace("captures", container_name)
        azure.grant(deployer, CONTRIBUTOR, scope)
    thief = azure.identity("thief").outputs["principalId"]
    azure.grant(thief, CONTRIBUTOR, captures.id)
    with container(azure, Credential(context, deployer)) as client:
        account = client.url.rpartition("/")[0]
        host, _, path = account.removeprefix("https://").partition("/")
        tokens = {
            who: credentials.token(context, who, "c", "https://storage.azure.com")[0]
            for who in (thief, deployer)
        }
        trust = ssl.create_default_context(cafile=str(context.authority.bundle))

        def put(
            target: str, who: str = thief, body: bytes = b"", **headers: str
        ) -> tuple[int, bytes]:
            """A request whose path no client has normalized."""
            found = {name.replace("_", "-"): value for name, value in headers.items()}
            found |= {"authorization": f"Bearer {tokens[who]}", "x-ms-version": "2023-11-03"}
            method = found.pop("method", "PUT")
            with closing(http.client.HTTPSConnection(host, context=trust)) as connection:
                connection.request(method, f"/{path}/{target}", body, found)
                answer = connection.getresponse()
                return answer.status, answer.read()

        written = put("secret/a", deployer, secret, x_ms_blob_type="BlockBlob")
        assert written[0] == 201, written
        source = f"{account}/secret/a"
        for target, headers in (
            ("captures/b", {}),
            ("captures/b", {"x_ms_requires_sync": "true"}),
            ("captures/b", {"x_ms_blob_type": "BlockBlob"}),
            ("captures/b?comp=block&blockid=AAAA", {}),
            ("captures/b?comp=appendblock", {}),
            ("captures/b", {"x_ms_copy_source_authorization": f"Bearer {tokens[thief]}"}),
            ("captures/b", {"x_ms_copy_source_authorization": "Bearer x"}),
            ("captures/b", {"x_ms_copy_source": f"{account}/captures/../secret/a"}),
            ("captures/b", {"x_ms_copy_source": f"{account}/captures/%2e%2e/secret/a"}),
            ("captures/b", {"x_ms_copy_source": source.replace(host, "127.0.0.1:1")}),
        ):
            status, text = put(target, **{"x_ms_copy_source": source, **headers})
            assert (status, b"AuthorizationPermissionMismatch" in text) == (403, True), headers
        for target in (
            "captures/../secret/a",
            "captures/%2e%2e/secret/a",
            "captures/..%5Csecret/a",
        ):
            assert put(target, method="GET")[0] == 400, target
            assert put(target, body=b"mine", x_ms_blob_type="BlockBlob")[0] == 400, target
        assert put("captures/a?comp=block&comp=metadata", body=b"mine")[0] == 400
        assert put("captures?restype=container&comp=batch", method="POST")[0] == 501
        assert not list(client.list_blobs())
        assert put("secret/a", deployer, method="GET") == (200, secret)
        # What it may read, it may copy.
        assert put("captures/c", deployer, x_ms_copy_source=source)[0] == 202
        assert put("captures/d", x_ms_copy_source=f"{account}/captures/c")[0] == 202
        assert client.download_blob("d").readall() == secret


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
        azure.create(
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
