"""The lists by which `make adopt` finds existing resources: what is in them, page by page, for whom."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from rehearsal.aws.permissions import ROLE
from rehearsal.azure import calls, credentials, key_vault, routes
from rehearsal.azure.resource_type import IDENTITY
from rehearsal.gcp.iam import ACCOUNT
from rehearsal.provider.context import Context
from tests.unit.rehearsal import gcp_project as gcp
from tests.unit.rehearsal.aws_account import Account, allow, trust
from tests.unit.rehearsal.azure_subscription import SECRETS_USER, Subscription
from tests.unit.rehearsal.gcp_project import Project

MINE = {"project": "triplane", "stack": "dev"}
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"


def test_aws_lists_resources_by_their_tags_except_roles_and_objects(live_context: Context) -> None:
    account = Account(live_context)
    bucket = account.create("aws:s3/bucket:Bucket", "lake", tags=MINE)
    account.create(
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "o",
        bucket=bucket.id,
        key="k",
        content="",
        tags=MINE,
    )
    account.create(ROLE, "role", assumeRolePolicy=trust("lambda"), tags=MINE)
    for name, tags in (("one", MINE), ("two", MINE), ("other", {**MINE, "stack": "dev-2"})):
        account.create(LOG_GROUP, name, tags=tags)
    account.create(LOG_GROUP, "none")

    def page(**more: Any) -> Any:
        filters = [{"Key": key, "Values": [value]} for key, value in MINE.items()]
        target = "ResourceGroupsTaggingAPI_20170126.GetResources"
        return account.call(target, {"TagFilters": filters, **more})[1]

    def names(listed: Any) -> list[str]:
        return [each["ResourceARN"].rpartition(":")[2] for each in listed["ResourceTagMappingList"]]

    assert sorted(names(page())) == ["lake-1234567", "one-1234567", "two-1234567"]
    first = page(ResourcesPerPage=2)
    second = page(ResourcesPerPage=2, PaginationToken=first["PaginationToken"])
    assert (len(names(first)), len(names(second))) == (2, 1)
    assert not second["PaginationToken"]


def test_iam_lists_roles_without_tags_and_the_tags_of_each_role(live_context: Context) -> None:
    account = Account(live_context)
    for name in ("a", "b"):
        account.create(ROLE, name, assumeRolePolicy=trust("lambda"), tags=MINE)
    worker = account.role("w", "lambda", allow("s3:GetObject", "arn:aws:s3:::x"))

    def call(action: str, caller: Any = None, **form: str) -> tuple[int, str]:
        auth = account.signed("iam", caller)
        body = {"Action": action, "Version": "2010-05-08", **form}
        answer = account.http.post("/aws/", data=body, auth=auth)
        return answer.status_code, answer.text

    _, page = call("ListRoles", MaxItems="2")
    assert re.findall("<RoleName>([^<]*)", page) == ["a-1234567", "b-1234567"]
    assert "<IsTruncated>true</IsTruncated><Marker>2</Marker>" in page
    assert "<Tags>" not in page
    _, page = call("ListRoles", Marker="2")
    assert re.findall("<RoleName>([^<]*)", page) == ["w-1234567"]
    _, tags = call("ListRoleTags", RoleName="a-1234567")
    assert re.findall("<Key>(.*?)</Key><Value>(.*?)</Value>", tags) == list(MINE.items())
    _, policies = call("ListRolePolicies", RoleName=worker.id)
    assert re.findall("<member>(.*?)</member>", policies) == ["w-grants-1234567"]
    status, refused = call("ListRoleTags", RoleName="no-such")
    assert (status, "<Code>NoSuchEntity</Code>" in refused) == (404, True)
    status, refused = call("ListRoles", worker)
    assert (status, "<Code>AccessDenied</Code>" in refused) == (403, True)


def test_google_cloud_lists_with_labels_in_pages_after_the_api_is_enabled(
    live_context: Context,
) -> None:
    project = Project(live_context)
    at = f"projects/{gcp.PROJECT}"
    replication = {"userManaged": {"replicas": [{"location": gcp.REGION}]}}
    secret = project.create(gcp.SECRET, "key", labels=MINE, replication=replication)
    for value in ("one", "two"):
        project.create(gcp.SECRET_VERSION, value, secret=secret.id, secretData=value)
    for name in ("first", "second"):
        project.create(ACCOUNT, f"{name}-sa", description="project=triplane")
    project.create(gcp.BUCKET, "lake", location="EUROPE-WEST1", labels=MINE)

    _, found = project.call("GET", f"secretmanager/v1/{at}/secrets")
    assert MINE.items() <= found["secrets"][0]["labels"].items()
    _, found = project.call("GET", f"secretmanager/v1/{secret.id}/versions")
    assert [each["name"].rpartition("/")[2] for each in found["versions"]] == ["2", "1"]
    _, page = project.call("GET", f"iam/v1/{at}/serviceAccounts?pageSize=1")
    assert page["accounts"][0]["description"] == "project=triplane"
    rest = f"iam/v1/{at}/serviceAccounts?pageToken={page['nextPageToken']}"
    _, page = project.call("GET", rest)
    assert "nextPageToken" not in page
    assert len(page["accounts"]) == 1
    _, found = project.call("GET", f"storage/storage/v1/b?project={gcp.PROJECT}&prefix=la")
    assert found["items"][0]["name"] == "lake-1234567"
    assert MINE.items() <= found["items"][0]["labels"].items()
    _, found = project.call("GET", f"run/v2/{gcp.PLACE}/services")
    assert found == {}
    status, refused = project.call("GET", "run/v2/projects/another/locations/x/services")
    assert (status, "has not been used in project" in refused["error"]["message"]) == (403, True)
    worker = project.account("worker")
    assert project.call("GET", f"secretmanager/v1/{at}/secrets", caller=worker)[0] == 403


@pytest.fixture
def azure(live_context: Context) -> Subscription:
    return Subscription(live_context)


def manager(azure: Subscription, principal: str | None = None) -> Any:
    """A client of the Resource Manager, as the deployer or as another principal."""
    client = TestClient(routes.resource_manager(azure.context), base_url="https://manager")
    who = principal or azure.context.account.azure_object
    token, _ = credentials.token(azure.context, who, "c", routes.MANAGEMENT)

    def get(path: str) -> Any:
        url = path if path.startswith("https") else f"{path}?api-version=1"
        return client.get(url, headers={"authorization": f"Bearer {token}"}).json()

    return get


def test_azure_lists_the_groups_and_contents_that_the_caller_may_read(
    azure: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = azure.context.account.azure_subscription
    group = f"/subscriptions/{own}/resourceGroups/rg"
    for name in ("one", "two", "three"):
        azure.create(IDENTITY, resourceName=name, location="westeurope", tags=MINE)
    worker = azure.create(IDENTITY, resourceName="untagged", location="westeurope")
    get = manager(azure)
    assert [each["name"] for each in get(f"/subscriptions/{own}/resourcegroups")["value"]] == ["rg"]
    monkeypatch.setattr(calls, "PAGE", 2)
    first = get(f"{group}/resources")
    second = get(first["nextLink"])
    assert [each["name"] for each in first["value"] + second["value"]] == ["one", "two", "three"]
    assert first["value"][0]["type"] == "Microsoft.ManagedIdentity/userAssignedIdentities"
    assert first["value"][0]["tags"] == MINE
    assert "nextLink" not in second
    assert get(f"/subscriptions/{own}/resourceGroups/no/resources")["error"]["code"] == (
        "ResourceGroupNotFound"
    )
    unprivileged = manager(azure, worker.outputs["principalId"])
    assert unprivileged(f"/subscriptions/{own}/resourcegroups") == {"value": []}


def test_a_vault_returns_a_value_for_a_role_in_it_and_not_for_an_owner(azure: Subscription) -> None:
    properties = {"tenantId": "t", "sku": {"family": "A", "name": "standard"}}
    azure.create(key_vault.VAULT, vaultName="vault", properties=properties)
    secret = azure.create(
        key_vault.SECRET, vaultName="vault", secretName="key", properties={"value": "sesame"}
    )
    client = TestClient(key_vault.data_plane(azure.context))
    uri = secret.outputs["properties"]["secretUri"]
    client.base_url = type(client.base_url)(uri.partition("/vault/")[0])
    owner = azure.context.account.azure_object

    def read(audience: str = key_vault.AUDIENCE) -> Any:
        token, _ = credentials.token(azure.context, owner, "c", audience)
        return client.get(f"{uri}?api-version=7.4", headers={"authorization": f"Bearer {token}"})

    assert read("https://management.azure.com").status_code == 401
    refused = read()
    assert (refused.status_code, "ForbiddenByRbac" in refused.text) == (403, True)
    azure.grant(owner, SECRETS_USER, secret.id)
    assert read().json()["value"] == "sesame"
