"""What stands by names and tags, before clouds that answer as the real ones are documented to."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import boto3
import pytest

from components.azure import arm
from components.gcp import rest
from operations.recovery import discovery
from operations.recovery.discovery import Thing

MINE = {"project": "triplane", "environment": "dev", "managed-by": "pulumi", "stack": "dev"}
OTHERS = (
    {**MINE, "stack": "dev-2"},
    {**MINE, "environment": "production"},
    {**MINE, "project": "another"},
    {key: value for key, value in MINE.items() if key != "stack"},
    {},
)
ROLE, BUCKET = "aws:iam/role:Role", "aws:s3/bucket:Bucket"


def config(cloud: str) -> Any:
    return SimpleNamespace(cloud=cloud, environment="dev", region="r", project="p")


def resource(type_: str, called: str, /, **inputs: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:dev::triplane::{type_}::{called}", "type": type_, "inputs": inputs}


def test_a_name_of_pulumis_making_is_told_from_one_that_the_program_chose() -> None:
    assert discovery.autonamed(resource(BUCKET, "b", tags={}, bucket="b-1234567")) == "bucket"
    assert discovery.autonamed(resource("azure-native:web:WebApp", "a", name="a12345678")) == "name"
    for chosen in ("b", "b-1234567-x", "b-serverless", "other-1234567", "b-123"):
        assert discovery.autonamed(resource(BUCKET, "b", bucket=chosen)) is None, chosen


def test_only_a_thing_of_the_same_type_name_and_place_may_be_the_resource() -> None:
    things = [
        Thing(BUCKET, "lake-1234567"),
        Thing(BUCKET, "lake-bucket-1234567"),
        Thing(BUCKET, "my-lake-1234567"),
        Thing(ROLE, "lake-1234567"),
        Thing(BUCKET, "lake-7654321", {"resourceGroupName": "another"}),
    ]
    wanted = resource(BUCKET, "lake", resourceGroupName="mine")
    assert discovery.candidates(wanted, things) == [things[0]]
    # While the group is not known, all groups of the stack are looked into.
    assert discovery.candidates(resource(BUCKET, "lake"), things) == [things[0], things[4]]


@pytest.mark.parametrize("tags", OTHERS)
def test_what_carries_other_tags_is_not_this_stacks(tags: dict[str, str]) -> None:
    assert not discovery.carries(tags, MINE)
    assert discovery.carries({**MINE, "team": "flights"}, MINE)


class Aws:
    """The tagging API and IAM, two a page."""

    roles: ClassVar = {f"role-000000{n}": tags for n, tags in enumerate((MINE, *OTHERS))}

    def __init__(self, *_: str, **__: str) -> None:
        self.asked: list[str] = []

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, operation))

    def get_resources(self, TagFilters: list[Any]) -> Iterator[Any]:  # noqa: N803
        assert {each["Key"]: each["Values"] for each in TagFilters} == {
            key: [value] for key, value in MINE.items()
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
        assert RoleName in self.roles, "only who has a wanted name is asked for tags"
        for key, value in self.roles[RoleName].items():
            yield {"Tags": [{"Key": key, "Value": value}]}


def test_aws_is_asked_for_all_tagged_things_at_once_and_for_roles_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boto3, "client", Aws)
    found = discovery.standing(config("aws"), "dev", "1", [resource(ROLE, "role", name="role-9")])
    assert [(each.type.rpartition(":")[2], each.name) for each in found] == [
        ("Bucket", "lake-1234567"),
        ("LogGroup", "logs-1234567"),
        ("Secret", "key-1234567"),
        ("EndpointConfiguration", "c-1234567"),
        ("Function", "f-1234567"),
        ("Role", "role-0000000"),
    ]


def test_google_cloud_is_asked_service_by_service_and_accounts_for_their_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from google.cloud import storage

    def labelled(name: str, tags: Any) -> dict[str, Any]:
        return {"name": f"projects/1/x/{name}", "labels": tags}

    def listed(url: str, what: str) -> Iterator[dict[str, Any]]:
        if what == "services":
            raise rest.GoogleError(403, "Cloud Run API has not been used in project 1 before or it")
        if what == "accounts":
            text = "project=triplane environment=dev managed-by=pulumi stack=dev"
            yield {"email": "sa-1234567@p.iam", "description": text}
            yield {"email": "sa-7654321@p.iam", "description": text + "-2"}
            yield {"email": "by-hand@p.iam"}
        else:
            yield from (labelled(f"s-{n}", tags) for n, tags in enumerate((MINE, *OTHERS)))

    buckets = [SimpleNamespace(name=f"b-{n}", labels=t) for n, t in enumerate((MINE, *OTHERS))]
    monkeypatch.setattr(rest, "listed", listed)
    monkeypatch.setattr(
        storage, "Client", lambda **_: SimpleNamespace(list_buckets=lambda: buckets)
    )
    found = discovery.standing(config("gcp"), "dev", "p", [])
    assert [each.name for each in found] == ["b-0", "s-0", "sa-1234567"]


def test_a_service_that_may_not_be_listed_is_not_taken_for_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: str) -> Iterator[Any]:
        raise rest.GoogleError(403, "Permission 'secretmanager.secrets.list' denied")
        yield

    with pytest.raises(rest.GoogleError):
        list(discovery._enabled(refused()))


def test_azure_is_asked_for_the_stacks_groups_and_what_is_in_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = {f"/subscriptions/1/resourceGroups/g-{n}": t for n, t in enumerate((MINE, *OTHERS))}
    ml = "microsoft.machinelearningservices/workspaces"

    def listed(url: str, _version: str) -> list[dict[str, Any]]:
        if url == "/subscriptions/1/resourcegroups":
            return [
                {"id": each, "name": each.rpartition("/")[2], "tags": tags}
                for each, tags in groups.items()
            ]
        assert url == "/subscriptions/1/resourceGroups/g-0/resources", "another's group is entered"
        return [
            {"type": "Microsoft.Web/sites", "name": "app12345678", "tags": MINE},
            {"type": "Microsoft.Web/sites", "name": "app87654321", "tags": OTHERS[0]},
            {"type": f"{ml}/onlineEndpoints", "name": "ws/ep12345678", "tags": MINE},
            {"type": "microsoft.alertsmanagement/rules", "name": "azures-own", "tags": None},
        ]

    monkeypatch.setattr(arm, "listed", listed)
    found = discovery.standing(config("azure"), "dev", "1", [])
    assert [str(each) for each in found] == ["g-0", "g-0/app12345678", "g-0/ws/ep12345678"]
    assert found[2].inside == {"resourceGroupName": "g-0", "workspaceName": "ws"}


def test_a_page_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {
        "u": {"them": [{"n": 1}], "nextPageToken": "a/b"},
        "u?pageToken=a/b": {"nextPageToken": "c"},
        "u?pageToken=c": {"them": [{"n": 2}]},
    }
    monkeypatch.setattr(rest, "call", lambda _, url: pages[url])
    assert list(rest.listed("u", "them")) == [{"n": 1}, {"n": 2}]


def test_what_is_inside_is_not_asked_for_before_its_parent_is_known() -> None:
    policy = "aws:iam/rolePolicy:RolePolicy"
    assert discovery.parts(resource(policy, "p"), {"region": "r"}) == []
    assert discovery.parts(resource(BUCKET, "b"), {}) == []
