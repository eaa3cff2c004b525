"""The prerequisites of each cloud are those of the program, each with its command."""

from __future__ import annotations

import json
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest

from components.resource_type import compute
from config.clouds import Cloud
from operations.engine.installation import HOME
from tools import prerequisites

CLOUDS: tuple[Cloud, ...] = ("aws", "gcp", "azure")
COMMANDS = {
    "aws": ("attach-role-policy", "put-role-policy"),
    "gcp": ("gcloud services enable", "add-iam-policy-binding"),
    "azure": ("az provider register", "az role assignment create"),
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_page_of_a_cloud_has_the_prerequisites_of_todays_program(cloud: Cloud) -> None:
    page = (HOME / "docs" / "reference" / f"{cloud}.md").read_text()
    assert page == prerequisites.current(cloud, page), "run `make format`"
    for command in COMMANDS[cloud]:
        assert command in page


def test_the_role_on_the_page_may_ask_what_the_check_of_the_account_asks_of_iam() -> None:
    text = (HOME / "docs" / "reference" / "aws.md").read_text()
    document = json.loads(text.partition("```json\n")[2].partition("```")[0])
    sso = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_x"
    for role in (sso, "arn:aws:iam::123456789012:role/deployer"):
        allowed = {
            action
            for each in document["Statement"]
            if fnmatchcase(role, each["Resource"])
            for action in each["Action"]
        }
        assert allowed == {"iam:GetRole", "iam:SimulatePrincipalPolicy"}


@pytest.mark.parametrize(
    ("table", "token", "permission", "cloud"),
    [
        ("AWS", "aws:iam/role:Role", "iam:CreateUser", "aws"),
        ("GCP", "gcp:storage/bucket:Bucket", "pubsub.topics.create", "gcp"),
    ],
)
def test_a_permission_that_no_role_on_the_page_gives_is_an_error(
    table: str, token: str, permission: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = getattr(prerequisites, table)
    more = {**types, token: replace(types[token], deploy=compute(permission))}
    monkeypatch.setattr(prerequisites, table, more)
    with pytest.raises(prerequisites.NoRole, match=permission):
        prerequisites.SECTIONS[cloud]()


def test_a_resource_provider_of_a_new_type_is_registered_on_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = "azure-native:storage:StorageAccount"
    monkeypatch.setattr(
        prerequisites,
        "AZURE",
        {
            token: replace(
                prerequisites.AZURE[token], deploy=compute("Microsoft.EventGrid/topics/read")
            )
        },
    )
    assert "EventGrid" in prerequisites.azure()


def test_a_page_without_a_place_for_the_prerequisites_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no place for the prerequisites"):
        prerequisites.current("aws", "# Triplane on AWS\n")
