"""What the delivery's identity on Google Cloud can reach: its own stack's whole job, and nothing else in the project.

Two stacks in one project, the name of one being the beginning of the other's. The identity is used as CI uses it: a token
of GitHub is exchanged by Google's own client, and that client, Cloud Storage's and the generated ones do the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.harness import Stack
from tests.e2e.delivering_stack import REPOSITORY, github_token, stack_beside

SUBJECT = f"repo:{REPOSITORY}:environment:staging"
BRANCH_SUBJECT = f"repo:{REPOSITORY}:ref:refs/heads/main"
OTHER = [
    {"ref": "refs/heads/feature"},
    {"ref": "refs/tags/main"},
    {"ref": "refs/pull/1/merge"},
    {"sub": f"repo:{REPOSITORY}:pull_request"},
    {"sub": f"repo:{REPOSITORY}-2:environment:staging"},
    {"sub": f"repo:{REPOSITORY}:environment:production"},
]
"""What tokens of GitHub that are not to sign in claim."""


@dataclass(frozen=True)
class Delivered:
    """A stack with a delivery identity, and that identity's credentials."""

    stack: Stack

    @property
    def base(self) -> str:
        return self.stack.rehearsal.environment["TRIPLANE_REHEARSAL_URL"] + "/gcp"

    def one(self, type: str, name: str = "") -> dict[str, Any]:
        """The one resource of this type whose name ends so."""
        (found,) = (
            each
            for each in self.stack.resources()
            if each["type"] == type and each["urn"].endswith(name)
        )
        return found

    def account(self, workload: str) -> str:
        account = self.one("gcp:serviceaccount/account:Account", f"-{workload}-sa")
        return str(account["outputs"]["email"])

    def credentials(self, file: Path, **claims: Any) -> Any:
        """Google's client for workload identity federation, with a token of GitHub in a file.

        https://google.aip.dev/auth/4117
        """
        from google.auth import identity_pool

        (folder := file.parent).mkdir(parents=True, exist_ok=True)
        name = self.stack.outputs()["delivery_provider"]
        audience = f"https://iam.googleapis.com/{name}"
        token = github_token(audience, **{"sub": SUBJECT, **claims})
        (folder / "token").write_text(token)
        email = self.stack.outputs()["delivery_identity"]
        info = {
            "type": "external_account",
            "audience": f"//iam.googleapis.com/{name}",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.base}/sts/v1/token",
            "service_account_impersonation_url": f"{self.base}/iamcredentials/v1/projects/-"
            f"/serviceAccounts/{email}:generateAccessToken",
            "credential_source": {"file": str(folder / "token")},
        }
        file.write_text(json.dumps(info))
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        return identity_pool.Credentials.from_info(info, scopes=scopes)

    def as_itself(self, folder: Path) -> Stack:
        """The stack as CI updates it: with the identity's credentials, for the provider and for our own resources."""
        from google.auth.transport.requests import Request

        credentials = self.credentials(folder / "credentials.json")
        credentials.refresh(Request())
        name = "GOOGLE_APPLICATION_CREDENTIALS"
        environment = {
            **self.stack.rehearsal.environment,
            name: str(folder / "credentials.json"),
        }
        stack = replace(
            self.stack, rehearsal=replace(self.stack.rehearsal, environment=environment)
        )
        stack.configure()
        stack.pulumi("config", "set", "--secret", "gcp:accessToken", credentials.token)
        return stack


@pytest.fixture(scope="module")
def own(
    stack: Stack, models: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivered]:
    """A stack beside the shared one, whose name begins as the shared one's."""
    created = stack_beside(stack, tmp_path_factory.mktemp("reach"))
    yield Delivered(created)
    created.configure()
    # With the program: the state's provider has the delivery's token, which may delete no service.
    created.pulumi("destroy", "--yes", "--skip-preview", "--run-program")


@pytest.mark.parametrize("stack", ["gcp"], indirect=True)
def test_only_the_repository_the_branch_and_the_environment_of_the_settings_can_sign_in(
    own: Delivered, tmp_path: Path
) -> None:
    from google.auth.exceptions import OAuthError
    from google.auth.transport.requests import Request

    def sign_in(**claims: Any) -> Any:
        credentials = own.credentials(tmp_path / "credentials.json", **claims)
        credentials.refresh(Request())
        return credentials.token

    def refuses_all_but(subject: str, other: list[dict[str, str]]) -> None:
        assert sign_in(sub=subject)
        for claims in other:
            with pytest.raises(OAuthError, match="rejected by the attribute condition"):
                sign_in(**{"sub": subject, **claims})

    refuses_all_but(SUBJECT, [*OTHER, {"sub": BRANCH_SUBJECT}])
    with pytest.raises(OAuthError, match="issuer"):
        sign_in(iss="https://issuer.example")
    # Without an environment the subject names the branch.
    settings = dict(own.stack.settings)
    own.stack.configure(**{"triplane:delivery": {"repository": REPOSITORY}})
    own.stack.up()
    refuses_all_but(BRANCH_SUBJECT, [*OTHER, {"sub": SUBJECT}])
    own.stack.configure(**settings)
    own.stack.up()


@pytest.mark.parametrize("stack", ["gcp"], indirect=True)
def test_it_is_refused_everything_but_its_job(own: Delivered, stack: Stack, tmp_path: Path) -> None:
    other = Delivered(stack)
    clients, mine, others = Apis(own, tmp_path), Own(own), Others(other)
    attacks = {
        **{name: ask(clients, mine, others).execute for name, ask in ATTACKS.items()},
        **storage_attacks(own, other, tmp_path),
    }
    assert len(attacks) > 60
    succeeded = {}
    for name, attack in attacks.items():
        try:
            attack()
        except Exception as refused:
            status = getattr(refused, "code", None) or getattr(refused, "status_code", None)
            lacking = re.search(r"Permission '([\w.]+)' denied", str(refused))
            method = getattr(getattr(attack, "__self__", None), "methodId", "")
            if status != 403 or not lacking or not _is_for(lacking[1], name, method):
                succeeded[name] = f"{refused}"
        else:
            succeeded[name] = "was done"
    assert not succeeded, "\n".join(f"{name}: {how}" for name, how in succeeded.items())


VERBS = {
    "addVersion": "add",
    "deployModel": "deploy",
    "generateAccessToken": "getAccessToken",
    "patch": "update",
    "undeployModel": "undeploy",
}
"""Of the permissions that have not the name of their method."""


def _is_for(permission: str, attack: str, method: str) -> bool:
    """Whether a permission is the one that an attack is about, not another that it needs on the way."""
    verb = method.rpartition(".")[2]  # secretmanager.projects.secrets.versions.access
    as_account = attack.endswith(" account") and " as " in attack
    wanted = "actAs" if as_account else VERBS.get(verb, verb)
    return not method or permission.endswith(f".{wanted}")


PROJECT = "projects/triplane-dev"
PLACE = f"{PROJECT}/locations/europe-west1"
ACCOUNTS = f"{PROJECT}/serviceAccounts"
MACHINE = {"dedicatedResources": {"machineSpec": {"machineType": "n1-standard-2"}}}


class Resources:
    """The names of the resources of either stack."""

    def __init__(self, of: Delivered) -> None:
        self.secret = of.one("gcp:secretmanager/secret:Secret")["id"]
        self.service = of.one("gcp:cloudrunv2/service:Service")["id"]
        self.endpoint = of.one("gcp:vertex/aiEndpoint:AiEndpoint")["id"]
        self.images = of.one("gcp:artifactregistry/repository:Repository")["id"]
        self.account = of.account


class Others(Resources):
    """Those of the stack beside it."""

    def __init__(self, of: Delivered) -> None:
        super().__init__(of)
        self.deployment = of.one("pulumi-python:dynamic/triplane:VertexDeployment")["id"]


class Own(Resources):
    """Those of the stack with the delivery."""

    def __init__(self, of: Delivered) -> None:
        super().__init__(of)
        self.model = of.one("pulumi-python:dynamic/triplane:VertexModel")["id"]
        self.role = of.one("gcp:projects/iAMCustomRole:IAMCustomRole", "-delivery-deployer")["id"]
        self.pool = of.one("gcp:iam/workloadIdentityPool:WorkloadIdentityPool")["id"]
        self.me = of.stack.outputs()["delivery_identity"]
        owner = {"role": "roles/owner", "members": [f"user:{self.me}"]}
        self.as_owner = {"policy": {"bindings": [owner]}}


class Apis:
    """Google's generated clients with the delivery's credentials, each with the discovery document of its API."""

    def __init__(self, own: Delivered, folder: Path) -> None:
        self._base, self._credentials = own.base, own.credentials(folder / "credentials.json")
        self.secrets = self.api("secretmanager", "v1").projects().secrets()
        self.services = self.api("run", "v2").projects().locations().services()
        self.jobs = self.api("run", "v2").projects().locations().jobs()
        self.endpoints = self.api("aiplatform", "v1").projects().locations().endpoints()
        self.repositories = self.api("artifactregistry", "v1").projects().locations().repositories()
        self.iam = self.api("iam", "v1").projects()
        self.tokens = self.api("iamcredentials", "v1").projects()
        self.apis = self.api("serviceusage", "v1").services()
        self.builds = self.api("cloudbuild", "v1").projects()

    def api(self, name: str, version: str) -> Any:
        from googleapiclient.discovery import build

        options = {"api_endpoint": f"{self._base}/{name}/"}
        arguments = {"credentials": self._credentials, "client_options": options}
        return build(name, version, **arguments, static_discovery=True, cache_discovery=False)


ATTACKS: dict[str, Callable[[Apis, Own, Others], Any]] = {
    "another's secret: read": lambda g, d, v: g.secrets.versions().access(
        name=f"{v.secret}/versions/1"
    ),
    "another's secret: add": lambda g, d, v: g.secrets.addVersion(
        parent=v.secret, body={"payload": {}}
    ),
    "another's secret: destroy": lambda g, d, v: g.secrets.versions().destroy(
        name=f"{v.secret}/versions/1", body={}
    ),
    "another's secret: policy": lambda g, d, v: g.secrets.setIamPolicy(
        resource=v.secret, body=d.as_owner
    ),
    "its own secret: policy": lambda g, d, v: g.secrets.setIamPolicy(
        resource=d.secret, body=d.as_owner
    ),
    "its own secret: delete": lambda g, d, v: g.secrets.delete(name=d.secret),
    "all secrets: list": lambda g, d, v: g.secrets.list(parent=PROJECT),
    "another's service: update": lambda g, d, v: g.services.patch(name=v.service, body={}),
    "another's service: policy": lambda g, d, v: g.services.setIamPolicy(
        resource=v.service, body=d.as_owner
    ),
    "another's service: delete": lambda g, d, v: g.services.delete(name=v.service),
    "its own service: delete": lambda g, d, v: g.services.delete(name=d.service),
    "its own service as another's account": lambda g, d, v: g.services.patch(
        name=d.service, body={"template": {"serviceAccount": v.account("gateway")}}
    ),
    "a new service": lambda g, d, v: g.services.create(parent=PLACE, serviceId="mine", body={}),
    "a new job": lambda g, d, v: g.jobs.create(parent=PLACE, jobId="mine", body={}),
    "another's endpoint: deploy": lambda g, d, v: g.endpoints.deployModel(
        endpoint=v.endpoint, body={"deployedModel": {"model": d.model, **MACHINE}}
    ),
    "its own endpoint as another's account": lambda g, d, v: g.endpoints.deployModel(
        endpoint=d.endpoint,
        body={
            "deployedModel": {"model": d.model, "serviceAccount": v.account("gateway"), **MACHINE}
        },
    ),
    "another's endpoint: undeploy": lambda g, d, v: g.endpoints.undeployModel(
        endpoint=v.endpoint, body={"deployedModelId": v.deployment}
    ),
    "another's endpoint: traffic": lambda g, d, v: g.endpoints.patch(
        name=v.endpoint, updateMask="trafficSplit", body={"trafficSplit": {}}
    ),
    "another's endpoint: delete": lambda g, d, v: g.endpoints.delete(name=v.endpoint),
    "its own endpoint: delete": lambda g, d, v: g.endpoints.delete(name=d.endpoint),
    "a new endpoint": lambda g, d, v: g.endpoints.create(
        parent=PLACE, body={"displayName": "mine"}
    ),
    "another's images: delete": lambda g, d, v: g.repositories.packages().delete(
        name=f"{v.images}/packages/platform"
    ),
    "another's tag: delete": lambda g, d, v: (
        g.repositories.packages().tags().delete(name=f"{v.images}/packages/platform/tags/1")
    ),
    "another's images: policy": lambda g, d, v: g.repositories.setIamPolicy(
        resource=v.images, body=d.as_owner
    ),
    "its own images: delete": lambda g, d, v: g.repositories.packages().delete(
        name=f"{d.images}/packages/p"
    ),
    "its own repository: delete": lambda g, d, v: g.repositories.delete(name=d.images),
    "its own repository: settings": lambda g, d, v: g.repositories.patch(name=d.images, body={}),
    "the project's policy": lambda g, d, v: (
        g.api("cloudresourcemanager", "v3")
        .projects()
        .setIamPolicy(resource=PROJECT, body=d.as_owner)
    ),
    "its own account: policy": lambda g, d, v: g.iam.serviceAccounts().setIamPolicy(
        resource=f"{ACCOUNTS}/{d.me}", body=d.as_owner
    ),
    "its own account: key": lambda g, d, v: (
        g.iam.serviceAccounts().keys().create(name=f"{ACCOUNTS}/{d.me}", body={})
    ),
    "the gateway's account: key": lambda g, d, v: (
        g.iam.serviceAccounts().keys().create(name=f"{ACCOUNTS}/{d.account('gateway')}", body={})
    ),
    "the gateway's account: token": lambda g, d, v: g.tokens.serviceAccounts().generateAccessToken(
        name=f"{ACCOUNTS}/{d.account('gateway')}", body={"scope": ["x"]}
    ),
    "another's account: token": lambda g, d, v: g.tokens.serviceAccounts().generateAccessToken(
        name=f"{ACCOUNTS}/{v.account('gateway')}", body={"scope": ["x"]}
    ),
    "its own account: signature": lambda g, d, v: g.tokens.serviceAccounts().signBlob(
        name=f"{ACCOUNTS}/{d.me}", body={"payload": ""}
    ),
    "a new account": lambda g, d, v: g.iam.serviceAccounts().create(
        name=PROJECT, body={"accountId": "mine"}
    ),
    "its own role": lambda g, d, v: g.iam.roles().patch(
        name=d.role, body={"includedPermissions": ["iam.roles.update"]}
    ),
    "a new role": lambda g, d, v: g.iam.roles().create(parent=PROJECT, body={"roleId": "mine"}),
    "its pool": lambda g, d, v: (
        g.iam.locations().workloadIdentityPools().patch(name=d.pool, body={})
    ),
    "its pool's provider": lambda g, d, v: (
        g.iam.locations()
        .workloadIdentityPools()
        .providers()
        .patch(name=f"{d.pool}/providers/github", body={"attributeCondition": "true"})
    ),
    "its pool: a provider": lambda g, d, v: (
        g.iam.locations()
        .workloadIdentityPools()
        .providers()
        .create(parent=d.pool, workloadIdentityPoolProviderId="mine", body={})
    ),
    "a build as another's account": lambda g, d, v: (
        g.builds.locations()
        .builds()
        .create(
            parent=PLACE, body={"steps": [{}], "serviceAccount": f"{ACCOUNTS}/{v.account('build')}"}
        )
    ),
    "a build as the default account": lambda g, d, v: (
        g.builds.locations()
        .builds()
        .create(
            parent=PLACE,
            body={
                "steps": [{}],
                "serviceAccount": f"{ACCOUNTS}/1-compute@developer.gserviceaccount.com",
            },
        )
    ),
    "an API: enable": lambda g, d, v: g.apis.enable(
        name=f"{PROJECT}/services/compute.googleapis.com", body={}
    ),
    "an API: disable": lambda g, d, v: g.apis.disable(
        name=f"{PROJECT}/services/run.googleapis.com", body={}
    ),
    "a scheduled job": lambda g, d, v: (
        g.api("cloudscheduler", "v1").projects().locations().jobs().create(parent=PLACE, body={})
    ),
    "a log sink": lambda g, d, v: (
        g.api("logging", "v2").projects().sinks().create(parent=PROJECT, body={})
    ),
}


def storage_attacks(own: Delivered, other: Delivered, folder: Path) -> dict[str, Callable[[], Any]]:
    """By Cloud Storage's client, with the token that the others have."""
    from google.api_core.iam import Policy
    from google.cloud import storage

    client = storage.Client(
        project="triplane-dev",
        credentials=own.credentials(folder / "credentials.json"),
        client_options={"api_endpoint": f"{own.base}/storage"},
    )

    def bucket(of: Delivered) -> Any:
        return client.bucket(str(of.stack.outputs()["lake_uri"]).removeprefix("gs://"))

    mine, others = bucket(own), bucket(other)

    def change(setting: str, value: Any) -> Callable[[], Any]:
        def patch() -> Any:
            changed = bucket(own)
            setattr(changed, setting, value)
            return changed.patch()

        return patch

    return {
        "another's lake: list": lambda: list(others.list_blobs()),
        "another's lake: read": others.blob("models/card.json").download_as_bytes,
        "another's lake: write": lambda: others.blob("models/mine").upload_from_string("x"),
        "another's lake: delete": others.blob("models/card.json").delete,
        "another's lake: copy": lambda: mine.copy_blob(mine.blob("models/x"), others, "models/x"),
        "its own captures: read": mine.blob("captures/x").download_as_bytes,
        "its own captures: delete": mine.blob("captures/x").delete,
        "its own raw data: write": lambda: mine.blob("raw/x").upload_from_string("x"),
        "its own lake: lifecycle": change("lifecycle_rules", [{"action": {"type": "Delete"}}]),
        "its own lake: versions": change("versioning_enabled", False),
        "its own lake: retention": change("retention_period", 1),
        "its own lake: labels": change("labels", {"a": "b"}),
        "its own lake: policy": lambda: mine.set_iam_policy(Policy()),
        "its own lake: delete": mine.delete,
        "another's lake: policy": lambda: others.get_iam_policy(),
    }


@pytest.mark.parametrize("stack", ["gcp"], indirect=True)
def test_it_does_its_whole_job_and_a_second_run_changes_nothing(
    own: Delivered, models: list[str], tmp_path: Path
) -> None:
    before = own.stack.outputs()
    assert len(models) > 1
    own.stack.settings |= {
        "triplane:models": {"flight-delay": models[1]},
        "triplane:gateway": {"key_rotation": 2, "max_concurrency": 160},
    }
    itself = own.as_itself(tmp_path)
    itself.pulumi("refresh", "--yes", "--skip-preview")
    itself.up()
    after = itself.outputs()
    assert after["models"]["flight-delay"]["version"] == models[1]
    assert after["gateway_key"] != before["gateway_key"]
    itself.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")


@pytest.mark.parametrize("stack", ["gcp"], indirect=True)
def test_it_cannot_change_how_the_lake_keeps_data(own: Delivered, tmp_path: Path) -> None:
    lake = own.stack.settings.get("triplane:lake", {})
    own.stack.settings["triplane:lake"] = {**lake, "captures_days": 1}
    try:
        refused = own.as_itself(tmp_path).up(code=1)
    finally:
        own.stack.settings["triplane:lake"] = lake
    assert "googleapi: Error 403: Permission 'storage.buckets.update' denied" in refused
