"""What the delivery's identity of one stack on Azure may do: its own work by the real engine, and nothing to another stack,
to its own data and to itself.

Both stacks are in one subscription, and the name of one begins as the other's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import azure.core.exceptions
import pytest
import requests
from azure.core.credentials import AccessToken

from bench.harness import Stack
from config import github
from tests.e2e.delivering_stack import github_token, refusal_after_its_work, stack_beside

REF = "refs/heads/main"
SUBJECT = f"repo:acme/triplane:environment:staging:ref:{REF}"
REFUSALS = {
    "AuthorizationFailed",
    "AuthorizationPermissionMismatch",
    "Forbidden",
    "LinkedAuthorizationFailed",
}
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def assertion(**claims: Any) -> str:
    """What GitHub gives a job of the environment on the main branch, in a repository with the template of claims."""
    return github_token("api://AzureADTokenExchange", **{"sub": SUBJECT, **claims})


class Resources:
    """The ids of a stack's resources."""

    def __init__(self, stack: Stack) -> None:
        self._found = [each for each in stack.resources() if each.get("id")]
        self.lake_uri = str(stack.outputs()["lake_uri"])
        self.app = self.of("WebApp")
        self.endpoint = self.of("OnlineEndpoint")
        self.group = self.of("ResourceGroup")
        self.lake = self.of("StorageAccount")
        self.registry = self.of("Registry")
        self.secret = self.of("Secret")
        self.vault = self.of("Vault")
        self.subscription = self.group.split("/")[2]
        (vault,) = (each for each in self._found if each["id"] == self.vault)
        address = str(vault["outputs"]["properties"]["vaultUri"])
        self.secret_uri = f"{address}secrets/{self.secret.rpartition('/')[2]}"

    def of(self, kind: str, name: str = "") -> str:
        """The id of a resource by its type's last word, and by the end of its name in the program."""
        return next(
            str(each["id"])
            for each in self._found
            if each["type"].endswith(f":{kind}") and each["urn"].endswith(name)
        )

    def identity(self, owner: str) -> str:
        return self.of("UserAssignedIdentity", f"-{owner}-identity")


class Delivery:
    """A stack that a pipeline delivers to, and its identity as a credential of Azure's own clients."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.own = stack, Resources(stack)
        self.client_id = str(stack.outputs()["delivery_identity"])
        self.host = stack.rehearsal.environment["ARM_METADATA_HOSTNAME"]
        self.verb = ""
        """The end of the action that the last request to the Resource Manager is."""

    def token(self, scope: str, web_identity: str) -> requests.Response:
        form = {
            "client_id": self.client_id,
            "client_assertion": web_identity,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "grant_type": "client_credentials",
            "scope": scope,
        }
        address = f"https://{self.host}/tenant/oauth2/v2.0/token"
        return requests.post(address, data=form, timeout=60)

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        answer = self.token(scopes[0], assertion())
        answer.raise_for_status()
        found = answer.json()
        return AccessToken(found["access_token"], int(time.time()) + found["expires_in"])

    def manager(self, kind: Any) -> Any:
        """A client of the Resource Manager."""
        return kind(
            self,
            self.own.subscription,
            base_url=f"https://{self.host}",
            credential_scopes=["https://management.azure.com/.default"],
        )

    @property
    def resources(self) -> Any:
        from azure.mgmt.resource.resources import ResourceManagementClient

        return self.manager(ResourceManagementClient)

    def put(self, id_: str, **body: Any) -> Any:
        self.verb = "write"
        return self.resources.resources.begin_create_or_update_by_id(
            id_, {"location": "westeurope", **body}, api_version="2024-01-01"
        )

    def delete(self, id_: str) -> Any:
        self.verb = "delete"
        return self.resources.resources.begin_delete_by_id(id_, api_version="2024-01-01")

    def post(self, id_: str, action: str) -> Any:
        """An action that only clients of the single services have."""
        self.verb = "action"
        token = self.get_token("https://management.azure.com/.default").token
        return requests.post(
            f"https://{self.host}{id_}/{action}?api-version=2024-01-01",
            json={},
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
        )

    def secret(self, method: str, uri: str) -> Any:
        token = self.get_token("https://vault.azure.net/.default").token
        headers = {"authorization": f"Bearer {token}"}
        return requests.request(method, uri, json={"value": "mine"}, headers=headers, timeout=60)

    def blob(self, lake: str, name: str) -> Any:
        from azure.storage.blob import BlobServiceClient

        container, _, blob = name.partition("/")
        return BlobServiceClient(lake, self).get_blob_client(container, blob)

    def assign(self, scope: str, role: str) -> Any:
        from azure.mgmt.authorization import AuthorizationManagementClient

        definition = f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role}"
        properties = {"roleDefinitionId": definition, "principalId": self.client_id}
        return self.manager(AuthorizationManagementClient).role_assignments.create(
            scope, "0f0f0f0f-0000-4000-8000-000000000000", {"properties": properties}
        )

    def refusal(self, attempt: Callable[..., Any], *arguments: Any) -> str:
        """The code with which Azure refuses; empty: it does not. With the action, if that is of another verb."""
        self.verb = ""
        try:
            answer = attempt(*arguments)
        except azure.core.exceptions.HttpResponseError as error:
            found = getattr(error, "error_code", None) or (error.error and error.error.code)
            code, text = str(getattr(found, "value", found)), str(error)
        else:
            if not isinstance(answer, requests.Response) or answer.ok:
                return ""
            code, text = str(answer.json()["error"]["code"]), answer.text
        action = re.search(r"to perform action '([^']*)'", text)
        if self.verb and action and not action[1].lower().endswith(f"/{self.verb}"):
            return f"{code} of {action[1]}"
        return code


@pytest.fixture(scope="module")
def delivery(
    stack: Stack, models: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivery]:
    """The stack ``e2e-azure-eu`` beside the shared one, ``e2e-azure``."""
    own = stack_beside(stack, tmp_path_factory.mktemp("reach"), branch_in_subject=True)
    yield Delivery(own)
    own.up()  # the state has the identity, as which a destroy would begin
    own.pulumi("destroy", "--yes", "--skip-preview")


@pytest.mark.parametrize("stack", ["azure"], indirect=True)
def test_the_delivery_does_its_whole_work_with_its_own_sign_in(
    delivery: Delivery,
    stack: Stack,
    models: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    own, file = delivery.stack, tmp_path / "token"
    file.write_text(assertion())
    for name, value in {
        "AZURE_AUTHORITY_HOST": f"https://{delivery.host}",
        "AZURE_CLIENT_ID": delivery.client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
        "AZURE_TENANT_ID": "tenant",
    }.items():
        monkeypatch.setitem(own.rehearsal.environment, name, value)
    own.configure(**{"azure-native:clientId": delivery.client_id})
    try:
        refused = refusal_after_its_work(own, models)
        assert "AuthorizationFailed" in refused
        assert "Microsoft.Storage/storageAccounts/managementPolicies/write" in refused
    finally:
        del own.settings["azure-native:clientId"]
        own.configure()


ATTACKS: dict[str, Callable[[Delivery, Resources], Any]] = {
    # Another stack, whose name begins as the own one's
    "another's app: delete": lambda d, v: d.delete(v.app),
    "another's app: update": lambda d, v: d.put(v.app, properties={"siteConfig": {}}),
    "another's app: read the settings": lambda d, v: d.post(v.app, "config/appsettings/list"),
    "another's app: read the publishing password": lambda d, v: d.post(
        v.app, "config/publishingcredentials/list"
    ),
    "another's endpoint: delete": lambda d, v: d.delete(v.endpoint),
    "another's endpoint: traffic": lambda d, v: d.put(v.endpoint, properties={"traffic": {}}),
    "another's endpoint: read the keys": lambda d, v: d.post(v.endpoint, "listKeys"),
    "another's secret: write": lambda d, v: d.put(v.secret, properties={"value": "mine"}),
    "another's secret: read": lambda d, v: d.secret("GET", v.secret_uri),
    "another's vault: delete": lambda d, v: d.delete(v.vault),
    "another's lake: delete": lambda d, v: d.delete(v.lake),
    "another's lake: read the account's keys": lambda d, v: d.post(v.lake, "listKeys"),
    "another's models: write": lambda d, v: d.blob(v.lake_uri, "models/a").upload_blob(
        b"x", overwrite=True
    ),
    "another's captures: read": lambda d, v: d.blob(v.lake_uri, "captures/a").download_blob(),
    "another's registry: start a build": lambda d, v: d.post(v.registry, "scheduleRun"),
    "another's registry: delete": lambda d, v: d.delete(v.registry),
    "another's resource group: delete": lambda d, v: d.resources.resource_groups.begin_delete(
        v.group.rpartition("/")[2]
    ),
    # The own stack's data
    "its own lake: delete": lambda d, v: d.delete(d.own.lake),
    "its own lake: allow public access": lambda d, v: d.put(
        d.own.lake, properties={"allowBlobPublicAccess": True}
    ),
    "its own lake: read the account's keys": lambda d, v: d.post(d.own.lake, "listKeys"),
    "its own lake: lifecycle": lambda d, v: d.put(
        d.own.of("ManagementPolicy"), properties={"policy": {"rules": []}}
    ),
    "its own lake: suspend versions": lambda d, v: d.put(
        d.own.of("BlobServiceProperties"), properties={}
    ),
    "its own models: delete": lambda d, v: d.blob(d.own.lake_uri, "models/a").delete_blob(),
    "its own captures: read": lambda d, v: d.blob(d.own.lake_uri, "captures/a").download_blob(),
    "its own captures: read by a copy": lambda d, v: d.blob(
        d.own.lake_uri, "models/a"
    ).start_copy_from_url(f"{d.own.lake_uri}/captures/a"),
    "its own captures: read by a block of a URL": lambda d, v: d.blob(
        d.own.lake_uri, "models/a"
    ).stage_block_from_url("AAAA", f"{d.own.lake_uri}/captures/a"),
    "another's models: read by a blob of a URL": lambda d, v: d.blob(
        d.own.lake_uri, "models/a"
    ).upload_blob_from_url(f"{v.lake_uri}/models/a"),
    "its own raw data: write": lambda d, v: d.blob(d.own.lake_uri, "raw/a").upload_blob(b"x"),
    "its own vault: delete": lambda d, v: d.delete(d.own.vault),
    "its own secret: read": lambda d, v: d.secret("GET", d.own.secret_uri),
    "its own secret: delete": lambda d, v: d.secret("DELETE", d.own.secret_uri),
    "its own registry: delete": lambda d, v: d.delete(d.own.registry),
    "its own registry: read the password": lambda d, v: d.post(d.own.registry, "listCredentials"),
    "its own workspace: update": lambda d, v: d.put(d.own.of("Workspace"), properties={}),
    "its own resource group: delete": lambda d, v: d.resources.resource_groups.begin_delete(
        d.own.group.rpartition("/")[2]
    ),
    # The identity's own power
    "its own resource group: become Owner": lambda d, v: d.assign(d.own.group, OWNER),
    "the subscription: become Owner": lambda d, v: d.assign(
        f"/subscriptions/{d.own.subscription}", OWNER
    ),
    "another's resource group: become Reader": lambda d, v: d.assign(v.group, READER),
    "its own role: widen": lambda d, v: d.put(
        f"/subscriptions/{d.own.subscription}/providers"
        f"/{d.own.of('RoleDefinition').partition('/providers/')[2]}",
        properties={"permissions": [{"actions": ["*"]}]},
    ),
    "its own identity: trust another branch": lambda d, v: d.put(
        f"{d.own.identity('delivery')}/federatedIdentityCredentials/mine",
        properties={"issuer": github.ISSUER, "subject": "repo:mallory/x:ref:refs/heads/main"},
    ),
    "a workload's identity: trust a job": lambda d, v: d.put(
        f"{d.own.identity('gateway')}/federatedIdentityCredentials/mine",
        properties={"issuer": github.ISSUER, "subject": SUBJECT},
    ),
    "a new identity": lambda d, v: d.put(
        f"{d.own.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mine"
    ),
    "its own app: run as another's identity": lambda d, v: d.put(
        d.own.app,
        identity={
            "type": "UserAssigned",
            "userAssignedIdentities": {v.identity("gateway"): {}},
        },
    ),
    "its own app: run as the delivery's identity": lambda d, v: d.put(
        d.own.app,
        identity={
            "type": "UserAssigned",
            "userAssignedIdentities": {d.own.identity("delivery"): {}},
        },
    ),
    "a new deployment of a template": lambda d, v: d.put(
        f"{d.own.group}/providers/Microsoft.Resources/deployments/mine", properties={}
    ),
    "a new lock": lambda d, v: d.put(
        f"{d.own.group}/providers/Microsoft.Authorization/locks/mine", properties={}
    ),
    "a new machine": lambda d, v: d.put(
        f"{d.own.group}/providers/Microsoft.Compute/virtualMachines/mine", properties={}
    ),
    "the tenant: elevate access": lambda d, v: d.post(
        "/providers/Microsoft.Authorization", "elevateAccess"
    ),
}


@pytest.mark.parametrize("stack", ["azure"], indirect=True)
def test_the_delivery_is_refused_everything_else_by_azures_own_error(
    delivery: Delivery, stack: Stack
) -> None:
    victim = Resources(stack)
    found = {what: delivery.refusal(attack, delivery, victim) for what, attack in ATTACKS.items()}
    assert {what: code for what, code in found.items() if code not in REFUSALS} == {}


@pytest.mark.parametrize("stack", ["azure"], indirect=True)
def test_the_delivery_reads_its_own_group_and_writes_to_the_zones_of_a_deployment(
    delivery: Delivery, stack: Stack
) -> None:
    delivery.blob(delivery.own.lake_uri, "models/by-the-pipeline").upload_blob(b"x")
    names = [each.name for each in delivery.resources.resource_groups.list()]
    assert stack is not delivery.stack
    assert all(Resources(stack).group.rpartition("/")[2] != each for each in names)
    assert delivery.post(delivery.own.app, "config/appsettings/list").ok


@pytest.mark.parametrize("stack", ["azure"], indirect=True)
def test_a_job_of_another_branch_gets_no_token_where_the_subject_names_the_branch(
    delivery: Delivery, stack: Stack
) -> None:
    for subject in (
        f"{SUBJECT}-mine",
        "repo:acme/triplane:environment:staging",
        "repo:acme/triplane:environment:staging:ref:refs/heads/mine",
        "repo:acme/triplane:environment:production:ref:refs/heads/main",
        "repo:mallory/triplane:environment:staging:ref:refs/heads/main",
    ):
        answer = delivery.token("https://management.azure.com/.default", assertion(sub=subject))
        assert answer.status_code == 401
        assert "AADSTS700213" in answer.text
