"""Grants and removals that are in force later, and what the real providers send again until then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from rehearsal.aws import lambda_functions, permissions
from rehearsal.aws.profile import PROFILE as AWS
from rehearsal.azure.profile import PROFILE as AZURE
from rehearsal.core.behaviour import BEHAVIOURS, CLOCK, GRANT_DELAYS, PROFILES
from rehearsal.core.records import Record, Refusal
from rehearsal.core.settings import PROFILE_VARIABLE
from rehearsal.core.store import Store
from rehearsal.gcp.profile import PROFILE as GCP
from rehearsal.provider.context import Context
from rehearsal.provider.grants import Grants
from rehearsal.provider.retries import retried
from tests.unit.rehearsal.aws_account import Account, allow

INSTANT, REALISTIC = BEHAVIOURS["instant"], BEHAVIOURS["realistic"]
TYPES = {
    "aws": "aws:iam/rolePolicy:RolePolicy",
    "gcp": "gcp:storage/bucketIAMMember:BucketIAMMember",
    "azure-native": "azure-native:authorization:RoleAssignment",
}


class Cloud:
    """One cloud's grants, and a clock that the test sets."""

    def __init__(self, store: Store, package: str) -> None:
        self.store, self.package, self.token = store, package, TYPES[package]
        self.now = 1000.0
        self.late = REALISTIC.grant_delay(package)
        self.grants = Grants(store, REALISTIC, lambda: self.now)

    def record(self, policy: str) -> Record:
        return Record(self.package, self.token, "g", "::g", {"policy": policy}, {})

    def write(self, policy: str) -> None:
        former = self.store.get(self.token, "g")
        self.grants.note_change(self.package, self.token, "g", former)
        self.store.save(self.record(policy))

    def remove(self) -> None:
        former = self.store.get(self.token, "g")
        assert former
        self.grants.note_change(self.package, self.token, "g", former)
        self.store.remove(former)

    @property
    def in_force(self) -> list[str]:
        return [each.inputs["policy"] for each in self.grants.in_force(self.token)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.sqlite", Fernet.generate_key())
    yield store
    store.close()


@pytest.mark.parametrize("package", TYPES)
def test_a_grant_and_its_removal_are_in_force_after_the_clouds_delay(
    store: Store, package: str
) -> None:
    cloud = Cloud(store, package)
    cloud.write("read")
    assert cloud.in_force == []
    cloud.now += cloud.late - 0.01
    assert cloud.in_force == []
    cloud.now += 0.01
    assert cloud.in_force == ["read"]
    cloud.remove()
    assert cloud.in_force == ["read"], "a removed grant still counts"
    cloud.now += cloud.late
    assert cloud.in_force == []


def test_each_of_two_changes_is_in_force_as_late_as_it_was_made(store: Store) -> None:
    cloud = Cloud(store, "aws")
    cloud.write("first")
    cloud.now += 1
    cloud.write("second")
    cloud.now += 1
    cloud.remove()
    assert cloud.in_force == []
    cloud.now += cloud.late - 2
    assert cloud.in_force == ["first"]
    cloud.now += 1
    assert cloud.in_force == ["second"]
    cloud.now += 1
    assert cloud.in_force == []


def test_a_restart_of_the_rehearsal_makes_no_grant_earlier(tmp_path: Path) -> None:
    key = Fernet.generate_key()
    store = Store(tmp_path / "store.sqlite", key)
    Cloud(store, "gcp").write("read")
    store.close()
    store = Store(tmp_path / "store.sqlite", key)
    cloud = Cloud(store, "gcp")
    assert cloud.in_force == []
    cloud.now += cloud.late
    assert cloud.in_force == ["read"]
    store.close()


def test_what_is_long_in_force_leaves_no_note(store: Store) -> None:
    cloud = Cloud(store, "aws")
    cloud.write("first")
    cloud.now += cloud.late
    cloud.grants.note_change("aws", cloud.token, "other", None)
    assert store.kv.items(f"grants/{cloud.token}").keys() == {"other"}


@pytest.mark.parametrize("profile", ["instant", "fresh-account"])
def test_only_a_realistic_rehearsal_delays_anything(store: Store, profile: str) -> None:
    behaviour = BEHAVIOURS[profile]  # type: ignore[index]
    grants = Grants(store, behaviour)
    record = Record("aws", TYPES["aws"], "g", "::g", {}, {})
    grants.note_change("aws", TYPES["aws"], "g", None)
    store.save(record)
    assert grants.in_force(TYPES["aws"]) == [record]
    began = time.monotonic()
    behaviour.spend("aiplatform:endpoints.deployModel")
    assert time.monotonic() - began < 0.5
    assert behaviour.listing_delay() == 0


def test_every_profile_has_a_behaviour_and_every_cloud_a_delay() -> None:
    assert tuple(BEHAVIOURS) == PROFILES
    assert all(BEHAVIOURS[profile].profile == profile for profile in PROFILES)
    for cloud in (AWS, GCP, AZURE):
        assert REALISTIC.grant_delay(cloud.package) == GRANT_DELAYS[cloud.package] / CLOCK


def test_roles_policies_bindings_and_assignments_are_grants_on_every_cloud() -> None:
    grants = {
        each.token
        for cloud in (AWS, GCP, AZURE)
        for each in cloud.resource_types
        if each.is_grant and hasattr(each, "token")
    }
    assert grants == {
        "aws:iam/role:Role",
        "aws:iam/policy:Policy",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
        "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
        "gcp:projects/iAMCustomRole:IAMCustomRole",
        "gcp:projects/iAMMember:IAMMember",
        "gcp:secretmanager/secretIamMember:SecretIamMember",
        "gcp:serviceaccount/iAMMember:IAMMember",
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember",
        "azure-native:authorization:RoleAssignment",
        "azure-native:authorization:RoleDefinition",
    }


def refused(times: list[int], code: str) -> str:
    times[0] += 1
    if times[0] < 3:
        raise Refusal(code, "The role cannot be assumed by Lambda")
    return "created"


def test_a_provider_sends_again_what_it_knows_to_be_late() -> None:
    def work() -> str:
        return refused(times, "Late")

    times = [0]
    created = retried(REALISTIC, work, code="Late", containing="cannot be assumed", seconds=60)
    assert created == "created"
    for behaviour, code, text in (
        (INSTANT, "Late", "cannot be assumed"),
        (REALISTIC, "Other", "cannot be assumed"),
        (REALISTIC, "Late", "another text"),
    ):
        times = [0]
        with pytest.raises(Refusal):
            retried(behaviour, work, code=code, containing=text, seconds=60)
        assert times == [1], "it is sent once"


def test_a_provider_gives_up_after_its_own_time() -> None:
    def work() -> str:
        raise Refusal("Late", "never")

    began = time.monotonic()
    with pytest.raises(Refusal):
        retried(REALISTIC, work, code="Late", seconds=15)
    assert 15 / CLOCK <= time.monotonic() - began < 15 / CLOCK + 1


@pytest.fixture
def late_account(monkeypatch: pytest.MonkeyPatch, contexts: Callable[[], Context]) -> Account:
    monkeypatch.setenv(PROFILE_VARIABLE, "realistic")
    return Account(contexts())


def until_in_force(account: Account, token: str) -> None:
    time.sleep(account.context.behaviour.grant_delay("aws", token))


def test_a_workload_may_call_what_its_role_allows_only_when_that_is_in_force(
    late_account: Account,
) -> None:
    secret = late_account.create("aws:secretsmanager/secret:Secret", "key")
    late_account.create(
        "aws:secretsmanager/secretVersion:SecretVersion",
        "key",
        secretId=secret.id,
        secretString="x",
    )
    read = allow("secretsmanager:GetSecretValue", secret.outputs["arn"])
    role = late_account.role("reader", "lambda", read)

    def status() -> int:
        body = {"SecretId": secret.id}
        return late_account.call("secretsmanager.GetSecretValue", body, role)[0]

    assert status() == 403
    until_in_force(late_account, permissions.ROLE_POLICY)
    assert status() == 200
    (policy,) = late_account.context.all(permissions.ROLE_POLICY)
    late_account.lifecycle.delete(policy.token, policy.id)
    assert status() == 200, "what was allowed is allowed for a while"
    until_in_force(late_account, permissions.ROLE_POLICY)
    assert status() == 403


def test_a_function_is_created_as_soon_as_its_role_can_be_assumed(late_account: Account) -> None:
    began = time.monotonic()
    role = late_account.role("gateway", "lambda")
    with pytest.raises(Refusal, match="cannot be assumed by Lambda"):
        lambda_functions._require_role(late_account.context, role.outputs["arn"])
    late_account.function("gateway", role, "handler = print")
    assert time.monotonic() - began >= REALISTIC.grant_delay("aws", permissions.ROLE)


def test_a_new_role_is_missing_from_the_list_of_roles_at_first(late_account: Account) -> None:
    role = late_account.role("build", "codebuild")

    def listed() -> bool:
        form = {"Action": "ListRoles", "Version": "2010-05-08"}
        auth = late_account.signed("iam")
        return f"<RoleName>{role.id}<" in late_account.http.post("/aws/", data=form, auth=auth).text

    assert not listed()
    time.sleep(REALISTIC.listing_delay())
    assert listed()
