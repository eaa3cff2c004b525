"""The account of the current credentials, compared with the account in which the stack was created."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from components.azure import arm
from operations.engine import account

AZURE: Any = SimpleNamespace(cloud="azure")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


def test_an_invisible_subscription_is_refused_by_a_message_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arm, "get", lambda *_: None)
    [reason] = account.credential_refusals(AZURE, SUBSCRIPTION)
    assert f"created in the subscription {SUBSCRIPTION}" in reason
    assert "these credentials do not see it" in reason
    assert "lead to" not in reason, "no account is known that they lead to"


def test_a_visible_subscription_is_the_account_of_the_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arm, "get", lambda *_: {"subscriptionId": SUBSCRIPTION})
    assert account.credential_refusals(AZURE, SUBSCRIPTION) == []


class Stack:
    """A stack with these resources, whose preview finds another account."""

    environment: ClassVar = {"TRIPLANE_TEST_REGION": "of the stack"}

    def __init__(self, *resources: dict[str, Any]) -> None:
        self.listed = list(resources)

    def resources(self) -> list[dict[str, Any]]:
        return self.listed

    def preview_steps(self, command: str) -> list[dict[str, Any]]:
        assert command == "preview"
        inputs = [{"account": number} for number in ("1", "previewed")]
        old, new = ({"type": "triplane:aws:Foundation", "inputs": each} for each in inputs)
        return [{"op": "update", "oldState": old, "newState": new}]


FOUNDATION = {"type": "triplane:aws:Foundation", "inputs": {"account": "1"}}


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """AWS, where the terminal's credentials are those of account 2."""

    def client(service: str, region_name: str) -> SimpleNamespace:
        assert (service, region_name) == ("sts", "eu-west-1")
        # The clouds' clients read nothing but the process's environment.
        assert os.environ["TRIPLANE_TEST_REGION"] == "of the stack"
        return SimpleNamespace(get_caller_identity=lambda: {"Account": "2"})

    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr("boto3.client", client)
    return SimpleNamespace(cloud="aws", region="eu-west-1")


def test_the_terminals_account_on_aws_is_asked_for_in_the_stacks_environment(sts: Any) -> None:
    stack: Any = Stack(FOUNDATION, {"type": "pulumi:providers:aws", "inputs": {"region": "r"}})
    [reason] = account.account_refusals(stack, sts)
    assert "created in 1, but these credentials and settings lead to 2" in reason


# https://www.pulumi.com/registry/packages/aws/api-docs/provider/#inputs
@pytest.mark.parametrize(
    "setting",
    [
        "accessKey",
        "assumeRoleWithWebIdentity",
        "assumeRoles",
        "profile",
        "secretKey",
        "sharedConfigFiles",
        "sharedCredentialsFiles",
        "token",
    ],
)
def test_the_account_of_credentials_in_the_settings_is_found_by_a_preview(
    setting: str, sts: Any
) -> None:
    stack: Any = Stack(FOUNDATION, {"type": "pulumi:providers:aws", "inputs": {setting: "x"}})
    [reason] = account.account_refusals(stack, sts)
    assert "lead to previewed" in reason
    stack = Stack(FOUNDATION, {"type": "aws:iam/role:Role", "inputs": {setting: "x"}})
    [reason] = account.account_refusals(stack, sts)
    assert "lead to 2" in reason


def test_a_stack_without_an_account_is_not_asked_about() -> None:
    stack: Any = Stack({"type": "triplane:aws:DataLake"})
    assert account.account_refusals(stack, AZURE) == []


def test_on_google_cloud_the_account_is_the_project_of_the_settings() -> None:
    google: Any = SimpleNamespace(cloud="gcp", project="ours")
    assert account.credential_refusals(google, "ours") == []
    assert account.credential_refusals(google, "another")
