"""The ids of resources, from their inputs or from a cloud that answers as the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from components.gcp import rest
from operations.recovery.physical_ids import location, physical_id
from tests.operations.recovery.states import PROVIDER, role

ARN = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:key-1234567-AbCdEf"
EXISTING = {"ARN": ARN, "VersionIdsToStages": {"v-1": ["AWSPREVIOUS"], "v-2": ["AWSCURRENT"]}}
STATE: list[dict[str, Any]] = [
    {"urn": "f", "type": "triplane:aws:Foundation", "inputs": {"account": "111111111111"}},
    {"urn": PROVIDER, "type": "pulumi:providers:aws", "inputs": {"region": "eu-west-1"}},
]
GCP_VERSION = "gcp:secretmanager/secretVersion:SecretVersion"


@pytest.mark.parametrize(
    ("type_", "inputs", "expected"),
    [
        ("aws:iam/rolePolicy:RolePolicy", {"role": "r", "name": "p"}, "r:p"),
        ("gcp:storage/bucket:Bucket", {"name": "lake"}, "lake"),
        (
            "gcp:serviceaccount/account:Account",
            {"accountId": "sa"},
            "projects/acct/serviceAccounts/sa@acct.iam.gserviceaccount.com",
        ),
        (
            "azure-native:keyvault:Vault",
            {"resourceGroupName": "g", "vaultName": "v"},
            "/subscriptions/acct/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v",
        ),
        ("azure-native:keyvault:Vault", {"vaultName": "v"}, None),
    ],
)
def test_the_id_follows_from_the_inputs(
    type_: str, inputs: dict[str, str], expected: str | None
) -> None:
    foundation = {"urn": "f", "type": "triplane:gcp:Foundation", "inputs": {"account": "acct"}}
    assert physical_id(role(type=type_, inputs=inputs), [foundation]) == expected


def secret(type_: str = "secret:Secret", **inputs: str) -> dict[str, Any]:
    return {
        "urn": "urn:pulumi:dev::triplane::s",
        "type": f"aws:secretsmanager/{type_}",
        "provider": f"{PROVIDER}::0",
        "inputs": inputs or {"name": "key-1234567"},
    }


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{code}, says AWS"}}, "DescribeSecret")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``aws("222222222222", secret)``: the account of the terminal's credentials, and the secret in it."""

    def answers(account: str | Exception, secret: dict[str, Any] | Exception) -> None:
        def returned_or_raised(what: Any) -> Any:
            if isinstance(what, Exception):
                raise what
            return what

        class Client:
            def get_caller_identity(self) -> dict[str, Any]:
                return {"Account": returned_or_raised(account)}

            def describe_secret(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
                return dict(returned_or_raised(secret))

        def client(service: str, region_name: str) -> Client:
            assert service in ("sts", "secretsmanager")
            assert region_name == "eu-west-1", "the stack's region, not the terminal's"
            return Client()

        monkeypatch.setattr(boto3, "client", client)

    return answers


def test_the_id_of_an_aws_secret_is_queried_in_the_stacks_account(
    aws: Callable[..., None],
) -> None:
    version = secret("secretVersion:SecretVersion", secretId=ARN)
    aws("111111111111", EXISTING)
    assert physical_id(secret(), STATE) == ARN
    assert physical_id(version, STATE) == f"{ARN}|v-2"
    aws("111111111111", error("ResourceNotFoundException"))
    assert physical_id(secret(), STATE) is None
    assert physical_id(version, STATE) is None


@pytest.mark.parametrize("found", [EXISTING, error("ResourceNotFoundException")])
def test_the_answer_of_another_account_is_refused(aws: Callable[..., None], found: Any) -> None:
    """With a profile or a role in the settings the provider uses another account than the terminal."""
    aws("222222222222", found)
    with pytest.raises(SystemExit, match=r"(?s)Refused: .*key-1234567.*222222222222.*AWS_PROFILE"):
        physical_id(secret(), STATE)


@pytest.mark.parametrize(
    ("account", "found", "reason"),
    [
        ("111111111111", error("AccessDeniedException"), "AccessDenied"),
        ("111111111111", error("ThrottlingException"), "Throttling"),
        (error("ExpiredToken"), EXISTING, "ExpiredToken"),
        (NoCredentialsError(), EXISTING, "locate credentials"),
    ],
)
def test_a_failed_query_is_refused_with_its_reason(
    aws: Callable[..., None], account: Any, found: Any, reason: str
) -> None:
    aws(account, found)
    with pytest.raises(SystemExit, match=f"(?s)Refused: .*{reason}.*ALLOW=unseen"):
        physical_id(secret(), STATE)


def test_a_state_without_an_account_is_queried_without_that_check(aws: Callable[..., None]) -> None:
    aws(error("ExpiredToken"), EXISTING)
    assert physical_id(secret(), STATE[1:]) == ARN


def listed(monkeypatch: pytest.MonkeyPatch, answer: list[dict[str, Any]] | Exception) -> None:
    """Let Google Cloud list these versions, or fail so."""

    def returned_or_raised(*_: str) -> list[dict[str, Any]]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(rest, "listed", returned_or_raised)


def test_the_id_of_a_google_secret_version_is_the_latest_enabled_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = role(type=GCP_VERSION, inputs={"secret": "projects/p/secrets/s"})
    states = {"3": "DESTROYED", "10": "ENABLED", "9": "ENABLED"}
    versions = [
        {"name": f"projects/1/secrets/s/versions/{number}", "state": state}
        for number, state in states.items()
    ]
    listed(monkeypatch, versions)
    assert physical_id(version, []) == "projects/p/secrets/s/versions/10"
    listed(monkeypatch, [])
    assert physical_id(version, []) is None
    listed(monkeypatch, rest.GoogleError(404, "says Google"))
    assert physical_id(version, []) is None
    listed(monkeypatch, rest.GoogleError(403, "says Google"))
    with pytest.raises(SystemExit, match=r"(?s)Refused: .*says Google.*versions.list"):
        physical_id(version, [])


@pytest.mark.parametrize("secret_id", ["s", "projects/p/secrets/s"])
def test_the_next_version_of_a_secret_in_the_state_is_not_queried(
    secret_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(monkeypatch, AssertionError("queried"))
    inputs = {"secret": secret_id}
    old = role(type=GCP_VERSION, id="projects/1/secrets/s/versions/3", inputs=inputs)
    assert physical_id(role(type=GCP_VERSION, inputs=inputs), [old]) == f"{secret_id}/versions/4"


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-west-1", "aws"),
        (None, "aws"),
    ],
)
def test_a_regions_partition_is_that_of_its_arns(region: str | None, partition: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    resource = role()
    provider = {"urn": PROVIDER, "type": "p", "inputs": {"region": region} if region else {}}
    assert location(resource, [provider])["partition"] == partition
