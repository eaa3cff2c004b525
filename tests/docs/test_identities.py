"""The page of the identities has every identity and every grant of the program."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from typing import get_args

import pytest

from api_models.resource import Resource
from components.resource_type import DeployPermissions
from components.resource_types import BY_CLOUD
from config.clouds import CLOUD_NAMES, Cloud
from policy import record
from tools import identities

CLOUDS: tuple[Cloud, ...] = get_args(Cloud)
# A type that is neither: does it grant something? Then the page has to have it.
GRANTS = {
    "aws:iam/rolePolicy:RolePolicy",
    "gcp:*:*I[aA]MMember",
    "gcp:*:*I[aA]mMember",
    "azure-native:authorization:RoleAssignment",
}
GRANTS_NOTHING_BY_ITSELF = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    "aws:iam/role:Role",
    "azure-native:authorization:RoleDefinition",
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",
    "gcp:projects/iAMCustomRole:IAMCustomRole",
}
MAYBE = (
    "*:iam/*",
    "*:authorization:*",
    "*[iI][aA][mM]*:*",
    "*Policy*Attachment",
    "*RoleAssignment*",
)


def section(cloud: Cloud) -> str:
    text = identities.PAGE.read_text()
    return re.split(r"^## ", text.partition(f"\n## {CLOUD_NAMES[cloud]}\n")[2], flags=re.M)[0]


def test_the_page_has_the_identities_of_todays_program() -> None:
    page = identities.PAGE.read_text()
    assert page == identities.current(page), "run `make format`"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_identity_of_the_recorded_plans_is_on_the_page(cloud: Cloud) -> None:
    registered: set[str] = set()
    for settings in (*record.VARIANTS.values(), identities.SETTINGS):
        registered |= identities.identities(cloud, record.of_program(cloud, settings))
    # Of the endpoints' identities, which differ in the folders that they read, the page has one.
    registered = {re.sub("^serving-.*", "serving-flight-delay", each) for each in registered}
    assert {"delivery", "gateway"} <= registered
    headings = set(re.findall(r"^### (.+)$", section(cloud), re.MULTILINE))
    assert registered <= headings
    assert headings - registered <= {"person"}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_type_that_grants_something_is_read(cloud: Cloud) -> None:
    for settings in (*record.VARIANTS.values(), identities.SETTINGS):
        for token in {each.type for each in record.of_program(cloud, settings)}:
            if any(fnmatch(token, pattern) for pattern in MAYBE):
                is_read = any(fnmatch(token, pattern) for pattern in GRANTS)
                assert is_read or token in GRANTS_NOTHING_BY_ITSELF, token


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_permission_of_the_delivery_is_in_its_table(cloud: Cloud) -> None:
    rows = [each for each in identities.grants(cloud) if each.identity == "delivery"]
    shown = {permission for row in rows for permission in row.exactly}
    allowed = set(DeployPermissions.of(BY_CLOUD[cloud]).permissions)
    assert len(allowed) > 30
    assert allowed - shown <= {"iam:PassRole"}
    text = section(cloud).partition("### delivery")[2].partition("\n### ")[0]
    for permission in shown:
        assert re.split(r"[.:/]", permission)[-1] in text


def test_a_row_a_service_leaves_out_no_action_and_no_resource_of_a_statement() -> None:
    plan = record.of_program("aws", identities.SETTINGS)
    statements = [
        statement
        for policy in plan
        if policy.type == "aws:iam/rolePolicy:RolePolicy"
        for statement in json.loads(policy.inputs["policy"])["Statement"]
    ]
    rows = identities.grants("aws")
    assert sum(len(each["Action"]) for each in statements) == sum(len(r.exactly) for r in rows)
    for statement in statements:
        shown = {
            arn
            for action in statement["Action"]
            for arn in identities.of_service(statement["Resource"], action.partition(":")[0])
        }
        assert shown == set(statement["Resource"]), statement["Action"]
    for row in rows:
        assert len({action.partition(":")[0] for action in row.exactly}) == 1, row


def resource(type: str, name: str, **inputs: object) -> Resource:
    return Resource(type, f"triplane-{name}", f"triplane-{name}-1", inputs)


@pytest.mark.parametrize(
    ("role", "permissions", "identity", "lacking"),
    [
        ("roles/owner", [], "gateway", "roles/owner"),
        ("triplane-role-1", ["run.services.explode"], "gateway", "run.services.explode"),
        ("roles/storage.objectViewer", [], "scheduler", "scheduler"),
    ],
)
def test_what_has_no_plain_word_is_an_error(
    role: str,
    permissions: list[str],
    identity: str,
    lacking: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = resource("gcp:serviceaccount/account:Account", f"{identity}-sa")
    binding = resource(
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        "binding",
        role=role,
        bucket="triplane-lake",
        member=f"serviceAccount:{account.id}@x",
    )
    custom = resource("gcp:projects/iAMCustomRole:IAMCustomRole", "role", permissions=permissions)
    monkeypatch.setattr(record, "of_program", lambda *_: [account, binding, custom])
    with pytest.raises(identities.NotListed, match=lacking):
        identities.grants("gcp")


def test_a_page_without_a_place_for_the_tables_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no place for the tables"):
        identities.current("# Identities\n")
