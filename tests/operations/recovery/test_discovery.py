"""What discovery returns, before clouds that answer as the real ones are documented to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, ClassVar

import boto3
import pytest

from components.azure import arm
from components.gcp import rest
from components.resource_type import ArmChildren
from operations.recovery import discovery
from operations.recovery.discovered_resource import (
    DiscoveredResource,
    autonamed_input,
    has_tags,
    matching_resources,
    stack_tags,
)
from operations.recovery.queries import aws, azure, gcp

OWN_TAGS = {"project": "triplane", "environment": "dev", "managed-by": "pulumi", "stack": "dev"}
FOREIGN_TAGS = (
    {**OWN_TAGS, "stack": "dev-2"},
    {**OWN_TAGS, "environment": "production"},
    {**OWN_TAGS, "project": "another"},
    {key: value for key, value in OWN_TAGS.items() if key != "stack"},
    {},
)
ALL_TAGS = (OWN_TAGS, *FOREIGN_TAGS)
ROLE, BUCKET = "aws:iam/role:Role", "aws:s3/bucket:Bucket"


def config(cloud: str) -> Any:
    return SimpleNamespace(cloud=cloud, environment="dev", region="r", project="p")


def resource(type_: str, resource_name: str, /, **inputs: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:dev::triplane::{type_}::{resource_name}"
    return {"urn": urn, "type": type_, "inputs": inputs}


def test_names_with_pulumis_suffix_are_distinguished_from_chosen_names() -> None:
    assert autonamed_input(resource(BUCKET, "b", tags={}, bucket="b-1234567")) == "bucket"
    assert autonamed_input(resource("azure-native:web:WebApp", "a", name="a12345678")) == "name"
    for chosen in ("b", "b-1234567-x", "b-serverless", "other-1234567", "b-123"):
        assert autonamed_input(resource(BUCKET, "b", bucket=chosen)) is None, chosen


def test_a_match_has_the_same_type_name_and_place() -> None:
    discovered = [
        DiscoveredResource(BUCKET, "lake-1234567"),
        DiscoveredResource(BUCKET, "lake-bucket-1234567"),
        DiscoveredResource(BUCKET, "my-lake-1234567"),
        DiscoveredResource(ROLE, "lake-1234567"),
        DiscoveredResource(BUCKET, "lake-7654321", {"resourceGroupName": "another"}),
    ]
    lake = resource(BUCKET, "lake", resourceGroupName="mine")
    assert matching_resources(lake, discovered) == [discovered[0]]
    # While the group is not known, all groups of the stack count.
    lake = resource(BUCKET, "lake")
    assert matching_resources(lake, discovered) == [discovered[0], discovered[4]]


@pytest.mark.parametrize("tags", FOREIGN_TAGS)
def test_a_resource_without_all_four_tags_belongs_to_another_stack(tags: dict[str, str]) -> None:
    assert not has_tags(tags, OWN_TAGS)
    assert has_tags({**OWN_TAGS, "team": "flights"}, OWN_TAGS)


class Aws:
    """The tagging API, two ARNs a page, and IAM."""

    roles: ClassVar = {f"role-000000{n}": tags for n, tags in enumerate(ALL_TAGS)}

    def __init__(self, service: str, region_name: str) -> None:
        assert service in ("resourcegroupstaggingapi", "iam")
        assert region_name == config("aws").region

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, operation))

    def get_resources(self, TagFilters: list[Any]) -> Iterator[Any]:  # noqa: N803
        assert {each["Key"]: each["Values"] for each in TagFilters} == {
            key: [value] for key, value in OWN_TAGS.items()
        }
        arns = [
            "arn:aws:s3:::lake-1234567",
            "arn:aws:s3:::lake-1234567/an/object",
            "arn:aws:logs:r:1:log-group:logs-1234567",
            "arn:aws:secretsmanager:r:1:secret:key-1234567-AbCdEf",
            "arn:aws:sagemaker:r:1:endpoint-config/c-1234567",
            "arn:aws-cn:lambda:r:1:function:f-1234567",
            "arn:aws:sns:r:1:not-the-platforms",
        ]
        for start in range(0, len(arns), 2):
            page = [{"ResourceARN": arn} for arn in arns[start : start + 2]]
            yield {"ResourceTagMappingList": page}

    def list_roles(self) -> Iterator[Any]:
        for name in (*self.roles, "somebody-elses"):
            yield {"Roles": [{"RoleName": name}]}

    def list_role_tags(self, RoleName: str) -> Iterator[Any]:  # noqa: N803
        assert RoleName in self.roles, "only roles with the name of a missing one are queried"
        for key, value in self.roles[RoleName].items():
            yield {"Tags": [{"Key": key, "Value": value}]}


def test_aws_returns_tagged_resources_at_once_and_roles_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boto3, "client", Aws)
    missing = [resource(ROLE, "role", name="role-9")]
    found = discovery.discovered_resources(config("aws"), "dev", "1", missing)
    assert [(each.type.rpartition(":")[2], each.name) for each in found] == [
        ("Bucket", "lake-1234567"),
        ("LogGroup", "logs-1234567"),
        ("Secret", "key-1234567"),
        ("EndpointConfiguration", "c-1234567"),
        ("Function", "f-1234567"),
        ("Role", "role-0000000"),
    ]


def test_google_cloud_returns_labels_by_service_and_accounts_by_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from google.cloud import storage

    def listed(url: str, what: str) -> Iterator[dict[str, Any]]:
        if what == "services":
            raise rest.GoogleError(403, "Cloud Run API has not been used in project 1 before or it")
        if what == "accounts":
            text = "project=triplane environment=dev managed-by=pulumi stack=dev"
            yield {"email": "sa-1234567@p.iam", "description": text}
            yield {"email": "sa-7654321@p.iam", "description": text + "-2"}
            yield {"email": "by-hand@p.iam"}
        else:
            for number, labels in enumerate(ALL_TAGS):
                yield {"name": f"projects/1/x/s-{number}", "labels": labels}

    buckets = [SimpleNamespace(name=f"b-{n}", labels=tags) for n, tags in enumerate(ALL_TAGS)]
    monkeypatch.setattr(rest, "listed", listed)
    monkeypatch.setattr(
        storage, "Client", lambda **_: SimpleNamespace(list_buckets=lambda: buckets)
    )
    found = discovery.discovered_resources(config("gcp"), "dev", "p", [])
    assert [each.name for each in found] == ["b-0", "s-0", "sa-1234567"]
    assert [each.type for each in found] == [
        "gcp:storage/bucket:Bucket",
        "gcp:secretmanager/secret:Secret",
        "gcp:serviceaccount/account:Account",
    ]


def test_a_google_service_that_refuses_to_list_does_not_count_as_empty() -> None:
    def refused() -> Iterator[Any]:
        raise rest.GoogleError(403, "Permission 'secretmanager.secrets.list' denied")
        yield

    with pytest.raises(rest.GoogleError):
        list(gcp.enabled(refused()))


def test_azure_returns_the_stacks_groups_and_the_tagged_resources_in_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = {f"/subscriptions/1/resourceGroups/g-{n}": t for n, t in enumerate(ALL_TAGS)}
    ml = "microsoft.machinelearningservices/workspaces"

    def listed(url: str, _version: str) -> list[dict[str, Any]]:
        if url == "/subscriptions/1/resourcegroups":
            return [
                {"id": each, "name": each.rpartition("/")[2], "tags": tags}
                for each, tags in groups.items()
            ]
        assert url == "/subscriptions/1/resourceGroups/g-0/resources", "another stack's group"
        return [
            {"type": "Microsoft.Web/sites", "name": "app12345678", "tags": OWN_TAGS},
            {"type": "Microsoft.Web/sites", "name": "app87654321", "tags": FOREIGN_TAGS[0]},
            {"type": f"{ml}/onlineEndpoints", "name": "ws/ep12345678", "tags": OWN_TAGS},
            {"type": "microsoft.alertsmanagement/rules", "name": "azures-own", "tags": None},
        ]

    monkeypatch.setattr(arm, "listed", listed)
    found = discovery.discovered_resources(config("azure"), "dev", "1", [])
    assert [str(each) for each in found] == ["g-0", "g-0/app12345678", "g-0/ws/ep12345678"]
    assert [each.type for each in found] == [
        "azure-native:resources:ResourceGroup",
        "azure-native:web:WebApp",
        "azure-native:machinelearningservices:OnlineEndpoint",
    ]
    assert found[2].parents == {"resourceGroupName": "g-0", "workspaceName": "ws"}


def test_a_list_follows_its_next_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {
        "u": {"them": [{"n": 1}], "nextPageToken": "a/b"},
        "u?pageToken=a/b": {"nextPageToken": "c"},
        "u?pageToken=c": {"them": [{"n": 2}]},
    }
    monkeypatch.setattr(rest, "call", lambda _, url: pages[url])
    assert list(rest.listed("u", "them")) == [{"n": 1}, {"n": 2}]


def test_children_are_listed_below_their_parent_by_the_last_part_of_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def listed(url: str, version: str) -> list[dict[str, str]]:
        assert (url, version) == ("/groups/g/workspaces/ws/parts", "2026-01-01")
        return [{"name": "ws/a"}, {"name": "b"}]

    monkeypatch.setattr(arm, "listed", listed)
    search = ArmChildren("/groups/{group}/workspaces/{workspace}", "parts", "2026-01-01")
    found = azure.children("a:type:Part", search, {"group": "g", "workspace": "ws"})
    assert [(each.type, each.name) for each in found] == [
        ("a:type:Part", "a"),
        ("a:type:Part", "b"),
    ]


def test_children_are_not_queried_before_their_parent_is_known() -> None:
    policy = "aws:iam/rolePolicy:RolePolicy"
    assert discovery.discovered_children(resource(policy, "p"), {"region": "r"}) == []
    assert discovery.discovered_children(resource(BUCKET, "b"), {}) == []


def test_a_stacks_tags_are_spelled_as_its_cloud_spells_them(configured: Any) -> None:
    """A label of Google Cloud has no capital letters: https://cloud.google.com/resource-manager/docs/labels-overview"""
    assert stack_tags(configured("gcp"), "Prod")["stack"] == "prod"
    for cloud in ("aws", "azure"):
        assert stack_tags(configured(cloud), "Prod")["stack"] == "Prod"


def test_the_inline_policies_of_a_role_are_listed_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pages(RoleName: str) -> list[dict[str, list[str]]]:  # noqa: N803
        assert RoleName == "the-role"
        return [{"PolicyNames": ["a", "b"]}, {"PolicyNames": ["c"]}]

    def client(service: str, region_name: str) -> SimpleNamespace:
        assert (service, region_name) == ("iam", "eu-west-1")
        return SimpleNamespace(
            get_paginator=lambda operation: SimpleNamespace(
                paginate={"list_role_policies": pages}[operation]
            )
        )

    monkeypatch.setattr(boto3, "client", client)
    found = list(aws.role_policies({"role": "the-role", "region": "eu-west-1"}))
    assert [each.name for each in found] == ["a", "b", "c"]
    assert found[0].parents == {"role": "the-role"}
    assert {each.type for each in found} == {"aws:iam/rolePolicy:RolePolicy"}


# https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
def test_a_secret_is_read_in_its_vault_as_who_runs_pulumi(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = SimpleNamespace(get_token=lambda scope: SimpleNamespace(token=f"for {scope}"))
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda: nullcontext(tokens))
    asked: list[Any] = []
    answer = SimpleNamespace(ok=True, text='{"value": "the key"}', status_code=200)
    monkeypatch.setattr(
        "requests.get", lambda url, **options: asked.append((url, options)) or answer
    )
    assert azure.secret_value({"secretUri": "https://v/secrets/k"}) == "the key"
    [(url, options)] = asked
    assert url == "https://v/secrets/k"
    assert options["params"] == {"api-version": "7.4"}
    assert 0 < options["timeout"] <= 60, "a vault behind a firewall does not answer"
    assert options["headers"] == {"Authorization": "Bearer for https://vault.azure.net/.default"}
    answer.ok, answer.status_code, answer.text = False, 403, "Forbidden"
    with pytest.raises(PermissionError, match="403 Forbidden"):
        azure.secret_value({"secretUri": "https://v/secrets/k"})
