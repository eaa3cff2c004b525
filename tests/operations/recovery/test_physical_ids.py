"""Secrets that are looked up in AWS itself after a run that was cut short, before a client that answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from operations.recovery import physical_ids
from tests.operations.recovery.states import role

ARN = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:key-1234567-AbCdEf"
STANDS = {"ARN": ARN, "VersionIdsToStages": {"v-1": ["AWSPREVIOUS"], "v-2": ["AWSCURRENT"]}}
PROVIDER = "urn:pulumi:dev::triplane::pulumi:providers:aws::default"
STATE: list[dict[str, Any]] = [
    {"urn": "f", "type": "triplane:aws:Foundation", "inputs": {"account": "111111111111"}},
    {"urn": PROVIDER, "type": "pulumi:providers:aws", "inputs": {"region": "eu-west-1"}},
]


def secret(kind: str = "secret:Secret", **inputs: str) -> dict[str, Any]:
    return {
        "urn": "urn:pulumi:dev::triplane::s",
        "type": f"aws:secretsmanager/{kind}",
        "provider": f"{PROVIDER}::0",
        "inputs": inputs or {"name": "key-1234567"},
    }


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{code}, says AWS"}}, "DescribeSecret")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``aws("222222222222", answer)``: the account of the terminal's credentials, and what is found there."""

    def answers(account: str | Exception, found: dict[str, Any] | Exception) -> None:
        def given(what: Any) -> Any:
            if isinstance(what, Exception):
                raise what
            return what

        class Client:
            def get_caller_identity(self) -> dict[str, Any]:
                return {"Account": given(account)}

            def describe_secret(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
                return dict(given(found))

        monkeypatch.setattr(boto3, "client", lambda *_, **__: Client())

    return answers


def test_a_secret_of_the_stacks_account_is_found_or_is_not_there(aws: Callable[..., None]) -> None:
    version = secret("secretVersion:SecretVersion", secretId=ARN)
    aws("111111111111", STANDS)
    assert physical_ids.physical_id(secret(), STATE) == ARN
    assert physical_ids.physical_id(version, STATE) == f"{ARN}|v-2"
    aws("111111111111", error("ResourceNotFoundException"))
    assert physical_ids.physical_id(secret(), STATE) is None
    assert physical_ids.physical_id(version, STATE) is None


@pytest.mark.parametrize("found", [STANDS, error("ResourceNotFoundException")])
def test_what_another_account_answers_is_not_believed(aws: Callable[..., None], found: Any) -> None:
    """With a profile or a role in the settings the provider works elsewhere than the terminal."""
    aws("222222222222", found)
    with pytest.raises(SystemExit, match=r"(?s)Refused: .*key-1234567.*222222222222.*AWS_PROFILE"):
        physical_ids.physical_id(secret(), STATE)


@pytest.mark.parametrize(
    ("account", "found", "says"),
    [
        ("111111111111", error("AccessDeniedException"), "AccessDenied"),
        ("111111111111", error("ThrottlingException"), "Throttling"),
        (error("ExpiredToken"), STANDS, "ExpiredToken"),
        (NoCredentialsError(), STANDS, "locate credentials"),
    ],
)
def test_a_lookup_that_fails_decides_nothing_and_says_why(
    aws: Callable[..., None], account: Any, found: Any, says: str
) -> None:
    aws(account, found)
    with pytest.raises(SystemExit, match=f"(?s)Refused: .*{says}.*ALLOW=unseen"):
        physical_ids.physical_id(secret(), STATE)


def test_a_state_that_names_no_account_is_looked_up_as_before(aws: Callable[..., None]) -> None:
    aws(error("ExpiredToken"), STANDS)
    assert physical_ids.physical_id(secret(), STATE[1:]) == ARN


def test_the_version_of_googles_that_is_in_force_is_found_or_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The state has none yet; where it has one, the next one is looked for, without asking."""
    from components.gcp import rest

    version: dict[str, Any] = {
        "urn": "v",
        "type": "gcp:secretmanager/secretVersion:SecretVersion",
        "inputs": {"secret": "projects/p/secrets/s"},
    }
    states = {"3": "DESTROYED", "10": "ENABLED", "9": "ENABLED"}
    told = [{"name": f"projects/1/secrets/s/versions/{n}", "state": s} for n, s in states.items()]
    monkeypatch.setattr(rest, "listed", lambda *_: told)
    assert physical_ids.physical_id(version, []) == "projects/p/secrets/s/versions/10"
    monkeypatch.setattr(rest, "listed", lambda *_: [])
    assert physical_ids.physical_id(version, []) is None
    held = {**version, "id": "projects/1/secrets/s/versions/4"}
    assert physical_ids.physical_id(version, [held]) == "projects/p/secrets/s/versions/5"

    def fails(status: int) -> None:
        def listed(*_: str) -> Any:
            raise rest.GoogleError(status, "says Google")

        monkeypatch.setattr(rest, "listed", listed)

    fails(404)
    assert physical_ids.physical_id(version, []) is None
    fails(403)
    with pytest.raises(SystemExit, match=r"(?s)Refused: .*says Google.*versions.list"):
        physical_ids.physical_id(version, [])


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("aws:iam/rolePolicy:RolePolicy", {"role": "r", "name": "p"}, "r:p"),
        (
            "gcp:storage/bucket:Bucket",
            {"name": "lake"},
            "lake",
        ),
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
    kind: str, inputs: dict[str, str], expected: str | None
) -> None:
    foundation = {"urn": "f", "type": "triplane:gcp:Foundation", "inputs": {"account": "acct"}}
    assert physical_ids.physical_id(role(type=kind, inputs=inputs), [foundation]) == expected


def test_the_next_version_of_a_secret_is_the_one_to_look_for() -> None:
    kind = "gcp:secretmanager/secretVersion:SecretVersion"
    old = role(type=kind, id="projects/1/secrets/s/versions/3", inputs={"secret": "s"})
    assert (
        physical_ids.physical_id(role(type=kind, inputs={"secret": "s"}), [old]) == "s/versions/4"
    )
